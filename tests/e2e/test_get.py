"""`forebay get`: objects into files, in parallel, gone on with after whatever interrupted it."""

import json
import os
import subprocess

import pytest
from harness import data
from harness.processes import until

MIB = 1 << 20
SIZE = 48 * MIB + 777


@pytest.fixture
def cell(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("big", SIZE), ("dir/a", 1000), ("dir/deep/b", 3 * MIB), ("dir/empty", 0))
    mounts = [{"name": "data", "chunk_size": "1MiB", "consistency": "open", **origin.mount("s3", "data")}]
    cell = make_cell(nodes=2, mounts=mounts)
    cell.origin = origin
    return cell


SLOWLY = ["--in-flight", "2"]  # so that pieces come one after the other


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_objects_come_as_files_with_their_times(cell, tmp_path):
    to = tmp_path / "to"
    done = cell.nodes[1].cli("get", "-r", "data", to)
    assert events(done)[-1]["event"] == "done" and events(done)[-1]["objects"] == 4
    assert (to / "big").read_bytes() == data.known_bytes("data", "big", 0, SIZE)
    assert (to / "dir" / "deep" / "b").read_bytes() == data.known_bytes("data", "dir/deep/b", 0, 3 * MIB)
    assert (to / "dir" / "empty").read_bytes() == b""
    (stat,) = cell.nodes[0].json("stat", "data/big")
    assert (to / "big").stat().st_mtime_ns == stat["mtime_ns"]
    again = events(cell.nodes[1].cli("get", "-r", "data", to))
    assert again[-1]["bytes"] == 0 and again[-1]["objects"] == 4, "all was there"
    cell.nodes[0].cli("get", "data/dir/a", to / "one")
    assert (to / "one").read_bytes() == data.known_bytes("data", "dir/a", 0, 1000)


def part_of(target):
    return target.with_name(target.name + ".forebay-part")


def start_and_kill(cell, running, target):
    """Starts a `get` that the origin slows down, and kills it when some of it is on the disk for good."""
    cell.origin.admin("POST", "/settings", {"rate_bytes": 8 * MIB})
    node = cell.nodes[0]
    getting = running.start("get", [node.program, "get", *SLOWLY, "data/big", target], env=node.environment())
    part = part_of(target)

    def enough_came():
        lines = [json.loads(line) for line in getting.log.read_text().splitlines() if line.startswith("{")]
        return lines and lines[-1]["bytes"] > 16 * MIB

    until("a good part has come", enough_came, 90)
    getting.kill()
    assert part.exists() and not target.exists()
    cell.origin.admin("POST", "/settings", {"rate_bytes": 0})
    return part


def test_what_was_killed_is_gone_on_with(cell, running, tmp_path):
    target = tmp_path / "big"
    start_and_kill(cell, running, target)
    lines = events(cell.nodes[1].cli("get", "data/big", target))
    (resumed,) = [line for line in lines if line["event"] == "resumed"]
    assert resumed["bytes"] >= 4 * MIB
    assert lines[-1]["bytes"] == SIZE - resumed["bytes"]
    assert target.read_bytes() == data.known_bytes("data", "big", 0, SIZE)
    assert os.listdir(tmp_path).count("big.forebay-part") == 0


def test_what_was_killed_and_has_changed_begins_anew_and_says_so(cell, running, tmp_path):
    target = tmp_path / "big"
    start_and_kill(cell, running, target)
    cell.origin.change("data", "big", SIZE)
    for node in cell.nodes:
        node.cli("refresh", "data")
    done = cell.nodes[0].cli("get", "data/big", target)
    assert [line["event"] for line in events(done)].count("restarted") == 1
    assert b"begins anew" in done.stderr
    assert target.read_bytes() == data.known_bytes("data", "big", 0, SIZE, version=1)


def test_an_object_that_changes_meanwhile_comes_whole_in_its_new_version(cell, running, tmp_path):
    target, node = tmp_path / "big", cell.nodes[0]
    cell.origin.admin("POST", "/settings", {"rate_bytes": 8 * MIB})
    getting = running.start("get", [node.program, "get", *SLOWLY, "data/big", target], env=node.environment())
    until("some of it has come", lambda: '"bytes":' in getting.log.read_text() and part_of(target).exists(), 60)
    cell.origin.change("data", "big", SIZE)
    cell.origin.admin("POST", "/settings", {"rate_bytes": 0})
    assert getting.wait(90) == 0, getting.tail()
    assert target.read_bytes() == data.known_bytes("data", "big", 0, SIZE, version=1)


def test_files_that_are_there_are_not_touched(cell, tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"mine")
    done = cell.nodes[0].cli("get", "data/dir/a", target, check=False)
    assert done.returncode == 2 and b"--overwrite" in done.stderr
    assert target.read_bytes() == b"mine"
    cell.nodes[0].cli("get", "--overwrite", "data/dir/a", target)
    assert target.read_bytes() == data.known_bytes("data", "dir/a", 0, 1000)


def test_names_that_no_file_system_holds_are_told_and_the_rest_comes(cell, tmp_path):
    cell.origin.add("data", ("odd//name", 1), ("odd/../up", 2), ("odd/" + "n" * 300, 3), ("odd/both", 4), ("odd/both/x", 5))
    done = cell.nodes[0].cli("get", "-r", "data/odd", tmp_path / "to", check=False)
    assert done.returncode == 6
    failed = {line["name"] for line in events(done) if line["event"] == "failure"}
    assert {"data/odd//name", "data/odd/../up", "data/odd/" + "n" * 300} < failed
    assert len(failed & {"data/odd/both", "data/odd/both/x"}) == 1, "one of them has the name"
    assert len(failed) == 4 and events(done)[-1]["objects"] == 1
    assert not (tmp_path / "up").exists()


def test_a_full_disk_is_told_and_the_rest_comes(cell, tmp_path):
    node, to = cell.nodes[0], tmp_path / "small"
    to.mkdir()
    # A disk of its own, in a mount namespace of its own: it goes with the command.
    script = 'mount -t tmpfs -o size=16m none "$2" && "$1" get -r data "$2/to"; code=$?; find "$2/to" -type f; exit $code'
    space = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*space, "sh", "-c", script, "sh", node.program, to],
        env={**os.environ, **node.environment()}, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 6, done.stderr
    assert "data/big" in done.stderr and "No space left" in done.stderr, done.stderr
    there = {line.removeprefix(f"{to}/to/") for line in done.stdout.splitlines() if line.startswith(str(to))}
    assert there == {"dir/a", "dir/deep/b", "dir/empty"}, "and nothing partial is left"


def test_what_is_no_object_and_a_directory_without_r_are_errors(cell, tmp_path):
    node = cell.nodes[0]
    assert node.cli("get", "data/absent", tmp_path / "x", check=False).returncode == 3
    done = node.cli("get", "data/dir", tmp_path / "x", check=False)
    assert done.returncode == 2 and b"-r" in done.stderr
    assert node.cli("get", "data/dir/a", tmp_path / "no" / "such" / "x", check=False).returncode == 3
    assert os.listdir(tmp_path) == ["cell"]
