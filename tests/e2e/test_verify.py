"""forebay verify: what Forebay serves, or a local copy, against what the origin has."""

import json
import os

import pytest
from harness import data

MIB = 1 << 20
OBJECTS = [("a-1", 10), ("a.txt", 0), ("a/b", 3 * MIB + 5), ("a/c d/ü", 1000), ("z", MIB)]
DIALECTS = pytest.mark.parametrize("dialect", ["azure", "s3"])


@pytest.fixture
def served(make_cell, fake_origin):
    def make(dialect, **options):
        origin = fake_origin(**options)
        origin.add("data", *OBJECTS)
        node = make_cell(mounts=[{"name": "data", "chunk_size": "1MiB", **origin.mount(dialect, "data")}]).nodes[0]
        return origin, node

    return make


def copy_to(directory):
    for name, size in OBJECTS:
        data.make_file(directory / name, size, name=name)
    return directory


def verify(node, *arguments):
    """(exit code, last line of JSON, {event: [names]})"""
    done = node.cli("verify", *arguments, "--json", check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = {}
    for line in lines:
        if "name" in line:
            names.setdefault(line["event"], []).append(line["name"])
    return done.returncode, lines[-1], names


@DIALECTS
def test_a_right_copy_is_right_by_checksum_where_the_origin_has_them(served, dialect, tmp_path):
    _, node = served(dialect, content_md5=True)
    copy = copy_to(tmp_path / "copy")
    assert verify(node, copy, "--against", "data")[:2] == (
        0,
        {"event": "same", "objects": 5, "checksummed": 5, "size_only": 0, "missing": 0, "extra": 0, "differs": 0,
         "failed": 0, "bytes": sum(size for _, size in OBJECTS), "complete": True},
    )
    code, end, _ = verify(node, "data")
    assert (code, end["checksummed"]) == (0, 5)
    code, end, _ = verify(node, copy / "a", "--against", "data/a")
    assert (code, end["objects"]) == (0, 2)


@DIALECTS
def test_without_checksums_at_the_origin_it_says_that_only_sizes_are_known(served, dialect, tmp_path):
    _, node = served(dialect)
    copy = copy_to(tmp_path / "copy")
    (copy / "z").write_bytes(b"w" * MIB)  # wrong bytes of the right size: nobody can tell
    code, end, _ = verify(node, copy, "--against", "data")
    assert (code, end["size_only"], end["checksummed"], end["bytes"]) == (0, 5, 0, 0)
    assert b"0 have its checksum, 5 were compared by size only" in node.cli("verify", "data").stdout


@DIALECTS
def test_what_is_missing_extra_or_different_is_named(served, dialect, tmp_path):
    origin, node = served(dialect, content_md5=True)
    copy = copy_to(tmp_path / "copy")
    (copy / "a-1").unlink()
    (copy / "stray").write_bytes(b"x")
    with open(copy / "a" / "b", "r+b") as file:
        file.seek(2 * MIB)
        file.write(b"!")
    os.truncate(copy / "z", MIB - 1)
    code, end, names = verify(node, copy, "--against", "data")
    assert code == 1 and end["complete"]
    assert names == {"missing": ["a-1"], "extra": ["stray"], "differs": names["differs"]}
    assert sorted(names["differs"]) == ["a/b", "z"]
    text = node.cli("verify", copy, "--against", "data", check=False).stdout.decode()
    assert f"differs  z: {MIB - 1} bytes, the origin has {MIB}" in text and "its bytes have the MD5" in text


def test_a_cell_that_serves_old_names_is_told_from_the_origin(served):
    origin, node = served("azure", content_md5=True)
    assert node.cli("ls", "-R", "data").returncode == 0  # kept for 30 s
    origin.change("data", "z", MIB)
    origin.delete("data", "a-1")
    origin.add("data", ("new", 10))
    code, _, names = verify(node, "data")
    assert code == 1
    assert names == {"missing": ["new"], "extra": ["a-1"], "differs": ["z"]}


def test_a_listing_that_fails_is_no_verdict(served, tmp_path):
    origin, node = served("azure")
    origin.fault("status", op="list", name="data/a/*", status=403)
    code, end, _ = verify(node, copy_to(tmp_path / "copy"), "--against", "data")
    assert code == 4 and not end["complete"]
