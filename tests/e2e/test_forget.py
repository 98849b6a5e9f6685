"""`forebay refresh` and `forebay evict`: a cell forgets what it is told to, and says so node by node."""

import json
import os
import subprocess

import pytest
from harness import data
from harness.processes import until

MIB = 1 << 20


@pytest.fixture
def cell(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("a", 3 * MIB), ("dir/b", 1000), ("dir/c", 2000))
    mounts = [{"name": "data", "chunk_size": "1MiB", "consistency": "bounded:1d", **origin.mount("s3", "data")}]
    cell = make_cell(nodes=3, mounts=mounts)
    cell.origin = origin
    return cell


def size_of(node, name):
    (entry,) = node.json("stat", name)
    return entry["size"]


def test_a_refresh_makes_every_node_ask_the_origin(cell):
    for node in cell.nodes:
        assert size_of(node, "data/a") == 3 * MIB
        assert node.cli("stat", "data/new", check=False).returncode == 3
    cell.origin.change("data", "a", 5)
    cell.origin.add("data", ("new", 7))
    assert size_of(cell.nodes[0], "data/a") == 3 * MIB, "else this shows nothing"
    rows = cell.nodes[1].json("refresh", "data/a", "data/new")
    assert [(row["node"], row["state"]) for row in rows] == [(f"node-{i}", "done") for i in (1, 2, 3)]
    assert sum(row["forgotten"] for row in rows) >= 2
    for node in cell.nodes:
        assert size_of(node, "data/a") == 5
        assert size_of(node, "data/new") == 7


def test_what_is_evicted_has_left_and_comes_again(cell):
    node = cell.nodes[0]
    node.cli("load", "data")
    before = cell.total("forebay_origin_bytes_total")
    held = {holder["node"] for chunk in node.json("where", "data/a")[0]["chunks"] for holder in chunk["holders"]}
    assert held
    rows = node.json("evict", "data/a", "data/dir/")
    assert sum(row["freed_bytes"] for row in rows) >= 3 * MIB + 3000
    assert all(row["in_use_objects"] == 0 for row in rows)
    for name in ("data/a", "data/dir/b", "data/dir/c"):
        (where,) = node.json("where", name)
        assert all(chunk["holders"] == [] for chunk in where["chunks"]), name
    assert node.cli("cat", "data/a").stdout == data.known_bytes("data", "a", 0, 3 * MIB)
    assert cell.total("forebay_origin_bytes_total") == before + 3 * MIB


def test_a_mount_shows_what_is_new_after_a_refresh(cell):
    mounted = cell.mount("data", node=2)
    assert (mounted / "dir" / "b").stat().st_size == 1000
    cell.origin.change("data", "dir/b", 4000)
    cell.nodes[0].cli("refresh", "data/dir/b")
    assert cell.nodes[2].json("stat", "data/dir/b")[0]["size"] == 4000


def test_a_mount_with_its_own_node_forgets_in_the_kernel_too(mount_url, program, tmp_path):
    source = tmp_path / "source"
    data.make_file(source / "dir" / "file", 1000)
    mounted = mount_url(f"file://{source}", options=["--name", "here", "--consistency", "bounded:1d"])
    assert (mounted / "dir" / "file").stat().st_size == 1000
    data.make_file(source / "new", 3000)
    (source / "new").rename(source / "dir" / "file")
    assert (mounted / "dir" / "file").stat().st_size == 1000, "else this shows nothing"
    environment = {**os.environ, "FOREBAY_NODE_RUN_DIR": str(tmp_path / "run"), "FOREBAY_NODE": f"unix:{tmp_path}/run/node.sock"}
    subprocess.run([program, "refresh", "here/dir"], env=environment, check=True, capture_output=True, timeout=60)
    until("the kernel has forgotten it", lambda: (mounted / "dir" / "file").stat().st_size == 3000)


def test_a_node_that_says_nothing_is_named_and_the_rest_is_done(cell):
    node, silent = cell.nodes[0], cell.nodes[2]
    node.cli("load", "data")
    silent.process.pause()
    try:
        done = node.cli("--timeout", "4s", "evict", "data", "--json", check=False)
    finally:
        silent.process.resume()
    assert done.returncode == 6, done.stderr
    assert b"node-3" in done.stderr
    states = {row["node"]: row["state"] for row in json.loads(done.stdout)}
    assert states["node-1"] == states["node-2"] == "done" and states["node-3"] != "done"


def test_names_that_are_none_and_mounts_that_are_not_there(cell):
    node = cell.nodes[0]
    assert node.cli("evict", "absent/a", check=False).returncode == 3
    assert node.cli("refresh", "s3://data/a", check=False).returncode == 2
    assert node.cli("evict", check=False).returncode == 2
    assert node.json("evict", "data/no-such-object")[0]["freed_bytes"] == 0, "nothing was held of it: that is no error"
