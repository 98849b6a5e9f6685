"""Names that an object store may hold and a file system may not: served, or hidden, counted, said once and read by the
command line."""

import os

import pytest
from harness import data

SIZE = 1000
LONG = "/".join(c * 255 for c in "xyzw")  # 1,023 bytes, each component as long as a file system takes
SERVED = [
    "with space", "sp ace/and more ", "ünï/çödé 你好 🙂", "100%/a%41b", "aAb", "a+b&c=d?e#f;g", "a..b",
    "...", "-rf",
    "back\\slash", "new\nline", "quote'\"", "beside/child", LONG,
]
HIDDEN = [
    "..", "dir/../evil", "dir/./evil", "a//b", "/lead", "trailing/", "deep/trailing/", "beside",
    "v" * 1024, "x" * 255 + "/" + "y" * 256,
]
DIALECTS = pytest.mark.parametrize("dialect", ["azure", "s3"])


@pytest.fixture
def place(make_cell, fake_origin):
    """place(dialect, names): one node with a mount of these names."""

    def make(dialect, names):
        origin = fake_origin()
        origin.add("data", *[(name, SIZE) for name in names])
        return make_cell(mounts=[{"name": "data", **origin.mount(dialect, "data")}])

    return make


def walk(directory):
    """Relative paths of all files, as `find` sees them."""
    found = (os.path.join(above, name) for above, _, names in os.walk(directory) for name in names)
    return {os.path.relpath(path, directory) for path in found}


def assert_the_command_line_reads(node, name):
    assert node.cli("cat", f"data/{name}").stdout == data.known_bytes("data", name, 0, SIZE)
    assert node.json("stat", "--raw", f"data/{name}")[0]["size"] == SIZE


@DIALECTS
def test_odd_names_are_listed_and_read_as_they_are(place, dialect):
    cell = place(dialect, SERVED)
    mount = cell.mount("data")
    assert walk(mount.directory) == set(SERVED)
    for name in SERVED:
        assert (mount / name).stat().st_size == SIZE
        assert data.read_file(mount / name) == data.known_bytes("data", name, 0, SIZE), name
        assert_the_command_line_reads(cell.nodes[0], name)
    for absent in ("100%25", "100%/aAb", "with+space", "with%20space", "a..b/..", "beside/.../child"):
        assert not (mount / absent).is_file()


@DIALECTS
def test_a_name_that_was_never_listed_is_found_too(place, dialect):
    mount = place(dialect, SERVED).mount("data")
    for name in SERVED:
        assert data.read_file(mount / name) == data.known_bytes("data", name, 0, SIZE), name


@DIALECTS
def test_names_that_no_file_system_holds_are_hidden_counted_and_said_once(place, dialect):
    cell = place(dialect, HIDDEN + ["beside/child", "plain"])
    mount, node = cell.mount("data"), cell.nodes[0]
    assert walk(mount.directory) == {"beside/child", "plain"}
    assert (mount / "beside").is_dir(), "the prefix wins"
    for name in ("v" * 256, "x" * 255 + "/" + "y" * 256):
        with pytest.raises(OSError):
            (mount / name).stat()
    walk(mount.directory)

    # At the root: "..", the prefix "/", "beside" and the long one. Below: "dir" hides "." and "..", "a" the prefix
    # "a//", "trailing" and "deep/trailing" the bytes of their own name, and the last one its long component.
    assert node.metric("forebay_hidden_names_total") == 10
    said = [line for line in node.process.tail(1000).splitlines() if "can't be shown" in line]
    assert len(said) == 1 and "ls --raw" in said[0]
    for line in mount.process.tail(1000).splitlines():
        assert mount.process.tail(1000).count(line) == 1, "said again at the second walk"


@DIALECTS
def test_the_command_line_reads_and_lists_what_a_mount_hides(place, dialect):
    node = place(dialect, HIDDEN + ["beside/child"]).nodes[0]
    for name in HIDDEN:
        assert_the_command_line_reads(node, name)
    listed = {entry["name"] for entry in node.json_of_failed("ls", "-R", "--raw", "data") if not entry["directory"]}
    assert listed == set(HIDDEN) - {"/lead"} | {"beside/child"}, "names that begin with '/' are read only"
    assert b"--raw" in node.cli("ls", "data").stderr


def test_a_name_that_is_no_text_is_read_from_a_directory(make_cell, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    name = b"\xff\xfe not UTF-8"
    with open(os.path.join(os.fsencode(source), name), "wb") as file:
        file.write(b"content")
    cell = make_cell(mounts=[{"name": "data", "url": f"file://{source}"}])
    mounted = os.fsencode(cell.mount("data").directory)
    assert os.listdir(mounted) == [name]
    with open(os.path.join(mounted, name), "rb") as file:
        assert file.read() == b"content"
    (entry,) = cell.nodes[0].json("ls", "data")
    assert bytes.fromhex(entry["name_hex"]) == name
