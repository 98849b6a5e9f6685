"""`forebay helper`: nodes and mounts without any capability have their tmpfs, and the kernel reads whole objects itself."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import data
from harness.cell import Cell, Mount, is_mounted
from harness.nobody import FUSE_FOR_ALL, NOBODY, as_nobody
from harness.processes import until

MIB = 1 << 20
SIZE = 12 * MIB + 5
OBJECTS = ("o", "p", "q")
# With the capabilities that packaging/forebay-helper.service leaves it, and no others.
AS_ITS_UNIT = ["setpriv", "--bounding-set=-all,+sys_admin,+dac_read_search", "--inh-caps=-all", "--no-new-privs"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a helper is root's")


class Unprivileged:
    """A helper, a node of user nobody's with its objects complete, and a mount in a process of nobody's."""

    def __init__(self, running, program, home, fake_origin, *helper_options):
        self.running, self.home = running, home
        self.program = shutil.copy(program, home / "program")  # the checkout may be out of nobody's reach
        (home / "root").mkdir(mode=0o755)
        self.socket = home / "root" / "helper.sock"
        self.helper_options = helper_options or ("--allow", "nobody")
        self.helpers = 0
        self.start_helper()
        origin = fake_origin()
        origin.add("data", *((name, SIZE) for name in OBJECTS))
        self.cell = Cell(
            running, self.program, home / "cell", mounts=[{"name": "data", **origin.mount("azure", "data")}],
            node={"helper": str(self.socket)}, hosts=[("127.0.0.1", as_nobody())],
        )
        self.node = self.cell.nodes[0]
        self.node.owner = NOBODY
        self.cell.start()
        self.forebay("load", *(f"data/{name}" for name in OBJECTS))

    def start_helper(self):
        self.helpers += 1
        self.helper = self.running.start(
            f"helper-{self.helpers}", [*AS_ITS_UNIT, self.program, "helper", "--socket", self.socket, *self.helper_options]
        )
        until("the helper listens", lambda: "listens on" in self.helper.tail(), 30)

    def forebay(self, *arguments):
        environment = {**os.environ, **self.node.environment()}
        done = subprocess.run(as_nobody(self.program, *arguments), env=environment, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def status(self):
        return json.loads(self.forebay("status", "--json"))["nodes"][0]

    def start_mount(self, *options):
        directory = self.home / "mnt"
        directory.mkdir()
        os.chown(directory, NOBODY, NOBODY)
        environment = {**self.node.environment(), "FOREBAY_NODE_RUN_DIR": str(self.home / "run"), "HOME": str(self.home)}
        self.mount = Mount(
            self.running, self.program, "data", directory, environment,
            ["--helper", self.socket, "--allow-other", *options], as_nobody(),
        )
        return self.mount

    def written(self):
        """Bytes that the mount's process has written: replies to READ requests are most of it, if there are any."""
        with open(f"/proc/{self.mount.process.pid}/io", encoding="ascii") as io:
            return int(dict(line.split(": ") for line in io.read().splitlines())["wchar"])

    def open(self, name):
        return os.open(self.mount / name, os.O_RDONLY)

    def by_kernel(self, fd, name):
        """Reads all of an object and compares; whether the mount's process had no part in that."""
        before = self.written()
        assert os.pread(fd, SIZE + 1, 0) == known(name)
        return self.written() - before < 64 * 1024


def known(name):
    return data.known_bytes("data", name, 0, SIZE)


def capabilities(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"CapEff:\s*(\w+)", status).group(1), 16)


@pytest.fixture
def make(home_of_nobody, running, program, fake_origin):  # in this order: the home goes last
    return lambda *options: Unprivileged(running, program, home_of_nobody, fake_origin, *options)


def test_a_node_and_a_mount_without_capabilities_have_all_that_root_has(make):
    it = make()
    it.start_mount()
    assert capabilities(it.node.process) == capabilities(it.mount.process) == 0
    served = it.node.metric("forebay_served_bytes_total")
    fd = it.open("o")
    if not it.by_kernel(fd, "o"):
        pytest.skip("this kernel has no passthrough")
    os.close(fd)
    assert data.read_file(it.mount / "p") == known("p")
    assert it.node.metric("forebay_served_bytes_total") == served
    with pytest.raises(OSError):
        os.open(it.mount / "o", os.O_RDWR)
    status = it.status()
    assert any("never swapped, by the helper at" in note for note in status["notes"]), status["notes"]
    assert status["mounts"][0]["whole_objects"] == "passthrough"
    said = it.forebay("status")
    assert f"by the kernel itself (passthrough, by the helper at {it.socket})" in said
    it.forebay("unmount", "--helper", it.socket, it.mount.directory)
    assert it.mount.process.wait() == 0
    assert not is_mounted(it.mount.directory)


def test_one_command_of_a_user_without_capabilities_has_it_too(home_of_nobody, running, program):
    home = home_of_nobody
    forebay = shutil.copy(program, home / "program")
    data.make_file(home / "source" / "o", SIZE)
    helper = running.start("helper", [forebay, "helper", "--socket", home / "helper.sock", "--allow", str(NOBODY)])
    until("the helper listens", lambda: "listens on" in helper.tail(), 30)
    (home / "mnt").mkdir()
    os.chown(home / "mnt", NOBODY, NOBODY)
    environment = {"FOREBAY_NODE_RUN_DIR": str(home / "run"), "HOME": str(home)}
    options = ["--helper", home / "helper.sock", "--memory", "256MiB", "--allow-other"]
    mount = Mount(running, forebay, f"file://{home / 'source'}", home / "mnt", environment, options, as_nobody())
    true = (home / "source" / "o").read_bytes()
    assert data.read_file(mount / "o") == true
    assert data.read_file(mount / "o") == true
    assert "by the helper at" in mount.process.tail()
    assert mount.process.stop() is None
    assert not is_mounted(home / "mnt")
    until("the helper hears that its memory is free", lambda: "unmounted" in helper.tail())


def test_a_helper_that_dies_costs_speed_and_nothing_else(make):
    it = make()
    it.start_mount()
    old = it.open("o")
    if not it.by_kernel(old, "o"):
        pytest.skip("this kernel has no passthrough")
    it.helper.kill()
    until("the mount notices", lambda: "has gone" in it.mount.process.tail())
    assert it.by_kernel(old, "o"), "what is open goes on"
    other = it.open("p")
    assert not it.by_kernel(other, "p"), "new opens come through the mount's process"
    assert it.status()["mounts"][0]["whole_objects"] == "mapped"
    assert "from a mapping: the helper at" in it.forebay("status")
    for name in ("o", "p"):
        assert data.read_file(it.mount / name) == known(name)
    assert it.mount.process.log.read_text().count("has gone") == 1, "once in the log"
    os.close(old)
    os.close(other)
    it.start_helper()
    until("the mount notices", lambda: "helper.sock is back" in it.mount.process.tail())
    new = it.open("q")  # the kernel has none of its pages from before
    assert it.by_kernel(new, "q"), "the kernel reads by itself again"
    os.close(new)
    assert it.status()["mounts"][0]["whole_objects"] == "passthrough"
    assert it.mount.process.stop() is None


def test_a_helper_that_stops_answering_delays_one_open_only(make):
    it = make()
    it.start_mount()
    fd = it.open("o")
    if not it.by_kernel(fd, "o"):
        pytest.skip("this kernel has no passthrough")
    it.helper.pause()
    for name in OBJECTS[1:] * 10:
        assert data.read_file(it.mount / name) == known(name)
    assert "nothing came within 500 ms" in it.mount.process.tail()
    assert it.by_kernel(fd, "o")
    os.close(fd)
    it.helper.resume()
    until("the mount notices", lambda: "helper.sock is back" in it.mount.process.tail())


def test_a_mount_ends_while_there_is_no_helper(make):
    it = make()
    it.start_mount()
    fd = it.open("o")
    it.helper.kill()
    os.close(fd)
    # Its own user can't unmount it without helper or fusermount3; root can, and the process ends.
    subprocess.run(["umount", it.mount.directory], check=True)
    assert it.mount.process.wait() == 0


def test_a_user_who_is_not_allowed_is_told_so_and_goes_on_without(running, make):
    it = make("--allow", "daemon")
    log = it.node.process.log.read_text()
    assert f"uid {NOBODY} may not use this helper: start it with --allow {NOBODY}" in log
    assert any("may not use this helper" in note for note in it.status()["notes"])
    # A mount by fusermount3, in a namespace where anybody may open /dev/fuse.
    mnt, devices = it.home / "mnt", it.home / "dev"
    mnt.mkdir()
    devices.mkdir()
    os.chown(mnt, NOBODY, NOBODY)
    environment = {**it.node.environment(), "FOREBAY_NODE_RUN_DIR": str(it.home / "run"), "HOME": str(it.home)}
    mount = as_nobody(it.program, "mount", "data", mnt, "--foreground", "--helper", it.socket)
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", FUSE_FOR_ALL, "sh", str(devices)]
    process = running.start("mount-nobody", [*private, *mount], env=environment)
    until("it is mounted", lambda: not process.alive() or is_mounted(mnt, process.pid), 60)
    assert process.alive(), process.tail()
    assert "may not use this helper: start it with --allow" in process.tail()

    def inside(*command):
        command = ["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", *map(str, command)]
        return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60)

    assert inside(*as_nobody("cat", mnt / "o")).stdout == known("o")
    done = inside(*as_nobody(it.program, "unmount", "--helper", it.socket, mnt))
    assert done.returncode == 0, done.stderr
    assert process.wait() == 0


def test_a_node_that_wants_more_memory_than_a_user_gets_goes_on_without(make):
    it = make("--allow", "nobody", "--max-memory", "64MiB")
    assert "the helper gives one user 64MiB in all (--max-memory)" in it.helper.tail()
    assert any("the helper gives one user 64MiB in all" in note for note in it.status()["notes"])


def test_a_helper_that_is_not_roots_does_not_start(program, tmp_path):
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", program, "helper", "--socket", tmp_path / "s"],
        capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 4
    assert "it needs CAP_SYS_ADMIN" in done.stderr
    wrong = subprocess.run(
        [program, "helper", "--allow", "no-such-user"], capture_output=True, text=True, timeout=30
    )
    assert wrong.returncode != 0 and "no such user" in wrong.stderr
