"""Objects that are complete on a node are read by the kernel itself, from the node's arena: nobody is asked for a byte."""

import errno
import mmap
import os
import threading
import time

import pytest
from harness import data
from harness.processes import until

MIB = 1 << 20
SIZE = 12 * MIB + 5

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="passthrough needs CAP_SYS_ADMIN")


class Warm:
    """A node that has object o complete, and a mount of it in a process of its own."""

    def __init__(self, make_cell, fake_origin, **node):
        self.origin = fake_origin()
        self.origin.add("data", ("o", SIZE), ("other", SIZE))
        mount = {"name": "data", "consistency": "open", **self.origin.mount("azure", "data")}
        self.cell = make_cell(mounts=[mount], node=node)
        self.node = self.cell.nodes[0]
        self.mount = self.cell.mount("data")
        self.node.cli("load", "data/o", "data/other")

    def served(self):
        return self.node.metric("forebay_served_bytes_total")

    def bytes(self, name="o", version=0):
        return data.known_bytes("data", name, 0, SIZE, version)

    def open(self, name="o"):
        """A passthrough handle."""
        before = self.served()
        fd = os.open(self.mount / name, os.O_RDONLY)
        os.pread(fd, MIB, 5 * MIB)
        if self.served() != before:
            os.close(fd)
            pytest.skip("this kernel has no passthrough")
        return fd


@pytest.fixture
def warm(make_cell, fake_origin):
    return Warm(make_cell, fake_origin)


def test_a_complete_object_is_read_without_a_byte_from_the_node(warm):
    fd = warm.open()
    before = warm.served()
    assert os.pread(fd, SIZE + 1, 0) == warm.bytes()
    assert data.read_file(warm.mount / "o") == data.read_file(warm.mount / "o") == warm.bytes()
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as view:
        assert view[:] == warm.bytes()
    os.close(fd)
    assert warm.served() == before
    assert warm.node.metric("forebay_arena_exported_bytes") >= SIZE


def test_status_says_how_whole_objects_are_read(warm):
    def said(node):
        return node.json("status")["nodes"][0]["mounts"][0].get("whole_objects")

    assert said(warm.node) is None, "nobody has opened one"
    os.close(warm.open())
    assert said(warm.node) == "passthrough"
    assert b"mounts of data read whole objects by the kernel itself (passthrough)" in warm.node.cli("status").stdout
    mapped = warm.node.mount("data", warm.mount.directory.with_name("mapped"), "--no-passthrough")
    os.close(os.open(mapped / "o", os.O_RDONLY))
    assert said(warm.node) == "mapped"
    assert b"from a mapping: the mount was told not to" in warm.node.cli("status").stdout


def test_nobody_changes_the_arena_through_a_handle(warm):
    fd = warm.open()
    for path in (warm.mount / "o", f"/proc/self/fd/{fd}"):
        with pytest.raises(OSError) as error:
            os.open(path, os.O_RDWR)
        assert error.value.errno in (errno.EROFS, errno.EACCES)
    with pytest.raises(OSError):
        os.write(fd, b"x")
    with pytest.raises((OSError, ValueError)):
        mmap.mmap(fd, 0, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_SHARED)
    assert os.pread(fd, SIZE, 0) == warm.bytes()
    os.close(fd)


def test_what_leaves_the_arena_stays_for_who_has_it_open_or_mapped(warm):
    fd = warm.open()
    mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    warm.node.cli("evict", "data/o")
    (where,) = warm.node.json("where", "data/o")
    assert all(chunk["holders"] == [] for chunk in where["chunks"])
    assert os.pread(fd, SIZE, 0) == warm.bytes()
    os.close(fd)
    assert mapped[:] == warm.bytes()
    # Bytes that come anew go elsewhere: the mapping's stay as they are.
    warm.node.cli("load", "data/o")
    assert data.read_file(warm.mount / "o") == warm.bytes()
    assert mapped[:] == warm.bytes()
    mapped.close()


def test_a_new_version_is_read_while_the_old_one_is_open(warm):
    fd = warm.open()
    warm.origin.change("data", "o")
    new = data.known_bytes("data", "o", 0, SIZE, 1)
    assert data.read_file(warm.mount / "o") == new
    assert os.pread(fd, SIZE, 0) == warm.bytes()
    os.close(fd)


def test_a_node_that_dies_leaves_open_files_as_they_are(warm):
    fd = warm.open()
    warm.node.process.kill()
    assert os.pread(fd, SIZE, 0) == warm.bytes()
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as view:
        assert view[:] == warm.bytes()
    os.close(fd)
    warm.node.start()
    warm.node.wait_ready()
    assert data.read_file(warm.mount / "o") == warm.bytes()  # by reads, until it is complete there again
    before = warm.served()
    assert data.read_file(warm.mount / "o") == warm.bytes()
    assert warm.served() == before


def test_exported_objects_keep_to_their_share_of_the_arena(make_cell, fake_origin):
    origin = fake_origin()
    names = [f"o{i}" for i in range(12)]
    origin.add("data", *((name, SIZE) for name in names))
    cell = make_cell(mounts=[{"name": "data", **origin.mount("azure", "data")}], node={"memory": "256MiB"})
    node = cell.nodes[0]
    mount = cell.mount("data")
    files = []
    for name in names:
        node.cli("load", f"data/{name}")
        files.append(os.open(mount / name, os.O_RDONLY))
    most = node.metric("forebay_arena_capacity_bytes") / 2
    assert node.metric("forebay_arena_exported_bytes") <= most
    for name, fd in zip(names, files, strict=True):
        assert os.pread(fd, SIZE, 0) == data.known_bytes("data", name, 0, SIZE)
        os.close(fd)


def test_opens_that_meet_the_last_release_are_passed_through_too(warm):
    """The kernel sends RELEASE when it likes: after the next OPEN, or while that is being answered."""
    os.close(warm.open())
    before = warm.served()

    def again_and_again():
        for _ in range(1500):
            fd = os.open(warm.mount / "o", os.O_RDONLY)
            os.pread(fd, 4096, 5 * MIB)
            os.close(fd)

    threads = [threading.Thread(target=again_and_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warm.served() == before


def test_a_node_that_gives_nobody_files_serves_all_bytes_itself(make_cell, fake_origin):
    warm = Warm(make_cell, fake_origin, max_exported=0)
    before = warm.served()
    assert data.read_file(warm.mount / "o") == warm.bytes()
    assert warm.served() >= before + SIZE
    assert warm.node.metric("forebay_arena_exported_bytes") == 0


def test_what_is_mapped_stays_while_others_fill_the_arena_and_leaves_afterwards(make_cell, fake_origin):
    """RELEASE isn't the end of use: a mapping outlives its handle, and the kernel knows."""
    origin = fake_origin()
    names = [f"o{i}" for i in range(24)]
    origin.add("data", *((name, SIZE) for name in names))
    mount_config = {"name": "data", "class": "hot", **origin.mount("azure", "data")}
    node = {"memory": "128MiB"}
    cell = make_cell(mounts=[mount_config], node=node)
    mount, node = cell.mount("data"), cell.nodes[0]
    exported = lambda: node.metric("forebay_arena_exported_bytes")  # noqa: E731
    fill = lambda some: [node.cli("load", f"data/{name}", check=False) for name in some]  # noqa: E731: some lack room
    node.cli("load", f"data/{names[0]}")
    fd = os.open(mount / names[0], os.O_RDONLY)
    mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    os.close(fd)
    if exported() == 0:
        pytest.skip("this kernel has no passthrough")
    fill(names[1:])
    assert exported() >= SIZE
    assert mapped[:] == data.known_bytes("data", names[0], 0, SIZE)
    asked = origin.stats()["get_bytes"]
    assert data.read_file(mount / names[0]) == mapped[:]
    assert origin.stats()["get_bytes"] == asked, "it is still the node's"
    mapped.close()
    fill(names[1:] * 2)
    assert exported() == 0


def test_many_readers_while_the_arena_is_too_small_for_all(make_cell, fake_origin):
    """Objects come and go under their readers: what is complete is passed through, what isn't is read."""
    origin = fake_origin()
    names = [f"o{i}" for i in range(10)]
    origin.add("data", *((name, SIZE) for name in names))
    mount_config = {"name": "data", "class": "hot", **origin.mount("azure", "data")}
    cell = make_cell(mounts=[mount_config], node={"memory": "128MiB"})
    mount = cell.mount("data")
    reader = (
        "import os, sys, time, random\n"
        "r = random.Random(int(sys.argv[1])); end = time.monotonic() + 8\n"
        "while time.monotonic() < end:\n"
        "    n = r.choice(sys.argv[3:]); d = open(sys.argv[2] + '/' + n, 'rb').read()\n"
        "    w = r.randrange(len(d) - 4096); print(n, w, d[w:w + 64].hex(), len(d), flush=True)\n"
    )
    processes = [
        cell.running.start(f"reader-{i}", ["python3", "-c", reader, str(i), str(mount.directory), *names])
        for i in range(4)
    ]
    for process in processes:
        process.expected_to_end = True
        until("a reader ends", lambda p=process: not p.alive(), 60)
        lines = process.log.read_text().splitlines()
        assert lines, process.tail()
        for line in lines:
            name, at, text, size = line.split()
            assert int(size) == SIZE
            assert bytes.fromhex(text) == data.known_bytes("data", name, int(at), 64)


def written_by(process):
    """Bytes that a process has written, replies to the kernel among them."""
    with open(f"/proc/{process.pid}/io", encoding="ascii") as io:
        return int(dict(line.split(": ") for line in io.read().splitlines())["wchar"])


def test_without_passthrough_the_mount_reads_the_arena_itself(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("o", SIZE))
    cell = make_cell(mounts=[{"name": "data", **origin.mount("azure", "data")}])
    cell.nodes[0].cli("load", "data/o")
    mount = cell.mount("data", options=["--no-passthrough", "--transport", "plain"])
    served, written = cell.nodes[0].metric("forebay_served_bytes_total"), written_by(mount.process)
    fd = os.open(mount / "o", os.O_RDONLY)
    assert os.pread(fd, MIB, 0) == data.known_bytes("data", "o", 0, MIB)
    cell.nodes[0].cli("evict", "data/o")
    assert data.read_file(mount / "o") == data.known_bytes("data", "o", 0, SIZE)
    os.close(fd)
    assert written_by(mount.process) - written >= SIZE
    assert cell.nodes[0].metric("forebay_served_bytes_total") == served


class Remote:
    """A node that holds (or fills) all there is, and a mount of another one, which owns next to nothing."""

    def __init__(self, make_cell, fake_origin, *options, load=True):
        self.origin = fake_origin()
        self.origin.add("data", ("o", SIZE), ("p", SIZE))
        mount = {"name": "data", "consistency": "bounded:1d", **self.origin.mount("azure", "data")}
        self.cell = make_cell(nodes=2, mounts=[mount], weights=[1000, 1])
        self.holder, self.reader = self.cell.nodes
        if load:
            self.holder.cli("load", "data/o", "data/p")
        self.mount = self.cell.mount("data", node=1, options=options)
        # Reads of another node's mount, and of this one's, count where they are served.
        self.served_before = self.reader.metric("forebay_served_bytes_total")

    def served(self):
        return self.reader.metric("forebay_served_bytes_total") - self.served_before

    def waits(self):
        return [self.reader.metric(f"forebay_open_waits{late}_total") for late in ("", "_late")]

    def read(self, name="o"):
        assert data.read_file(self.mount / name) == data.known_bytes("data", name, 0, SIZE)

    def open_meanwhile(self, name, action, seconds, size=SIZE):
        """Opens an object in a thread, does something after so many seconds of it, reads the object then."""
        opened = []

        def opens():
            opened.append(os.open(self.mount / name, os.O_RDONLY))

        thread = threading.Thread(target=opens)
        thread.start()
        time.sleep(seconds)
        assert not opened, "the open was to wait"
        action()
        thread.join()
        assert os.pread(opened[0], size + 1, 0) == data.known_bytes("data", name, 0, size)
        os.close(opened[0])


def test_an_open_waits_for_a_remote_object_that_comes_soon(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin, "--open-wait", "10s")
    cell.read()
    if cell.served():
        pytest.skip("this kernel has no passthrough")
    assert cell.waits() == [1, 0]
    assert SIZE * 0.9 <= cell.reader.metric("forebay_peer_bytes_total") <= SIZE, "each byte was received once"
    assert cell.reader.metric("forebay_arena_transit_bytes") == 0, "it stays"
    cell.read()
    cell.reader.cli("evict", "data/o")
    cell.holder.cli("load", "data/o")
    cell.read()
    assert cell.waits() == [2, 0]
    assert cell.served() == 0, "no READ request came of any of it"


def test_an_open_does_not_wait_for_what_would_take_too_long(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin)  # 100 ms, and nobody knows yet how fast bytes come
    cell.read()
    assert cell.waits() == [0, 0]
    assert cell.served() >= SIZE
    never = cell.cell.mount("data", node=0, options=["--open-wait", "0"])
    assert data.read_file(never / "p") == data.known_bytes("data", "p", 0, SIZE)
    assert cell.holder.metric("forebay_open_waits_total") == 0


def test_an_open_waits_no_longer_than_it_may(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin, "--open-wait", "300ms", load=False)
    os.stat(cell.mount / "o")
    cell.origin.admin("POST", "/settings", {"latency_ms": 1500})
    began = time.monotonic()
    fd = os.open(cell.mount / "o", os.O_RDONLY)
    took = time.monotonic() - began
    assert cell.waits() == [1, 1]
    assert took < 5
    assert os.pread(fd, SIZE + 1, 0) == data.known_bytes("data", "o", 0, SIZE)
    os.close(fd)
    assert cell.origin.stats()["get_bytes"] == SIZE, "what came for the open is what the reads found"


def test_an_owner_that_dies_while_an_open_waits_costs_time_only(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin, "--open-wait", "10s", load=False)
    os.stat(cell.mount / "o")
    cell.origin.admin("POST", "/settings", {"latency_ms": 3000})
    cell.open_meanwhile("o", cell.holder.process.kill, 1)
    assert cell.waits()[0] == 1


def test_an_object_that_is_evicted_while_an_open_waits_is_read_all_the_same(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin, "--open-wait", "10s", load=False)
    size = 8 * MIB + 5  # two chunks: the last one comes by one read, which brings in nothing ahead
    cell.origin.add("data", ("q", size))
    os.stat(cell.mount / "q")
    assert len(cell.reader.cli("cat", "data/q", "--offset", 8 * MIB).stdout) == 5
    cell.origin.admin("POST", "/settings", {"latency_ms": 3000})
    cell.open_meanwhile("q", lambda: cell.reader.cli("evict", "data"), 1, size)
    cell.origin.admin("POST", "/settings", {"latency_ms": 0})
    assert cell.waits() == [1, 1], "some of it was evicted while the rest came"
    cell.read("o")
    cell.read("p")


def test_an_object_that_becomes_complete_under_a_plain_handle_is_passed_through_from_then_on(make_cell, fake_origin):
    cell = Remote(make_cell, fake_origin, "--open-wait", "0")
    plain = os.open(cell.mount / "o", os.O_RDONLY)
    assert os.pread(plain, 4096, 5 * MIB) == data.known_bytes("data", "o", 5 * MIB, 4096)
    cell.reader.cli("load", "--copies", "all", "data/o")
    served = cell.served()
    complete = os.open(cell.mount / "o", os.O_RDONLY)
    os.pread(complete, MIB, 0)
    if cell.served() != served:
        pytest.skip("this kernel has no passthrough")
    assert os.fstat(plain).st_ino == os.fstat(complete).st_ino
    assert os.pread(complete, SIZE + 1, 0) == data.known_bytes("data", "o", 0, SIZE)
    assert cell.served() == served
    cell.reader.cli("evict", "data/o")
    assert os.pread(plain, SIZE + 1, 0) == data.known_bytes("data", "o", 0, SIZE)
    assert os.pread(complete, SIZE + 1, 0) == data.known_bytes("data", "o", 0, SIZE)
    os.close(plain)
    os.close(complete)
    cell.read()
