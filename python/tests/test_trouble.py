"""Bad input, and what a training job does to its processes."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import forebay
import numpy as np
import pytest
from conftest import MIB, SITE
from harness.processes import until

BAD_CALLS = {
    "an empty name": (lambda c: c.stat(""), ValueError),
    "a name with NUL": (lambda c: c.stat("data/a\0b"), ValueError),
    "no name at all": (lambda c: c.stat(None), TypeError),
    "bytes as a name": (lambda c: c.open(b"data/a"), TypeError),
    "one string where names are meant": (lambda c: c.stat_batch("data/a"), TypeError),
    "one string where ranges are meant": (lambda c: c.prefetch("data/a"), TypeError),
    "a URL": (lambda c: c.stat("s3://data/a"), ValueError),
    "no such mount": (lambda c: c.stat("absent/a"), FileNotFoundError),
    "listing what isn't there": (lambda c: c.ls("data/absent"), FileNotFoundError),
    "opening a directory": (lambda c: c.open("data/dir"), OSError),
    "writing": (lambda c: c.open("data/a", "wb"), io.UnsupportedOperation),
    "an unknown mode": (lambda c: c.open("data/a", "q"), io.UnsupportedOperation),
    "unbuffered text": (lambda c: c.open("data/a", "r", buffering=0), ValueError),
    "an encoding of bytes": (lambda c: c.open("data/a", encoding="utf-8"), ValueError),
    "a negative offset": (lambda c: c.read("data/a", -1, 1), ValueError),
    "a negative size": (lambda c: c.open("data/a", buffering=0).pread(-1, 0), ValueError),
    "an offset of 2^64": (lambda c: c.open("data/a", buffering=0).pread(1, 1 << 64), TypeError),
    "a seek before the start": (lambda c: c.open("data/a", buffering=0).seek(-1), ValueError),
    "a seek from nowhere": (lambda c: c.open("data/a", buffering=0).seek(0, 9), ValueError),
    "reading into bytes": (lambda c: c.read_batch([("data/a", 0, b"1234")]), BufferError),
    "reading into a number": (lambda c: c.read_batch([("data/a", 0, 4)]), TypeError),
    "reading into a strided array": (lambda c: c.read_batch([("data/a", 0, np.zeros((4, 4))[:, 1])]), ValueError),
    "reading into a read-only array": (
        lambda c: c.read_batch([("data/a", 0, np.frombuffer(b"1234", np.uint8))]), ValueError),
    "a buffered file in a batch": (lambda c: c.read_batch([(c.open("data/a"), 0, bytearray(1))]), TypeError),
    "half a range": (lambda c: c.read_batch([("data/a", 0)]), ValueError),
    "a negative offset in a batch": (lambda c: c.read_batch([("data/a", -1, bytearray(1))]), OverflowError),
    "too many ranges": (lambda c: c.prefetch(["data/a"] * ((1 << 20) + 1)), ValueError),
}


@pytest.mark.parametrize("what", BAD_CALLS)
def test_bad_input_is_an_exception(client, what):
    call, expected = BAD_CALLS[what]
    with pytest.raises(expected):
        call(client)
    assert client.stat("data/a").size, "the client goes on"


def test_a_file_of_another_client_is_refused(client, world):
    with forebay.connect() as other, other.open("data/a", buffering=0) as file:
        with pytest.raises(forebay.InvalidArgumentError, match="another client"):
            client.read_batch([(file, 0, bytearray(1))])


def test_nobody_answers(tmp_path):
    with pytest.raises(ConnectionError, match="FOREBAY_NODE") as caught:
        forebay.connect(f"unix:{tmp_path}/nobody.sock")
    assert caught.value.code == "Unavailable"
    for bad in ({"node": "nonsense"}, {"timeout": 0}, {"timeout": float("nan")}, {"connect_timeout": -1}):
        with pytest.raises(ValueError):
            forebay.connect(**bad)


def test_the_timeout_ends_a_call(world):
    world.origin.add("data", ("hangs", MIB))
    world.origin.fault("hang", name="data/hangs")
    try:
        with forebay.connect(timeout=0.5) as client, pytest.raises((TimeoutError, ConnectionError)):
            client.read("data/hangs")
    finally:
        world.origin.heal()


def test_ctrl_c_ends_a_call(world):
    world.origin.add("data", ("stuck", MIB))
    world.origin.fault("hang", name="data/stuck")
    # Shells start what runs in the background with SIGINT ignored, and Python then leaves it so.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "import forebay; c = forebay.connect(); print('go', flush=True); c.read('data/stuck')"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"go\n"
        time.sleep(0.2)  # into the read; before it, Ctrl-C works anyway
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=30)  # the client's own timeout is 60 s
        assert b"KeyboardInterrupt" in errors and child.returncode != 0
    finally:
        child.kill()
        child.communicate()
        world.origin.heal()


def test_closing_in_one_thread_leaves_calls_of_others(world):
    world.origin.add("data", ("late", 2 * MIB))
    results = []
    other = forebay.connect()
    file = other.open("data/late", buffering=0)
    world.origin.reset_stats()
    world.origin.fault("latency", op="get", name="data/late", ms=500, next=1)
    thread = threading.Thread(target=lambda: results.append(len(file.pread(MIB, MIB))))
    thread.start()
    until("the origin was asked", lambda: any("late" in str(request) for request in world.origin.requests()))
    other.close()
    thread.join()
    assert results == [MIB]


def in_child(work):
    """The result of work() in a forked child; what it raised is raised here."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, repr(work()).encode())
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return told


def test_a_forked_child_connects_anew(client, known):
    with client.open("data/a", buffering=0) as file:
        assert in_child(lambda: client.read("data/dir/c") == known("dir/c")) == "True"
        told = in_child(lambda: file.pread(1, 0))
        assert told.startswith("InvalidArgumentError") and "fork" in told
        assert in_child(client.close) == "None" and in_child(file.close) == "None"
        assert file.pread(10, 0) == known("a", 0, 10), "the parent goes on"


def _size_of(client, name):
    return client.stat(name).size


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_pool_use_the_client_they_were_given(client, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(_size_of, [(client, "data/a"), (client, "data/dir/c")]) == [3 * MIB + 17, 10]


def test_a_process_that_ends_in_the_middle_of_everything(world):
    """Threads that read, a prefetch on its way, and no close: the interpreter still ends with 0."""
    script = """
import forebay, threading
c = forebay.connect()
f = c.open("data/a", buffering=0)
p = c.prefetch(["data/dir/b"], wait=False)
def read():
    while True: f.pread(1 << 20, 0)
for _ in range(3): threading.Thread(target=read, daemon=True).start()
f.pread(1, 0)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_wheel_runs_without_the_source_tree(world, tmp_path):
    """No NumPy, no fsspec, no site-packages, and no library from elsewhere than the wheel and libc's family."""
    script = f"""
import sys; sys.path.insert(0, {str(SITE)!r})
import forebay
with forebay.connect() as client:
    assert client.read("data/dir/c") and client.ls("data")
print(forebay.__version__)
for line in open("/proc/self/maps"):
    if ".so" in line: print(line.split()[-1])
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, capture_output=True, timeout=60,
                          env={"FOREBAY_NODE": world.node})
    assert done.returncode == 0, done.stderr.decode()
    version, *loaded = done.stdout.decode().split()
    assert version == "0.1.0"
    ours = [path for path in loaded if "forebay" in os.path.basename(path) or "protobuf" in path or "libfmt" in path]
    assert len(ours) > 2 and all(path.startswith(str(SITE)) for path in ours)
