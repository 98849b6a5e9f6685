"""A cell in trouble: nodes that die, clients that send garbage; and what a cell is for, each byte fetched once."""

import errno
import os
import random
import socket
import threading

from harness import data
from harness.processes import until

MIB = 1 << 20
SHARDS = [(f"shard-{i}", 16 * MIB) for i in range(8)]
HUGE = [(f"huge-{i}", 2048 * MIB) for i in range(4)]  # so that hardly a read is answered by the kernel's own cache


class Readers:
    """Threads that read random ranges through mounts while the `with` lasts. At its end none may have failed."""

    def __init__(self, *mounts, per_mount=2):
        self.failed, self.wrong, self.reads = [], [], 0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._read_on, args=(mount, seed), daemon=True)
            for seed, mount in enumerate(m for m in mounts for _ in range(per_mount))
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            assert self.failed == [] and self.wrong == []

    def _read_on(self, mount, seed):
        rng = random.Random(seed)
        while not self._stop.is_set():
            name, size = rng.choice(HUGE)
            offset = rng.randrange(size - 300_000)
            try:
                got = data.read_file(mount / name, offset, 300_000)
            except OSError as error:
                self.failed.append((name, offset, str(error)))
                continue
            if got != data.known_bytes("data", name, offset, 300_000):
                self.wrong.append((name, offset))
            with self._lock:
                self.reads += 1

    def wait_for_more(self, count):
        goal = self.reads + count
        until(f"{count} more reads are done", lambda: self.reads >= goal or self.failed or self.wrong, 60)


def cell_of(make_cell, origin, nodes, **options):
    origin.add("data", *SHARDS, *HUGE)
    # 1 MiB: more chunks, so that every node owns some of each object.
    mount = {"name": "data", "chunk_size": "1MiB", **origin.mount("azure", "data")}
    return make_cell(nodes=nodes, mounts=[mount], **options)


def test_readers_go_on_when_nodes_are_killed(make_cell, fake_origin):
    """kill -9 of two of five nodes, one after the other, in the middle of reads."""
    cell = cell_of(make_cell, fake_origin(latency_ms=5), 5)
    with Readers(*[cell.mount("data", node=i) for i in (0, 1, 2)]) as readers:
        readers.wait_for_more(30)
        for victim in (4, 3):
            cell.nodes[victim].process.kill()
            readers.wait_for_more(150)


def test_the_last_node_serves_everything(make_cell, fake_origin):
    cell = cell_of(make_cell, fake_origin(), 3)
    mount = cell.mount("data", node=0)
    with Readers(mount, per_mount=1) as readers:
        readers.wait_for_more(5)
        for victim in (1, 2):
            cell.nodes[victim].process.kill()
        readers.wait_for_more(20)
    for name, size in SHARDS:
        assert data.read_file(mount / name) == data.known_bytes("data", name, 0, size)
    assert cell.nodes[0].json("stat", "data/shard-0")[0]["size"] == SHARDS[0][1]
    status = {node["name"]: node["reachable"] for node in cell.nodes[0].json("status")["nodes"]}
    assert status == {"node-1": True, "node-2": False, "node-3": False}


def test_with_two_copies_losing_a_node_costs_no_read_of_the_origin(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", *SHARDS)
    mount = {"name": "data", "chunk_size": "1MiB", "read_copies": 2, **origin.mount("azure", "data")}
    cell = make_cell(nodes=4, mounts=[mount])
    reader, victim = cell.mount("data", node=0), cell.nodes[3]
    for name, size in SHARDS:
        assert data.read_file(reader / name) == data.known_bytes("data", name, 0, size)
    chunks = sum(size // MIB for _, size in SHARDS)
    until("every chunk is copied", lambda: cell.total("forebay_copies_total") >= chunks, 60)
    names = [f"data/{name}" for name, _ in SHARDS]
    holders = [sum(holder["bytes"] == MIB for holder in chunk["holders"])
               for found in cell.nodes[0].json("where", *names) for chunk in found["chunks"]]
    assert min(holders) >= 2
    victim.process.kill()
    before = origin.stats()["get_bytes"]
    for node in (1, 2):
        again = cell.mount("data", node=node)
        for name, size in SHARDS:
            assert data.read_file(again / name) == data.known_bytes("data", name, 0, size)
    assert origin.stats()["get_bytes"] == before


def test_a_node_that_stops_answering_is_left_for_the_copies(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", *SHARDS)
    mount = {"name": "data", "chunk_size": "1MiB", "read_copies": 2, **origin.mount("azure", "data")}
    cell = make_cell(nodes=4, mounts=[mount])
    assert cell.nodes[0].cli("load", "--copies", "2", "data").returncode == 0
    before = origin.stats()["get_bytes"]
    victim, reader = cell.nodes[3], cell.mount("data", node=0)
    victim.process.pause()
    try:
        for name, size in SHARDS:
            assert data.read_file(reader / name) == data.known_bytes("data", name, 0, size)
    finally:
        victim.process.resume()
    assert cell.nodes[0].metric("forebay_hedges_total") > 0
    assert origin.stats()["get_bytes"] == before


def test_a_node_that_is_started_again_takes_its_part(make_cell, fake_origin):
    cell = cell_of(make_cell, fake_origin(), 3)
    victim = cell.nodes[2]
    with Readers(cell.mount("data", node=0)) as readers:
        readers.wait_for_more(5)
        victim.process.kill()
        readers.wait_for_more(20)
        victim.start()
        victim.wait_ready()
        until("it serves reads again", lambda: victim.metric("forebay_reads_total") > 0 or readers.failed, 60)


def test_a_mount_whose_node_is_started_again_goes_on(make_cell, fake_origin):
    cell = cell_of(make_cell, fake_origin(), 1)
    with Readers(cell.mount("data")) as readers:
        readers.wait_for_more(10)
        cell.nodes[0].process.kill()
        cell.nodes[0].start()
        cell.nodes[0].wait_ready()
        readers.wait_for_more(10)


def test_the_origin_sends_each_byte_once_however_many_read(make_cell, fake_origin):
    """30 readers on three nodes, all at once, of an object that nobody has; it takes the origin long to answer."""
    origin = fake_origin(latency_ms=300)
    cell = cell_of(make_cell, origin, 3)
    mounts = [cell.mount("data", node=i) for i in range(3)]
    for mount in mounts:
        os.listdir(mount.directory)
    origin.reset_stats()
    name, size = SHARDS[0]
    known = data.known_bytes("data", name, 0, size)
    barrier, wrong = threading.Barrier(30), []

    def read(mount):
        barrier.wait()
        if data.read_file(mount / name) != known:
            wrong.append(mount.directory)

    threads = [threading.Thread(target=read, args=(mounts[i % 3],)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = origin.stats()
    assert wrong == []
    assert stats["distinct_get_bytes"] == size
    assert stats["get_bytes"] / stats["distinct_get_bytes"] == 1.00



def garbage(rng):
    """What might come over a connection: noise, an HTTP request, the beginning of a real frame, nothing."""
    yield b""
    yield b"\0" * 4096
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200)  # how TLS begins
    for length in (1, 7, 63, 64, 1000, 200_000):
        yield rng.randbytes(length)


def first_bytes_of_a_client(directory, program, cell):
    """What a real client says first: recorded by a socket that stands where a node would."""
    path = str(directory / "record.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = cell.running.start("recorded", [program, "status", "--node", f"unix:{path}", "--timeout", "1s"])
        listener.settimeout(30)
        said = b""
        while not said:  # the first connection may only look whether anybody is there
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                said = connection.recv(65536)
        process.wait()
    return said


def send(family, address, text):
    """Sends it and hears the connection out. The node may hang up before it has all of it."""
    with socket.socket(family) as connection:
        connection.settimeout(30)
        connection.connect(address)
        try:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError as error:
            assert error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


def test_a_client_that_sends_garbage_loses_its_connection_and_no_one_else(make_cell, fake_origin, program, tmp_path):
    cell = cell_of(make_cell, fake_origin(), 2)
    node = cell.nodes[0]
    mount = cell.mount("data", node=0)
    hello = first_bytes_of_a_client(tmp_path, program, cell)
    assert len(hello) > 16
    rng = random.Random(4)
    pieces = list(garbage(rng))
    # Half a frame, a frame and then noise, and frames with one wrong bit.
    pieces += [hello[: len(hello) // 2], hello + rng.randbytes(5000)]
    for _ in range(50):
        broken = bytearray(hello)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        pieces.append(bytes(broken))
    with Readers(mount, per_mount=1) as readers:
        for family, address in ((socket.AF_UNIX, str(node.socket)), (socket.AF_INET, node.address)):
            for piece in pieces:
                send(family, address, piece)
        bad = node.metric("forebay_connection_bad_frames_total") + node.metric("forebay_connection_bad_hellos_total")
        assert bad >= 2 * 50, "each was counted"
        assert sum(n["bad_frames"] for n in node.json("status", "--local")["nodes"]) > 0
        readers.wait_for_more(5)
    assert node.admin_status("/healthz") == 200


def test_garbage_on_the_admin_port_hurts_nobody(make_cell, fake_origin):
    cell = cell_of(make_cell, fake_origin(), 1)
    node = cell.nodes[0]
    host, port = node.config["node"]["admin"].rsplit(":", 1)
    for piece in garbage(random.Random(5)):
        send(socket.AF_INET, (host, int(port)), piece)
    assert node.admin_status("/healthz") == 200
