"""Clocks that jump: the time of day of nodes and mounts is set years ahead and back while they are read through.

The container is public: a store refuses what was signed at a wrong time of day, and says so.
"""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.processes import until
from test_cell import HUGE, Readers

SOURCE = Path(__file__).resolve().parents[1] / "tools" / "fake_clock.c"
YEAR = 366 * 86_400


class Clock:
    """What processes that start now take for the time of day; set(seconds) moves it for all of them at once."""

    def __init__(self, directory):
        self._file = directory / "offset"
        library = directory / "fake_clock.so"
        subprocess.run(["clang-19", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", SOURCE, "-o", library], check=True)
        self.environment = {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(self._file)}
        self._file.write_bytes(struct.pack("=q", 0))

    def set(self, seconds):
        with open(self._file, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def seen(self):
        """The offset that a process started now sees."""
        said = subprocess.run([sys.executable, "-c", "import time; print(time.time())"], capture_output=True, check=True,
                              env={**os.environ, **self.environment})
        return float(said.stdout) - time.time()


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


@pytest.mark.seconds(240)
def test_nothing_waits_by_the_time_of_day(make_cell, fake_origin, clock, monkeypatch):
    origin = fake_origin(anonymous=True)
    origin.add("data", *HUGE)
    mount = {"name": "data", "chunk_size": "1MiB", "anonymous": True, "url": "s3://data", "path_style": True,
             "region": "us-east-1", "endpoint": origin.info["s3"]}
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    cell = make_cell(nodes=2, mounts=[mount])
    with Readers(cell.mount("data", node=0), cell.mount("data", node=1)) as readers:
        readers.wait_for_more(10)
        for jump in (YEAR, -YEAR, -30 * YEAR, 10 * YEAR, 0):
            clock.set(jump)
            assert abs(clock.seen() - jump) < 100
            readers.wait_for_more(20)
        # A node that is lost and comes back is found by what waits: backoffs, rests of peers, deadlines.
        clock.set(YEAR)
        cell.nodes[1].process.pause()
        readers.wait_for_more(10)
        clock.set(-YEAR)
        cell.nodes[1].process.resume()
        readers.wait_for_more(10)
    assert all(node.process.alive() for node in cell.nodes)
    until("the nodes answer", lambda: all(node.admin_status("/healthz") == 200 for node in cell.nodes))
