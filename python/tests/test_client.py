"""The package as a training script uses it."""

import errno
import io
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import forebay
import numpy as np
import pytest
from conftest import MIB, OBJECTS


# ---- names ----


def test_a_directory_is_listed_in_order(client):
    assert [(e.name, e.directory, e.size) for e in client.ls("data")] == [
        ("a", False, OBJECTS["a"]), ("dir", True, 0), ("empty", False, 0),
    ]
    assert [e.name for e in client.ls("data/dir/")] == ["b", "c", "sub"]
    assert client.ls("data")[0].mtime_ns > 1e18


def test_a_cell_is_read_without_a_node_beside_it(world, known):
    members = [":".join(map(str, node.address)) for node in world.cell.nodes]
    with forebay.connect(direct=members[:1]) as client:
        with client.open("data/a") as file:
            assert file.read() == known("a")
        assert [entry.name for entry in client.scandir("data/dir")] == ["b", "c", "sub"]
        copy = pickle.loads(pickle.dumps(client))
        assert copy.stat("data/a").size == len(known("a"))
        copy.close()
        assert members[0] in repr(client)
    with pytest.raises(ValueError, match="not both"):
        forebay.connect(world.node, direct=members)
    with pytest.raises(TypeError):
        forebay.connect(direct=members[0])


def test_stat_says_what_names_are(client):
    found = client.stat("data/a")
    assert (found.directory, found.size, found.chunk_size) == (False, OBJECTS["a"], MIB) and found.version
    assert client.stat("data/dir").directory and client.stat("data").directory
    assert [one.size for one in client.stat_batch(["data/empty", "data/dir/c"])] == [0, 10]
    assert client.stat_batch([]) == []
    assert client.exists("data/dir/sub/d") and not client.exists("data/absent") and not client.exists("nowhere/a")


def test_one_of_many_names_is_missing(client):
    names = ["data/a", "data/absent", "data/dir/c"]
    with pytest.raises(FileNotFoundError, match="absent"):
        client.stat_batch(names)
    first, missing, last = client.stat_batch(names, return_exceptions=True)
    assert (first.size, last.size) == (OBJECTS["a"], 10)
    assert isinstance(missing, forebay.NotFoundError) and missing.code == "NotFound"


def test_names_of_many_scripts_and_bytes(client, world):
    odd = ["ünïcode 名前", "with space", "percent%41", b"not-utf8-\xff".decode(errors="surrogateescape")]
    (world.files / "odd").mkdir()
    for name in odd:
        (world.files / "odd" / name).write_bytes(b"x")
    listed = [entry.name for entry in client.ls("files/odd")]
    assert {name for name in odd if name.isprintable()} <= set(listed)
    assert all(client.read(f"files/odd/{name}") == b"x" for name in listed)


# ---- files ----


def test_a_file_reads_as_a_file(client, known):
    want = known("a")
    with client.open("data/a") as file:
        assert isinstance(file, io.BufferedReader) and file.raw.size == len(want)
        assert file.read(10) == want[:10]
        assert file.seek(-7, io.SEEK_END) == len(want) - 7 and file.read() == want[-7:] and file.read() == b""
        assert file.seek(MIB - 3) == MIB - 3 and file.read(6) == want[MIB - 3 : MIB + 3]
        assert file.tell() == MIB + 3
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_an_unbuffered_file_reads_into_memory(client, known):
    want = known("a")
    with client.open("data/a", buffering=0) as file:
        assert isinstance(file, io.RawIOBase) and file.readable() and file.seekable() and not file.writable()
        into = bytearray(MIB)
        assert file.readinto(into) == MIB and into == want[:MIB]
        assert file.pread(9, 5) == want[5:14] and file.tell() == MIB
        assert file.pread_into(memoryview(into)[:4], 1) == 4 and into[:4] == want[1:5]
        assert file.readall() == want[MIB:] and file.readinto(into) == 0 and file.pread(5, 1 << 60) == b""
        assert file.seek(1 << 62) and file.read(1) == b""
        assert file.stat() == client.stat("data/a")


def test_text_and_an_empty_object(client, world):
    (world.files / "lines").write_text("eins\nzwei ü\n", encoding="utf-8")
    with client.open("files/lines", "r", encoding="utf-8") as file:
        assert list(file) == ["eins\n", "zwei ü\n"]
    assert client.read("data/empty") == b"" and client.open("data/empty").read() == b""


def test_an_open_file_keeps_its_version(client, world):
    (world.files / "changing").write_bytes(b"old")
    with client.open("files/changing", buffering=0) as file:
        assert file.pread(3, 0) == b"old"
        (world.files / "changing").write_bytes(b"newer")
        assert client.open("files/changing", revalidate=True).read() == b"newer"
        assert file.size == 3
        try:
            assert file.pread(3, 0) == b"old"
        except forebay.GoneError as error:
            assert error.errno == errno.ESTALE


def test_many_threads_read_one_file(client, known):
    want = known("a")
    with client.open("data/a", buffering=0) as file, ThreadPoolExecutor(8) as pool:
        offsets = range(0, len(want), 50_000)
        assert all(pool.map(lambda o: file.pread(50_000, o) == want[o : o + 50_000], offsets))


# ---- views ----


def pinned(world):
    return world.cell.nodes[0].json("status", "--local")["nodes"][0]["pinning"]


def none_is_pinned(world):
    for _ in range(500):
        if not pinned(world):
            return True
        time.sleep(0.01)
    return False


def test_a_view_is_a_read_only_buffer_until_its_end(client, known, world):
    with client.open("data/dir/b", buffering=0) as file:
        with file.view(100, 50_000) as buffer:
            assert bytes(buffer) == known("dir/b", 100, 50_000) and buffer.readonly
            with pytest.raises(TypeError):
                buffer[0] = 1
        with pytest.raises(ValueError):
            bytes(buffer)
        with file.view(70_000, 100) as buffer:
            assert bytes(buffer) == known("dir/b", 70_000, 1)
        with file.view(80_000, 100) as buffer:
            assert bytes(buffer) == b""
        with pytest.raises(ValueError):
            file.view(-1, 10)
    with pytest.raises(ValueError):
        file.view(0, 10)
    assert none_is_pinned(world)


def test_what_is_made_of_a_view_keeps_it(client, known, world):
    with client.open("data/dir/b", buffering=0) as file:
        view = file.view(0, 64_000)
        if not view.pinned:
            pytest.skip("this user's node has no tmpfs")
        with view as buffer:
            array = np.frombuffer(buffer, np.uint8)
    (held,) = pinned(world)
    assert (held["pid"], held["bytes"], held["views"]) == (os.getpid(), 64_000, 1)
    world.cell.nodes[0].cli("evict", "data")
    assert array.tobytes() == known("dir/b", 0, 64_000)
    view.release()
    del array, buffer
    assert none_is_pinned(world)


def test_a_client_without_shared_memory_views_copies(world, known):
    with forebay.connect(world.node, shared_memory=False) as client, client.open("data/dir/b", buffering=0) as file:
        view = file.view(0, 64_000)
        assert not view.pinned and bytes(view.buffer) == known("dir/b", 0, 64_000) and len(view) == 64_000
        view.release()
        view.release()


# ---- batches ----


def test_a_batch_reads_into_arrays(client, known):
    rows = np.zeros((3, 1000), np.uint8)
    floats = np.zeros((5, 5), np.float32)
    tail = bytearray(100)
    with client.open("data/a", buffering=0) as file:
        got = client.read_batch(
            [(file, 0, rows[0]), ("data/dir/b", 70_000, tail), ("data/a", MIB - 500, rows[1]), (file, 17, floats)]
        )
    assert got == [1000, 1, 1000, 100]
    assert rows[0].tobytes() == known("a", 0, 1000) and rows[1].tobytes() == known("a", MIB - 500, 1000)
    assert floats.tobytes() == known("a", 17, 100) and tail[:1] == known("dir/b", 70_000, 1)
    assert client.read_batch([]) == []


def test_one_of_a_batch_is_missing(client, known):
    buffers = [bytearray(10) for _ in range(3)]
    requests = list(zip(["data/dir/c", "data/absent", "data/dir/b"], [0, 0, 0], buffers))
    with pytest.raises(FileNotFoundError, match="absent"):
        client.read_batch(requests)
    first, missing, last = client.read_batch(requests, return_exceptions=True)
    assert (first, last) == (10, 10) and isinstance(missing, FileNotFoundError)
    assert buffers[0] == known("dir/c") and buffers[2] == known("dir/b", 0, 10)


def test_small_files_come_whole(client, known, world):
    names = ["dir/b", "empty", "dir/c", "dir/sub/d"]
    assert client.read_files(f"data/{name}" for name in names) == [known(name) for name in names]


def test_prefetch_brings_bytes_into_the_cell_once(client, world, known):
    world.origin.add("data", ("ahead", 2 * MIB), ("behind", 2 * MIB))
    assert client.prefetch(["data/ahead"]) == 2 * MIB
    world.origin.reset_stats()
    client.read("data/ahead")
    assert not any(r["op"] == "get" for r in world.origin.requests() if "op" in r)
    coming = client.prefetch([("data/behind", 0, MIB), "data/empty"], wait=False)
    assert coming.wait() == MIB and coming.done() and coming.wait() == MIB
    assert client.prefetch([]) == 0 and client.prefetch([], wait=False).done()
    with pytest.raises(FileNotFoundError, match="absent"):
        client.prefetch(["data/a", "data/absent"])


# ---- life ----


def test_a_closed_client_says_so(world):
    client = forebay.connect()
    file = client.open("data/a", buffering=0)
    client.close()
    client.close()
    assert client.closed
    for call in (lambda: client.stat("data/a"), lambda: file.pread(1, 0), lambda: client.open("data/a")):
        with pytest.raises(ValueError, match="closed"):
            call()
    file.close()
    file.close()


def test_a_client_is_pickled_as_what_it_was_made_from(client, known):
    with pickle.loads(pickle.dumps(client)) as other:
        assert other.read("data/dir/c") == known("dir/c")
    with pytest.raises(TypeError, match="open it in the other process"), client.open("data/a", buffering=0) as file:
        pickle.dumps(file)


def test_errors_are_pythons_own_and_travel(client):
    with pytest.raises(forebay.NotFoundError) as caught:
        client.open("data/absent")
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, FileNotFoundError) and error.errno == errno.ENOENT and error.code == "NotFound"
    assert "absent" in str(error) and str(error) == str(caught.value)


def test_threads_run_while_one_reads(client, world):
    """The origin holds an object back; meanwhile this thread goes on."""
    world.origin.add("data", ("slow", MIB))
    world.origin.fault("latency", name="data/slow", ms=1500)
    done = threading.Event()

    def read():
        client.read("data/slow")
        done.set()

    thread = threading.Thread(target=read)
    thread.start()
    turns = 0
    while not done.wait(0.001):
        turns += 1
    thread.join()
    world.origin.heal()
    assert turns > 50, "the reader kept the GIL"
