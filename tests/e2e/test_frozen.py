"""Frozen mounts: names from a manifest, the origin asked for nothing but bytes of the manifest's versions."""

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from harness import data
from harness.cell import Cell
from harness.processes import until

MIB = 1 << 20
KINDS = pytest.mark.parametrize("kind", ["azure", "s3", "file"])
ODD = ["a-1", "a.txt", "a/b", "a/c d/ü", "a/tab\there", "percent%2Fname", "z"]


def frozen(mount, manifest):
    return {**mount, "consistency": "frozen", "manifest": str(manifest)}


@pytest.fixture
def cell_of(running, program, tmp_path):
    """cell_of("name", mount table, nodes=1): a cell that wasn't started."""
    return lambda name, mount, nodes=1, **node: Cell(
        running, program, tmp_path / name, nodes, [{"name": "data", "chunk_size": "1MiB", **mount}], node
    )


@pytest.fixture
def freeze(cell_of, tmp_path):
    """freeze(mount table, to="name"): the manifest of what is at its origin now, by a node of its own."""

    def make(mount, to="manifest"):
        file = tmp_path / to
        node = cell_of(f"cell-of-{to}", mount).start().nodes[0]
        file.write_bytes(node.cli("freeze", "data").stdout)
        assert node.process.stop() is None
        return file

    return make


class Store:
    def __init__(self, kind, fake_origin, directory, objects):
        self.kind = kind
        if kind == "file":
            self.directory = directory / "store"
            for name, size in objects:
                data.make_file(self.directory / name, size, name=name)
            self.mount = {"url": f"file://{self.directory}"}
        else:
            self.origin = fake_origin()
            self.origin.add("data", *objects)
            self.mount = self.origin.mount(kind, "data")

    def change(self, name, size):
        if self.kind == "file":
            data.make_file(self.directory / "new", size, name=name, version=1)
            os.replace(self.directory / "new", self.directory / name)
        else:
            self.origin.change("data", name, size)

    def delete(self, name):
        if self.kind == "file":
            (self.directory / name).unlink()
        else:
            self.origin.delete("data", name)

    def asked_for_names(self):
        """Requests of the origin that were no reads, since the counters were last reset."""
        by_op = self.origin.stats()["requests_by_op"]
        return by_op.get("head", 0) + by_op.get("list", 0)


@KINDS
def test_a_frozen_mount_shows_what_was_there_and_asks_the_origin_for_bytes_alone(
    make_cell, fake_origin, freeze, tmp_path, kind
):
    store = Store(kind, fake_origin, tmp_path, [(name, 1000 + i) for i, name in enumerate(ODD)])
    manifest = freeze(store.mount)
    if kind != "file":
        store.origin.add("data", ("new", 10))
        store.origin.reset_stats()
    else:
        data.make_file(store.directory / "new", 10)
    cell = make_cell(mounts=[{"name": "data", "chunk_size": "1MiB", **frozen(store.mount, manifest)}])
    mounted = cell.mount("data")
    assert sorted(os.listdir(mounted.directory)) == ["a", "a-1", "a.txt", "percent%2Fname", "z"]
    assert sorted(os.listdir(mounted / "a")) == ["b", "c d", "tab\there"]
    for name in ["new", "absent", "a/absent"]:
        with pytest.raises(FileNotFoundError):
            (mounted / name).stat()
    for i, name in enumerate(ODD):
        assert data.read_file(mounted / name) == data.known_bytes("data", name, 0, 1000 + i)
    if kind != "file":
        assert store.asked_for_names() == 0
        ranged = [r for r in store.origin.requests() if r["op"] == "get" and r["status"] not in (206, 200)]
        assert ranged == []
    (mount,) = cell.nodes[0].json("status")["nodes"][0]["mounts"]
    assert mount["consistency"] == "frozen" and mount["manifest_objects"] == len(ODD)
    assert mount["manifest_digest"] in manifest.read_text()
    assert b"sha256:" in cell.nodes[0].cli("status").stdout


@KINDS
def test_an_object_that_changed_or_vanished_is_an_error_that_names_both_versions(
    make_cell, fake_origin, freeze, tmp_path, kind
):
    size = 3 * MIB + 7
    store = Store(kind, fake_origin, tmp_path, [("changed", size), ("vanished", size), ("same", size)])
    manifest = freeze(store.mount)
    store.change("changed", size)
    store.delete("vanished")
    cell = make_cell(mounts=[{"name": "data", "chunk_size": "1MiB", **frozen(store.mount, manifest)}])
    mounted = cell.mount("data")
    lines = [line.split("\t") for line in manifest.read_text().splitlines()[1:-1]]
    versions = {fields[0]: fields[2] for fields in lines}
    for name, word in [("changed", "changed since the manifest"), ("vanished", "vanished since the manifest")]:
        assert (mounted / name).stat().st_size == size, "names come from the manifest"
        with pytest.raises(OSError) as error:
            data.read_file(mounted / name)
        assert error.value.errno in (errno.EIO, errno.ESTALE)
        done = cell.nodes[0].cli("cat", f"data/{name}", check=False)
        assert done.returncode == 6 and done.stdout == b""
        message = done.stderr.decode()
        assert word in message and name in message and versions[name] in message
        assert ("the origin has none" if word.startswith("vanished") else "the origin has") in message
    assert data.read_file(mounted / "same") == data.known_bytes("data", "same", 0, size)


def test_a_manifest_that_was_cut_or_edited_or_is_of_another_place_is_refused(cell_of, fake_origin, freeze, tmp_path):
    store = Store("azure", fake_origin, tmp_path, [("a", 10), ("b", 20)])
    manifest = freeze(store.mount)
    text = manifest.read_text()
    elsewhere = store.origin.mount("azure", "other")
    cases = [
        (text[: text.index("end\t")], store.mount, "line 4: the file ends here"),
        (text.replace("\t20\t", "\t21\t"), store.mount, "line 4: its digest is"),
        ("hello\n", store.mount, "line 1: it is no manifest"),
        (text, elsewhere, "was made of"),
    ]
    for content, mount, complaint in cases:
        manifest.write_text(content)
        node = cell_of("refused", frozen(mount, manifest)).nodes[0]
        node.start()
        assert node.process.wait() != 0
        assert complaint in node.process.tail() and str(manifest) in node.process.tail()


def test_a_node_whose_manifest_differs_refuses_the_mount_and_names_both(cell_of, fake_origin, freeze, tmp_path):
    store = Store("s3", fake_origin, tmp_path, [("a", 100)])
    old = freeze(store.mount, to="old")
    store.change("a", 200)
    new = freeze(store.mount, to="new")
    digests = [next(w for w in f.read_text().split() if w.startswith("sha256:")) for f in (old, new)]
    cell = cell_of("cell", frozen(store.mount, old), nodes=3)
    odd = cell.nodes[2]
    odd.config["mount"][0]["manifest"] = str(new)
    for node in cell.nodes[:2]:
        node.start()
    for node in cell.nodes[:2]:
        node.wait_ready()
    odd.start()
    until("node-3 says that the manifests differ", lambda: b"differ" in odd.cli("ls", "data", check=False).stderr, 30)
    done = odd.cli("ls", "data", check=False)
    assert done.returncode == 2
    for word in ["node-3", *digests]:
        assert word in done.stderr.decode()
    assert "node-1" in done.stderr.decode() or "node-2" in done.stderr.decode()
    assert "differ" in odd.cli("status").stdout.decode() and odd.admin_status("/readyz") == 503
    assert cell.nodes[0].cli("ls", "data").stdout.split() == [b"a"], "who served before goes on"

    odd.process.stop()
    odd.config["mount"][0]["manifest"] = str(old)
    odd.start()
    odd.wait_ready()
    assert odd.cli("ls", "data").stdout.split() == [b"a"]


def test_one_command_mounts_freeze_too(mount_url, program, tmp_path):
    store = Store("file", None, tmp_path, [("d/x", 100), ("y", 200)])
    url = store.mount["url"]
    plain = mount_url(url, options=["--name", "plain"])
    manifest = tmp_path / "manifest"
    environment = {**os.environ, "FOREBAY_NODE_RUN_DIR": str(tmp_path / "run")}
    subprocess.run([program, "freeze", "plain", "-o", manifest], env=environment, check=True, timeout=60)
    (store.directory / "y").unlink()
    still = mount_url(url, options=["--name", "still", "--consistency", "frozen", "--manifest", str(manifest)])
    assert sorted(os.listdir(still.directory)) == ["d", "y"]
    assert data.read_file(still / "d/x") == data.known_bytes("data", "d/x", 0, 100)
    with pytest.raises(OSError):
        data.read_file(still / "y")
    assert Path(plain / "d/x").stat().st_size == 100


def test_a_manifest_can_be_made_anew_through_the_frozen_mount_itself(make_cell, fake_origin, freeze, tmp_path):
    store = Store("azure", fake_origin, tmp_path, [("a", 100)])
    manifest = freeze(store.mount)
    store.origin.add("data", ("b", 200))
    node = make_cell(mounts=[{"name": "data", **frozen(store.mount, manifest)}]).nodes[0]
    assert node.cli("ls", "data").stdout.split() == [b"a"]
    again = tmp_path / "again"
    node.cli("freeze", "data", "-o", again)
    assert [line.split("\t")[0] for line in again.read_text().splitlines()[1:-1]] == ["a", "b"]


@pytest.mark.seconds(600)
def test_a_million_names_fit_the_cap_of_a_small_node(make_cell, tmp_path):
    """The manifest is written here: what is tested is serving it."""
    count, digest = 1_000_000, hashlib.sha256()
    manifest, store = tmp_path / "manifest", tmp_path / "store"
    store.mkdir()
    with open(manifest, "wb") as out:
        out.write(f"forebay-manifest\t1\tfile://{store}\t2026-11-21T16:00:00Z\n".encode())
        for i in range(count):
            line = b"d%04d/file-%07d.jpg\t%d\tv%d\t%d\t-\n" % (i // 1000, i, i % 977 + 1, i, 1_700_000_000_000_000_000)
            digest.update(line)
            out.write(line)
        out.write(f"end\t{count}\tsha256:{digest.hexdigest()}\n".encode())
    mount = {"name": "data", "url": f"file://{store}", "consistency": "frozen", "manifest": str(manifest)}
    node = make_cell(mounts=[mount], node={"memory": "192MiB"}).nodes[0]
    listed = node.cli("ls", "data").stdout.split()
    assert len(listed) == 1000
    assert len(node.cli("ls", "-R", "data", seconds=400).stdout.splitlines()) == count + 1000
    (last,) = node.json("stat", "data/d0999/file-0999999.jpg")
    assert last["version"] == f"v{count - 1}"
    memory = node.memory()
    assert memory["used"] < memory["cap"] + memory["sanitizer"]
