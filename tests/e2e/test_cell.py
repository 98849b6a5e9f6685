"""A cell of real processes, its mount and its command line: sizes at the borders of chunks, and the loss of nodes."""

import os
import socket
import threading

import pytest
from harness import data

CHUNK = data.CHUNK
SIZES = {"zero": 0, "one": 1, "chunk": CHUNK, "chunk-less": CHUNK - 1, "chunk-more": CHUNK + 1}


@pytest.fixture
def sizes_cell(make_cell, tmp_path):
    for name, size in SIZES.items():
        data.make_file(tmp_path / "origin" / name, size)
    return make_cell(nodes=1, mounts=[{"name": "data", "url": f"file://{tmp_path / 'origin'}"}])


@pytest.mark.parametrize("name", SIZES)
def test_an_object_of_any_size_is_whole(sizes_cell, name):
    mount = sizes_cell.mount("data")
    expected = data.known_bytes("data", name, 0, SIZES[name])
    assert os.stat(mount / name).st_size == SIZES[name]
    assert data.read_file(mount / name) == expected
    assert data.read_file(mount / name, SIZES[name], 1) == b""
    assert sizes_cell.nodes[0].cli("cat", f"data/{name}").stdout == expected
    assert sizes_cell.nodes[0].json("stat", f"data/{name}")[0]["size"] == SIZES[name]


def test_a_read_across_the_border_of_chunks_is_right(sizes_cell):
    mount = sizes_cell.mount("data")
    assert data.read_file(mount / "chunk-more", CHUNK - 100, 200) == data.known_bytes("data", "chunk-more", CHUNK - 100, 101)


@pytest.mark.seconds(240)
def test_20_gb_are_read_at_any_place_within_the_cap(make_cell, tmp_path):
    size = 20 * 10**9
    path = data.make_sparse_file(tmp_path / "origin" / "sparse", size)
    cell = make_cell(nodes=1, mounts=[{"name": "data", "url": f"file://{path.parent}"}])
    mount = cell.mount("data")
    assert os.stat(mount / "sparse").st_size == size
    for offset in data.sparse_marks(size):
        assert data.read_file(mount / "sparse", offset, 4096) == data.known_bytes("sparse", "sparse", offset, 4096)
    assert data.read_file(mount / "sparse", size - 10, 100) == data.known_bytes("sparse", "sparse", size - 4096, 4096)[-10:]
    status = cell.nodes[0].json("status")["nodes"][0]
    assert 0 < status["arena_used"] <= status["arena_cap"] < status["memory_cap"]


class Readers:
    """Threads that read whole files of a mount again and again, and remember what was wrong."""

    def __init__(self, mount, names, size, count=4):
        self._mount, self._names, self._size = mount, names, size
        self._stop = threading.Event()
        self.reads, self.wrong = 0, []
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, turn):
        while not self._stop.is_set():
            name = self._names[turn % len(self._names)]
            turn += 1
            try:
                if data.read_file(self._mount / name) != data.known_bytes("data", name, 0, self._size):
                    self.wrong.append(f"{name}: wrong bytes")
            except OSError as error:
                self.wrong.append(f"{name}: {error}")
            self.reads += 1

    def until_reads(self, count):
        wanted = self.reads + count
        while self.reads < wanted and not self.wrong:
            self._stop.wait(0.01)

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def three_nodes(make_cell, tmp_path):
    names, size = [f"f{i}" for i in range(12)], 3 * CHUNK + 5
    for name in names:
        data.make_file(tmp_path / "origin" / name, size)
    return make_cell(nodes=3, mounts=[{"name": "data", "url": f"file://{tmp_path / 'origin'}"}]), names, size


@pytest.mark.seconds(300)
def test_readers_go_on_when_a_node_is_killed(three_nodes):
    cell, names, size = three_nodes
    readers = Readers(cell.mount("data", node=0), names, size)
    try:
        readers.until_reads(6)  # in the middle: chunks are being read, and not all are there
        cell.nodes[1].process.kill()
        readers.until_reads(40)
    finally:
        readers.end()
    assert readers.wrong == []


@pytest.mark.seconds(300)
def test_the_last_node_serves_everything(three_nodes):
    cell, names, size = three_nodes
    mount = cell.mount("data", node=0)
    assert data.read_file(mount / names[0]) == data.known_bytes("data", names[0], 0, size)
    for node in cell.nodes[1:]:
        node.process.kill()
    for name in names:
        assert data.read_file(mount / name) == data.known_bytes("data", name, 0, size)


def test_a_client_that_sends_garbage_loses_its_connection_and_no_one_else(sizes_cell):
    node = sizes_cell.nodes[0]
    mount = sizes_cell.mount("data")
    before = node.metric("forebay_connection_bad_frames_total") + node.metric("forebay_connection_bad_hellos_total")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 10, bytes(range(256)) * 40, b"\0" * 4096, b"\xff" * 4096):
        with socket.create_connection(node.address, timeout=20) as peer:
            peer.sendall(garbage)
            try:
                while peer.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    after = node.metric("forebay_connection_bad_frames_total") + node.metric("forebay_connection_bad_hellos_total")
    assert after - before == 4
    assert data.read_file(mount / "chunk") == data.known_bytes("data", "chunk", 0, CHUNK)
