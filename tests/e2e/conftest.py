"""Fixtures of the end-to-end tests.

The programs come from the directory that FOREBAY_BIN names (scripts/test.sh: the ASan tree's). Logs of each test are
in build/e2e-logs/TEST/; their ends are shown with a failure. `@pytest.mark.seconds(300)` gives a test more than 120 s.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness.cell import Cell, Mount  # noqa: E402
from harness.nobody import NOBODY  # noqa: E402
from harness.origins import FakeOrigin, RealServer  # noqa: E402
from harness.processes import Running  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "e2e-logs"


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): how long the test may take until its processes are killed")
    # Ended from outside (CI's time limit, `timeout`), tests still take their mounts and servers with them.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=143))


def pytest_collection_modifyitems(items):
    # The longest first, so that with several workers (-n) none is left alone with one at the end.
    def seconds(item):
        marker = item.get_closest_marker("seconds")
        return marker.args[0] if marker else 0

    items.sort(key=seconds, reverse=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    running = getattr(item, "running", None)
    if report.failed and running is not None:
        for process in running.processes:
            report.sections.append((f"end of {process.log}", process.tail()))


def program_path(name):
    directory = os.environ.get("FOREBAY_BIN")
    if not directory:
        pytest.fail("FOREBAY_BIN must name the directory of the programs: scripts/test.sh e2e does that", pytrace=False)
    path = Path(directory) / name
    if not path.is_file():
        pytest.fail(f"{path} is not there: build it first", pytrace=False)
    return path


@pytest.fixture(scope="session")
def program():
    """The path of the program `forebay`."""
    return program_path("forebay")


@pytest.fixture
def running(request):
    """What this test started; its end is part of the test."""
    name = re.sub(r"[^\w.-]+", "_", request.node.nodeid.removeprefix("tests/e2e/"))
    logs = LOGS / name
    shutil.rmtree(logs, ignore_errors=True)
    marker = request.node.get_closest_marker("seconds")
    started = Running(logs, *(marker.args if marker else ()))
    request.node.running = started
    yield started
    complaints = started.end()
    if complaints:
        pytest.fail("at the end of the test:\n" + "\n".join(complaints), pytrace=False)


@pytest.fixture
def make_cell(running, program, tmp_path):
    """make_cell(nodes=3, mounts=[...], node={...}): a cell that was started."""

    def make(**options):
        return Cell(running, program, tmp_path / "cell", **options).start()

    return make


@pytest.fixture
def home_of_nobody():
    """A directory that user nobody owns and can reach, which pytest's own are not."""
    home = Path(tempfile.mkdtemp(prefix="forebay-nobody-"))
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def mount_url(running, program, tmp_path):
    """mount_url("s3://...", environment={...}, options=[...]): one command, as a newcomer types it. The mounts of a
    test share a run directory of its own: the machine's other nodes are left alone."""
    count = 0

    def make(url, environment=None, options=()):
        nonlocal count
        count += 1
        run_dir = tmp_path / "run"
        environment = {"FOREBAY_NODE_RUN_DIR": str(run_dir), **(environment or {})}
        return Mount(running, program, url, tmp_path / f"mnt{count}", environment, ["--memory", "256MiB", *options])

    return make


@pytest.fixture
def fake_origin(running, tmp_path):
    """fake_origin(root=DIR, ...): the project's own object store, with faults on demand."""

    def make(**options):
        return FakeOrigin(running, program_path("forebay_fake_origin"), **options)

    return make


@pytest.fixture
def real_server(running, tmp_path):
    """real_server("azurite" or "versitygw"): a real object store with nothing in it."""

    def make(kind):
        return RealServer(running, ROOT / "scripts" / "real_servers.sh", kind, tmp_path / kind)

    return make
