"""Origins that are slow, answer with errors, cut connections, or lie: the right bytes or an error, never a hang."""

import errno
import threading
import time

import pytest
from harness import data

MIB = 1 << 20
SIZE = 3 * MIB + 5
DIALECTS = pytest.mark.parametrize("dialect", ["azure", "s3"])


class Sick:
    def __init__(self, make_cell, fake_origin, dialect, read_timeout="60s", **mount):
        self.origin = fake_origin()
        self.origin.add("data", *[(f"o{i}", SIZE) for i in range(3)])
        table = {"name": "data", "chunk_size": "1MiB", **self.origin.mount(dialect, "data"), **mount}
        self.cell = make_cell(mounts=[table])
        self.mount = self.cell.mount("data", options=["--read-timeout", read_timeout])
        assert len(list(self.mount.directory.iterdir())) == 3  # what is tested is reading, not finding

    def read(self, name="o0"):
        got = data.read_file(self.mount / name)
        assert got == data.known_bytes("data", name, 0, SIZE)

    def read_a_little(self, offset=0):
        assert data.read_file(self.mount / "o0", offset, 100) == data.known_bytes("data", "o0", offset, 100)

    def statuses(self, status):
        return self.origin.stats()["requests_by_status"].get(str(status), 0)


def fails_with_eio(read):
    with pytest.raises(OSError) as error:
        read()
    assert error.value.errno == errno.EIO


@DIALECTS
def test_an_origin_that_drips_is_waited_for_and_others_go_on(make_cell, fake_origin, dialect):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault("drip", name="data/o0", bytes=64 * 1024, ms=10)
    slow = threading.Thread(target=sick.read)
    slow.start()
    sick.read("o1")
    assert slow.is_alive(), "the slow one held up the other one, or was not slow"
    slow.join()
    sick.read()


@DIALECTS
def test_an_origin_that_never_answers_ends_in_an_error_with_a_reason(make_cell, fake_origin, dialect):
    sick = Sick(make_cell, fake_origin, dialect, read_timeout="2s")
    sick.origin.fault("hang", name="data/o0")
    began = time.monotonic()
    failed = threading.Thread(target=lambda: fails_with_eio(sick.read))
    failed.start()
    sick.read("o1")
    assert failed.is_alive(), "others had to wait for the one that hangs"
    failed.join()
    assert 1.9 < time.monotonic() - began < 20, "the deadline is 2 s"
    assert "o0" in sick.mount.process.tail(), "the log says which object and why"
    sick.origin.heal()
    sick.origin.fault("hang", op="list")
    sick.origin.fault("hang", op="head")
    fails_with_eio(lambda: (sick.mount / "not-yet-known").stat())


@DIALECTS
@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_error_that_passes_is_not_seen_by_the_reader(make_cell, fake_origin, dialect, status):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault("status", status=status, next=2)
    sick.read()
    assert sick.statuses(status) == 2
    assert sick.cell.total("forebay_origin_retries_total") >= 2
    assert sick.cell.total("forebay_origin_errors_total") == 0


@DIALECTS
@pytest.mark.parametrize("status", [503, 429])
def test_a_store_that_asks_for_time_gets_it(make_cell, fake_origin, dialect, status):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault("status", name="data/o0", status=status, next=1, retry_after="2")
    began = time.monotonic()
    sick.read_a_little()
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize("dialect,status", [("azure", 500), ("s3", 503), ("azure", 429)])
def test_an_error_that_stays_is_an_error_within_a_bounded_number_of_tries(make_cell, fake_origin, dialect, status):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault("status", status=status)
    fails_with_eio(sick.read)
    assert 1 < sick.statuses(status) <= 60
    assert sick.cell.total("forebay_origin_errors_total") >= 1
    logs = sick.mount.process.tail() + sick.cell.nodes[0].process.tail()
    assert f"answers {status}" in logs, "a log says what the store said"
    sick.origin.heal()
    sick.read()


@DIALECTS
@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_connection_cut_in_the_middle_is_not_seen_by_the_reader(make_cell, fake_origin, dialect, how):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault(how, every=2, bytes=100_000)
    for name in ("o0", "o1", "o2"):
        sick.read(name)
    assert sick.origin.stats()["faults"] > 0


@DIALECTS
def test_connections_that_are_always_cut_are_an_error_and_never_a_short_file(make_cell, fake_origin, dialect):
    sick = Sick(make_cell, fake_origin, dialect)
    sick.origin.fault("cut", bytes=0)
    fails_with_eio(sick.read)
    sick.origin.heal()
    sick.read()


LIES = {
    "longer-than-it-says": {"kind": "content_length", "delta": -10},
    "shorter-than-it-says": {"kind": "content_length", "delta": 10},
    "another-range": {"kind": "content_range", "delta": 4096},
    "the-whole-object": {"kind": "ignore_range"},
}


@DIALECTS
@pytest.mark.parametrize("lie", LIES)
def test_an_origin_that_lies_about_length_gives_an_error_or_the_right_bytes(make_cell, fake_origin, dialect, lie):
    sick = Sick(make_cell, fake_origin, dialect, read_timeout="3s")
    sick.origin.fault(**LIES[lie])
    for offset in (MIB + 100, SIZE - 100):
        try:
            sick.read_a_little(offset)
        except OSError as error:
            assert error.errno == errno.EIO
    assert sick.origin.stats()["faults"] > 0
    sick.origin.heal()
    sick.read()


@DIALECTS
@pytest.mark.parametrize("delta", [-4096, 4096])
def test_an_origin_that_lies_about_an_objects_size_gives_no_byte_that_is_not_the_objects(
    make_cell, fake_origin, dialect, delta
):
    origin = fake_origin()
    origin.add("data", ("o0", SIZE))
    mount = {"name": "data", "chunk_size": "1MiB", **origin.mount(dialect, "data")}
    path = make_cell(mounts=[mount]).mount("data", options=["--read-timeout", "3s"]) / "o0"
    origin.fault("content_length", op="head", delta=delta)
    known = data.known_bytes("data", "o0", 0, SIZE)
    try:
        got = data.read_file(path)
    except OSError as error:
        assert error.errno == errno.EIO
    else:
        # Who is told of a smaller object reads no further, as with any store; but never something else.
        assert got == known[: SIZE + min(delta, 0)]
    assert origin.stats()["faults"] > 0
