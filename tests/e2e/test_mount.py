"""`forebay mount` as people meet it: one command, other users, endings, and what is not allowed."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from harness import data
from harness.cell import is_mounted
from harness.nobody import FUSE_FOR_ALL, as_nobody
from harness.origins import AZURITE_ACCOUNT, AZURITE_KEY, S3_KEY, S3_KEY_ID
from harness.processes import until

WRONG_AZURE_KEY = "d3JvbmcgYnV0IHN0aWxsIHNlY3JldCBlbm91Z2ggZm9yIGFueWJvZHk="
WRONG_S3_KEY = "wrong-but-still-secret-enough"


@pytest.fixture
def source(tmp_path):
    """A directory with something in it, as a URL."""
    data.make_file(tmp_path / "source" / "a", 3_000_000)
    data.make_file(tmp_path / "source" / "below" / "b", 10)
    return f"file://{tmp_path / 'source'}"


@pytest.fixture
def command(program, tmp_path):
    """command("mount", ...): runs forebay to its end, apart from the machine's other nodes."""
    run_dir = tmp_path / "run"

    def run(*arguments, environment=None):
        run_dir.mkdir(mode=0o700, exist_ok=True)
        return subprocess.run(
            [program, *map(str, arguments)],
            env={**os.environ, "FOREBAY_NODE_RUN_DIR": str(run_dir), **(environment or {})},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )

    return run


def pid_of_mount(directory):
    """The process whose command line mounts this directory: known by it, so that no other one is ever touched."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"mount" in words and str(directory).encode() in words:
                return int(entry.name)
    return None


def test_in_the_background_it_is_there_when_the_command_ends(command, source, tmp_path, running):
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    running.at_end(lambda: is_mounted(mnt) and subprocess.run(["umount", "-l", mnt]) and "it was still mounted")
    done = command("mount", source, mnt, "--memory", "256MiB")
    assert done.returncode == 0, done.stderr
    pid = pid_of_mount(mnt)
    assert data.read_file(mnt / "a") == data.known_bytes("data", "a", 0, 3_000_000)
    assert command("unmount", mnt).returncode == 0
    assert not is_mounted(mnt)
    until("its process is gone", lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(mount_url, source, number):
    mount = mount_url(source)
    assert (mount / "a").stat().st_size == 3_000_000
    os.kill(mount.process.pid, number)
    assert mount.process.wait() == 0
    assert not is_mounted(mount.directory)


def test_a_signal_ends_it_though_somebody_holds_a_file_open(mount_url, source):
    mount = mount_url(source)
    with open(mount / "a", "rb", buffering=0) as file:
        file.read(10)
        os.kill(mount.process.pid, signal.SIGTERM)
        until("it is unmounted", lambda: not is_mounted(mount.directory))
    assert mount.process.wait() == 0


def test_a_mount_whose_process_was_killed_can_be_removed_and_made_again(mount_url, command, source):
    mount = mount_url(source)
    mount.process.kill()
    with pytest.raises(OSError) as error:
        os.listdir(mount.directory)
    assert error.value.errno == errno.ENOTCONN
    refused = command("mount", source, mount.directory, "--memory", "256MiB")
    assert refused.returncode != 0 and str(mount.directory).encode() in refused.stderr
    assert command("unmount", mount.directory).returncode == 0
    assert not is_mounted(mount.directory)


def test_a_second_mount_joins_the_node_and_outlives_the_first(mount_url, command, source, tmp_path):
    first = mount_url(source)
    data.make_file(tmp_path / "other" / "c", 5_000_000)
    second = mount_url(f"file://{tmp_path / 'other'}")
    third = mount_url(source)
    status = json.loads(command("status", "--json").stdout)
    assert len(status["nodes"]) == 1 and len(status["nodes"][0]["mounts"]) == 2
    assert status["nodes"][0]["pid"] == first.process.pid

    assert command("unmount", first.directory).returncode == 0
    assert not is_mounted(first.directory)
    assert data.read_file(second / "c") == data.known_bytes("data", "c", 0, 5_000_000)
    assert data.read_file(third / "a") == data.known_bytes("data", "a", 0, 3_000_000)
    assert first.process.alive(), "it holds the node of the others"
    for mount in (second, third):
        assert command("unmount", mount.directory).returncode == 0
        assert mount.process.wait() == 0
    assert first.process.wait() == 0, "with its last mount the node ends"


def test_whatever_would_write_is_refused(mount_url, source):
    mount = mount_url(source)
    path = mount / "a"
    attempts = {
        "open for writing": lambda: open(path, "r+b"),
        "create": lambda: open(mount / "new", "wb"),
        "append": lambda: open(path, "ab"),
        "truncate": lambda: os.truncate(path, 0),
        "unlink": lambda: os.unlink(path),
        "mkdir": lambda: os.mkdir(mount / "new"),
        "rmdir": lambda: os.rmdir(mount / "below"),
        "rename": lambda: os.rename(path, mount / "new"),
        "symlink": lambda: os.symlink("a", mount / "new"),
        "link": lambda: os.link(path, mount / "new"),
        "chmod": lambda: os.chmod(path, 0o777),
        "chown": lambda: os.chown(path, 1, 1),
        "utime": lambda: os.utime(path, (1, 1)),
        "setxattr": lambda: os.setxattr(path, "user.x", b"y"),
        "mkfifo": lambda: os.mkfifo(mount / "new"),
    }
    for what, attempt in attempts.items():
        with pytest.raises(OSError) as error:
            attempt()
        assert error.value.errno == errno.EROFS, what


def test_files_belong_to_whom_the_command_says(mount_url, source):
    mount = mount_url(source, options=["--uid", "1234", "--gid", "4321", "--umask", "037"])
    for name, kind in (("a", 0o440), ("below", 0o540)):
        info = (mount / name).stat()
        assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 4321, kind)
    assert mount.directory.stat().st_uid == 1234


def test_attributes_tell_version_and_holders(mount_url, source):
    path = mount_url(source) / "a"
    assert os.getxattr(path, "user.forebay.version") != b""
    assert os.getxattr(path, "user.forebay.cached_bytes") == b"0"
    data.read_file(path)
    assert os.getxattr(path, "user.forebay.cached_bytes") == b"3000000"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_is_not_root_mounts_by_fusermount(running, program, home_of_nobody):
    home = home_of_nobody
    forebay = shutil.copy(program, home / "program")  # the checkout may be out of nobody's reach
    data.make_file(home / "source" / "a", 3_000_000)
    mnt, devices = home / "mnt", home / "dev"
    mnt.mkdir()
    devices.mkdir()
    os.chown(mnt, 65534, 65534)
    # XDG_RUNTIME_DIR: where a user's node is, without a word about it.
    environment = {"XDG_RUNTIME_DIR": str(home), "HOME": str(home)}
    mount = as_nobody(forebay, "mount", f"file://{home / 'source'}", mnt, "--foreground", "--memory", "256MiB")
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", FUSE_FOR_ALL, "sh", str(devices)]
    process = running.start("mount-nobody", [*private, *mount], env=environment)
    until("it is mounted", lambda: not process.alive() or is_mounted(mnt, process.pid), 60)
    assert process.alive(), process.tail()

    def inside(*command):
        return subprocess.run(
            ["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", *map(str, command)],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
        )

    seen = inside(*as_nobody("sha256sum", mnt / "a"))
    true = inside("sha256sum", home / "source" / "a")
    assert seen.stdout.split()[:1] == true.stdout.split()[:1], seen.stderr
    assert inside("ls", mnt).returncode != 0, "not even root looks in, without --allow-other"
    status = json.loads(inside(*as_nobody(forebay, "status", "--json")).stdout)
    assert len(status["nodes"]) == 1
    done = inside(*as_nobody(forebay, "unmount", mnt))
    assert done.returncode == 0, done.stderr
    assert process.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_nodes_socket_is_for_its_own_user(make_cell, program, source, home_of_nobody):
    node = make_cell(mounts=[{"name": "data", "url": source}]).nodes[0]
    forebay = shutil.copy(program, home_of_nobody / "program")
    socket = home_of_nobody / "node.sock"
    os.link(node.socket, socket)  # so that neither directories nor modes are in the way
    os.chmod(socket, 0o777)
    asked = as_nobody(forebay, "status", "--node", f"unix:{socket}", "--timeout", "2s")
    done = subprocess.run(asked, capture_output=True, timeout=30)
    assert done.returncode != 0
    until("the refusal is counted", lambda: node.metric("forebay_connection_refused_total") >= 1)


def test_an_operation_ends_in_an_error_when_the_origin_hangs(mount_url, fake_origin):
    origin = fake_origin()
    origin.add("data", ("a", 3_000_000))
    mount = mount_url(
        "s3://data", {"AWS_ACCESS_KEY_ID": S3_KEY_ID, "AWS_SECRET_ACCESS_KEY": S3_KEY},
        ["--endpoint", origin.info["s3"], "--read-timeout", "2s"],
    )
    for op in ("head", "list", "get"):
        origin.fault("hang", op=op)
    for operation in (lambda: (mount / "a").stat(), lambda: os.listdir(mount.directory)):
        began = time.monotonic()
        with pytest.raises(OSError) as error:
            operation()
        assert error.value.errno == errno.EIO and 1.5 < time.monotonic() - began < 20
    assert "Deadline" in mount.process.tail() or "deadline" in mount.process.tail()


CREDENTIALS = {
    "azure-wrong-key": ("azure", {"AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT, "AZURE_STORAGE_KEY": WRONG_AZURE_KEY}),
    "azure-none": ("azure", {}),
    "s3-wrong-key": ("s3", {"AWS_ACCESS_KEY_ID": S3_KEY_ID, "AWS_SECRET_ACCESS_KEY": WRONG_S3_KEY}),
    "s3-unknown-id": ("s3", {"AWS_ACCESS_KEY_ID": "nobody-knows-it", "AWS_SECRET_ACCESS_KEY": S3_KEY}),
    "s3-none": ("s3", {}),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_wrong_credentials_are_an_error_at_once(command, fake_origin, tmp_path, case):
    dialect, environment = CREDENTIALS[case]
    origin = fake_origin()
    origin.add("data", ("a", 10))
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    url = f"az://{AZURITE_ACCOUNT}/data" if dialect == "azure" else "s3://data"
    done = command("mount", url, mnt, "--endpoint", origin.info[dialect], "--memory", "256MiB", environment=environment)
    assert done.returncode == 4, done.stderr
    assert not is_mounted(mnt)
    said = done.stdout + done.stderr
    assert url.encode() in said and len(said.splitlines()) <= 3, said
    for secret in (WRONG_AZURE_KEY, WRONG_S3_KEY, S3_KEY):
        assert secret.encode() not in said


def test_a_container_that_is_not_there_is_an_error_at_once(command, fake_origin, tmp_path):
    origin = fake_origin()
    origin.add("data", ("a", 10))
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    environment = {"AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT, "AZURE_STORAGE_KEY": AZURITE_KEY}
    url = f"az://{AZURITE_ACCOUNT}/absent"
    done = command("mount", url, mnt, "--endpoint", origin.info["azure"], "--memory", "256MiB", environment=environment)
    assert done.returncode == 3 and b"absent" in done.stderr


def all_text_of(running, *directories):
    """Everything that was logged, and what /proc shows of the processes to other users."""
    for process in running.processes:
        yield f"log of {process.name}", process.log.read_bytes()
        if process.alive():
            yield f"command line of {process.name}", Path(f"/proc/{process.pid}/cmdline").read_bytes()
    for directory in directories:
        for path in Path(directory).rglob("*.log"):
            yield str(path), path.read_bytes()


@pytest.mark.parametrize("dialect", ["azure", "s3"])
def test_no_secret_shows_anywhere(running, mount_url, command, fake_origin, tmp_path, dialect):
    origin = fake_origin()
    origin.add("data", ("a", 10_000), ("b", 10_000))
    environment = {
        "azure": {"AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT, "AZURE_STORAGE_KEY": AZURITE_KEY},
        "s3": {"AWS_ACCESS_KEY_ID": S3_KEY_ID, "AWS_SECRET_ACCESS_KEY": S3_KEY},
    }[dialect]
    url = f"az://{AZURITE_ACCOUNT}/data" if dialect == "azure" else "s3://data"
    environment["FOREBAY_NODE_LOG_LEVEL"] = "debug"
    mount = mount_url(url, environment, ["--endpoint", origin.info[dialect], "--read-timeout", "2s"])
    data.read_file(mount / "a")
    origin.fault("status", status=403, code="AuthenticationFailed")
    origin.fault("status", op="head", status=500)
    for name in ("b", "absent"):
        with pytest.raises(OSError):
            data.read_file(mount / name)
    texts = list(all_text_of(running, tmp_path))
    for arguments in (["status"], ["status", "--json"], ["ls"], ["ls", "--json"], ["stat", "no-such/x"]):
        done = command(*arguments)
        texts.append((f"forebay {' '.join(arguments)}", done.stdout + done.stderr))
    assert any(text for _, text in texts)
    beginning = (AZURITE_KEY if dialect == "azure" else S3_KEY).encode()[:16]
    assert [where for where, text in texts if beginning in text] == []


def test_a_secret_in_the_configuration_shows_nowhere(running, make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("a", 10_000))
    secret = "the-secret-that-chunk-names-derive-from"
    mounts = [{"name": "az", **origin.mount("azure", "data"), "secret": secret},
              {"name": "s3", **origin.mount("s3", "data"), "secret": secret}]
    cell = make_cell(nodes=2, mounts=mounts, node={"log_level": "debug"})
    node = cell.nodes[0]
    node.cli("cat", "az/a")
    node.cli("cat", "s3/a")
    texts = list(all_text_of(running))
    texts += [(path, node.admin(path).encode()) for path in ("/metrics", "/status")]
    for arguments in (["status", "--json"], ["config", "check", node.config_file], ["stat", "az/a", "--json"]):
        done = node.cli(*arguments)
        texts.append((" ".join(map(str, arguments)), done.stdout + done.stderr))
    for hidden in (secret, AZURITE_KEY, S3_KEY):
        assert [where for where, text in texts if hidden.encode() in text] == []
