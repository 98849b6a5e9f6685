"""forebay:// as fsspec and what stands on it use it; fsspec's own abstract tests, the reading part."""

import itertools
import os
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from conftest import MIB
from forebay.fs import ForebayFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

_names = itertools.count()


class WrittenAtTheOrigin(ForebayFileSystem):
    """Reads through the cell; what the abstract tests make to read is made at the origin, a directory."""

    cachable = False
    origin: Path

    def _at_origin(self, path):
        at = self.origin / self._strip_protocol(path).removeprefix("files/")
        at.parent.mkdir(parents=True, exist_ok=True)
        return at

    def touch(self, path, **_):
        self._at_origin(path).touch()

    def makedirs(self, path, exist_ok=False):
        self._at_origin(path).mkdir(parents=True, exist_ok=exist_ok)

    def mkdir(self, path, **_):
        self.makedirs(path, exist_ok=True)

    def pipe(self, path, value=None, **_):
        self._at_origin(path).write_bytes(value)

    def rm(self, path, **_):
        """Each test has names of its own, so that no listing of an earlier one is asked for."""


class TestGet(AbstractGetTests, AbstractFixtures):
    @pytest.fixture
    def fs(self, world):
        fs = WrittenAtTheOrigin()
        fs.origin = world.files
        return fs

    @pytest.fixture
    def fs_path(self):
        return f"files/abstract{next(_names)}"


@pytest.fixture
def fs(world):
    return fsspec.filesystem("forebay")


def test_fsspec_finds_it_without_an_import(world, known):
    with fsspec.open("forebay://data/dir/b", "rb") as file:
        assert file.read() == known("dir/b")
    fs, path = fsspec.url_to_fs("forebay://data/a")
    assert type(fs).__name__ == "ForebayFileSystem" and path == "data/a"
    assert fsspec.open_files("forebay://data/dir/*")[0].path == "data/dir/b"


def test_names(fs):
    assert fs.ls("forebay://data/dir", detail=False) == ["data/dir/b", "data/dir/c", "data/dir/sub"]
    assert fs.ls("data/dir/c")[0]["size"] == 10
    assert fs.find("data") == ["data/a", "data/dir/b", "data/dir/c", "data/dir/sub/d", "data/empty"]
    assert fs.glob("data/**/d") == ["data/dir/sub/d"] and fs.du("data/dir") == 70_011 + MIB
    assert fs.isdir("data/dir") and fs.isfile("data/a") and fs.exists("data/a") and not fs.exists("data/absent")
    info = fs.info("data/a")
    assert (info["type"], info["chunk_size"]) == ("file", MIB) and fs.ukey("data/a") != fs.ukey("data/empty")
    assert fs.modified("data/a").year >= 2020
    with pytest.raises(FileNotFoundError):
        fs.ls("data/absent")


def test_bytes(fs, known, tmp_path):
    want = known("a")
    assert fs.cat("data/a") == want and fs.cat_file("data/a", -5) == want[-5:]
    assert fs.cat_file("data/a", 5, -5) == want[5:-5] and fs.head("data/a", 9) == want[:9]
    assert fs.cat(["data/dir/b", "data/dir/c"]) == {f"data/{n}": known(n) for n in ("dir/b", "dir/c")}
    got = fs.cat_ranges(["data/a", "data/absent", "data/a"], [0, 0, MIB], [10, 10, MIB + 5])
    assert (got[0], got[2]) == (want[:10], want[MIB : MIB + 5]) and isinstance(got[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["data/absent"], 0, 10, on_error="raise")
    fs.get("data/dir", str(tmp_path / "got"), recursive=True)
    assert (tmp_path / "got" / "sub" / "d").read_bytes() == known("dir/sub/d")
    with fs.open("data/dir/b", "rb") as file:
        file.seek(-1, os.SEEK_END)
        assert file.read() == known("dir/b")[-1:]


@pytest.mark.parametrize(
    "write",
    [
        lambda fs: fs.open("data/new", "wb"), lambda fs: fs.open("data/a", "r+b"), lambda fs: fs.open("data/a", "ab"),
        lambda fs: fs.pipe("data/new", b""), lambda fs: fs.rm("data/a"), lambda fs: fs.mkdir("data/new"),
        lambda fs: fs.makedirs("data/new"), lambda fs: fs.touch("data/new"), lambda fs: fs.mv("data/a", "data/b"),
        lambda fs: fs.cp_file("data/a", "data/b"), lambda fs: fs.put_file(__file__, "data/new"),
    ],
)
def test_writing_is_refused_and_never_silent(fs, write):
    with pytest.raises(OSError, match="read-only"):
        write(fs)


def test_it_travels_to_workers(fs, known):
    assert pickle.loads(pickle.dumps(fs)).cat("data/dir/c") == known("dir/c")


@pytest.fixture
def table(world):
    table = pa.table({"key": np.arange(100_000), "x": np.random.default_rng(1).random(100_000), "name": ["n"] * 100_000})
    (world.files / "parquet").mkdir(exist_ok=True)
    pq.write_table(table, world.files / "parquet" / "part-0.parquet", row_group_size=10_000)
    return table


def test_pandas_reads_parquet(table):
    frame = pd.read_parquet("forebay://files/parquet/part-0.parquet", columns=["key", "x"])
    assert frame["key"].sum() == 99_999 * 50_000 and frame["x"].equals(table["x"].to_pandas())


def test_pyarrow_reads_a_dataset(table, fs):
    dataset = pyarrow.dataset.dataset("files/parquet", filesystem=fs, format="parquet")
    assert dataset.to_table(filter=pyarrow.dataset.field("key") < 10)["key"].to_pylist() == list(range(10))
    assert pq.read_table("files/parquet/part-0.parquet", filesystem=fs).equals(table)
