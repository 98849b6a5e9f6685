"""Fixtures of the package's tests: the built wheel, unpacked in build/python/site, against a real cell.

scripts/python.sh; FOREBAY_BIN=build/release/bin .venv/bin/python -m pytest python/tests
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "python" / "site"
if not SITE.is_dir():
    pytest.exit(f"{SITE} is not there: run scripts/python.sh first", returncode=2)
sys.path[:0] = [str(SITE), str(ROOT / "tests" / "e2e")]
os.environ["PYTHONPATH"] = str(SITE)  # of child processes
import importlib.util  # noqa: E402

_spec = importlib.util.spec_from_file_location("e2e_conftest", ROOT / "tests" / "e2e" / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
pytest_configure, pytest_runtest_makereport = _e2e.pytest_configure, _e2e.pytest_runtest_makereport
program = _e2e.program

import forebay  # noqa: E402
from harness import data  # noqa: E402
from harness.cell import Cell  # noqa: E402
from harness.origins import FakeOrigin  # noqa: E402
from harness.processes import Running  # noqa: E402

MIB = 1 << 20
OBJECTS = {"a": 3 * MIB + 17, "empty": 0, "dir/b": 70_001, "dir/c": 10, "dir/sub/d": MIB}


class World:
    """A cell of two nodes: the mount "data" of OBJECTS with known bytes (its store is `origin`), and the mount "files"
    of the directory `files`, to put into what a test needs."""

    def __init__(self, running, program, base):
        self.files = base / "files"
        self.files.mkdir()
        self.origin = FakeOrigin(running, _e2e.program_path("forebay_fake_origin"))
        self.origin.add("data", *OBJECTS.items())
        mounts = [
            {"name": "data", "chunk_size": "1MiB", **self.origin.mount("azure", "data")},
            {"name": "files", "chunk_size": "1MiB", "url": f"file://{self.files}", "consistency": "open"},
        ]
        self.cell = Cell(running, program, base / "cell", nodes=2, mounts=mounts).start()
        self.node = f"unix:{self.cell.nodes[0].socket}"


@pytest.fixture(scope="module")
def world(program, tmp_path_factory, request):
    """One for the tests of a file: they only read, or have names of their own."""
    logs = ROOT / "build" / "e2e-logs" / f"python_{request.node.path.stem}"
    shutil.rmtree(logs, ignore_errors=True)
    running = Running(logs, 300)
    before = os.environ.get("FOREBAY_NODE")
    made = World(running, program, tmp_path_factory.mktemp("world"))
    os.environ["FOREBAY_NODE"] = made.node
    yield made
    if "forebay.fs" in sys.modules:  # fsspec keeps instances, and they their node
        sys.modules["forebay.fs"].ForebayFileSystem.clear_instance_cache()
    os.environ.pop("FOREBAY_NODE") if before is None else os.environ.update(FOREBAY_NODE=before)
    complaints = running.end()
    if complaints:
        pytest.fail("at the end of the tests:\n" + "\n".join(complaints), pytrace=False)


@pytest.fixture
def client(world):
    with forebay.connect() as connected:
        yield connected


@pytest.fixture
def known():
    """known(name, offset, length): the bytes of an object of the mount "data"."""
    return lambda name, offset=0, length=None: data.known_bytes(
        "data", name, offset, OBJECTS[name] - offset if length is None else length
    )
