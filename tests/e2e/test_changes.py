"""Objects that change, shrink or vanish while somebody reads them: an error, or the old version whole; never a mix."""

import os
import shutil
import threading

import pytest
from harness import data

MIB = 1 << 20
SIZE = 24 * MIB + 777  # more than the kernel reads ahead, so that the origin is asked again after the change


class Source:
    """One object called "object" that a writer elsewhere changes; `bytes_of` gives the content of each version."""

    def __init__(self, kind, fake_origin, directory):
        self.kind, self.version, self.sizes = kind, 0, {0: SIZE}
        if kind == "file":
            self.path = data.make_file(directory / "source" / "object", SIZE)
            self.mount = {"url": f"file://{directory / 'source'}"}
        else:
            self.origin = fake_origin()
            self.origin.add("data", ("object", SIZE))
            self.mount = self.origin.mount(kind, "data")

    def change(self, size=SIZE, in_place=False):
        self.version += 1
        self.sizes[self.version] = size
        if self.kind != "file":
            self.origin.change("data", "object", size)
            return
        new = data.make_file(self.path.parent.parent / "new", size, name="object", version=self.version)
        if in_place:
            shutil.copyfile(new, self.path)
        else:
            os.replace(new, self.path)

    def delete(self):
        if self.kind == "file":
            self.path.unlink()
        else:
            self.origin.delete("data", "object")

    def bytes_of(self, version, offset=0, length=None):
        length = self.sizes[version] - offset if length is None else length
        return data.known_bytes("data", "object", offset, length, version=version)


SHRUNK = 5 * MIB
TROUBLE = {
    "changes": lambda source: source.change(),
    "shrinks": lambda source: source.change(SHRUNK),
    "vanishes": lambda source: source.delete(),
    "is-overwritten-in-place": lambda source: source.change(in_place=True),
    "is-cut-in-place": lambda source: os.truncate(source.path, SHRUNK),
}
CASES = [(kind, trouble) for kind in ("file", "azure", "s3") for trouble in ("changes", "shrinks", "vanishes")]
CASES += [("file", "is-overwritten-in-place"), ("file", "is-cut-in-place")]


def open_mount(make_cell, source):
    # "open": an open after the change must see it at once.
    mount = {"name": "data", "consistency": "open", "chunk_size": "1MiB", **source.mount}
    return make_cell(mounts=[mount]).mount("data")


def assert_the_new_version_is_there(path, source, trouble):
    if trouble == "vanishes":
        with pytest.raises(FileNotFoundError):
            open(path, "rb")
    elif trouble == "is-cut-in-place":
        assert data.read_file(path) == source.bytes_of(0, 0, SHRUNK)
    else:
        assert data.read_file(path) == source.bytes_of(1)


@pytest.mark.parametrize("kind,trouble", CASES)
def test_an_open_file_gives_its_version_or_an_error(make_cell, fake_origin, tmp_path, kind, trouble):
    source = Source(kind, fake_origin, tmp_path)
    path = open_mount(make_cell, source) / "object"
    errors = 0
    with open(path, "rb", buffering=0) as file:
        assert file.read(MIB) == source.bytes_of(0, 0, MIB)
        TROUBLE[trouble](source)
        for offset in range(0, SIZE, MIB):
            length = min(MIB, SIZE - offset)
            try:
                got = os.pread(file.fileno(), length, offset)
            except OSError:
                errors += 1
            else:
                assert got == source.bytes_of(0, offset, length), f"at {offset}"
        assert os.fstat(file.fileno()).st_size == SIZE, "an open file stays what it is"
    assert errors > 0, "not a byte was fetched after the change: this test shows nothing"
    assert_the_new_version_is_there(path, source, trouble)


@pytest.mark.parametrize("kind,trouble", CASES)
def test_a_mapped_file_gives_its_version_or_a_signal(make_cell, fake_origin, tmp_path, kind, trouble):
    source = Source(kind, fake_origin, tmp_path)
    path = open_mount(make_cell, source) / "object"
    with data.MappedReader(path) as mapped:
        assert mapped.size == SIZE
        assert mapped.read(0, 100_000) == source.bytes_of(0, 0, 100_000)
        TROUBLE[trouble](source)
        with pytest.raises(data.Killed) as killed:
            for offset in range(0, SIZE, MIB):
                length = min(MIB, SIZE - offset)
                assert mapped.read(offset, length) == source.bytes_of(0, offset, length), f"at {offset}"
        assert str(killed.value) == "SIGBUS"
    assert_the_new_version_is_there(path, source, trouble)


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_whoever_reads_while_it_changes_again_and_again_gets_one_version_whole(make_cell, fake_origin, tmp_path, kind):
    source = Source(kind, fake_origin, tmp_path)
    path = open_mount(make_cell, source) / "object"
    done = threading.Event()
    outcomes = {"whole": 0, "error": 0, "wrong": []}

    def read_on():
        while not done.is_set():
            try:
                with open(path, "rb", buffering=0) as file:
                    got = b"".join(iter(lambda: file.read(MIB), b""))
            except OSError:
                outcomes["error"] += 1
                continue
            versions = [v for v in range(source.version + 1) if got[:64] == source.bytes_of(v, 0, 64)]
            if versions and got == source.bytes_of(versions[0]):
                outcomes["whole"] += 1
            else:
                outcomes["wrong"].append((len(got), versions))

    readers = [threading.Thread(target=read_on) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(10):
        before = outcomes["whole"] + outcomes["error"]
        source.change(SIZE if i % 2 else SHRUNK)
        # The next change comes while somebody is in the middle of this version.
        while outcomes["whole"] + outcomes["error"] <= before and not outcomes["wrong"]:
            done.wait(0.005)
    done.set()
    for reader in readers:
        reader.join()
    assert outcomes["wrong"] == []
    assert data.read_file(path) == source.bytes_of(10), "what is there now can be read"
