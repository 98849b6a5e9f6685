"""What the documentation shows runs, and its types hold."""

import io
import re
import subprocess
import sys
import tarfile

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SITE


def code_of(page):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL))


def test_the_page_runs_from_top_to_bottom(world, capsys):
    train = world.files / "train"
    train.mkdir()
    for i in range(3):
        np.full(2048, i, np.float32).tofile(train / f"{i}.bin")
    np.arange(1 << 20, dtype=np.float32).tofile(train / "large.bin")
    pd.DataFrame({"x": [1, 2], "y": [3, 4]}).to_parquet(world.files / "table.parquet")
    names = {}
    exec(code_of("docs/python.md").replace("data/t", "files/t"), names)
    assert names["batch"].tolist() == [[i] * 1024 for i in range(3)]
    assert (names["parameters"] == np.arange(1 << 20, dtype=np.float32)).all()
    with pytest.raises(ValueError):
        names["parameters"][0] = 1
    assert names["frame"]["x"].tolist() == [1, 2] and len(names["tail"]) == 16
    assert "0.bin 8192 False" in capsys.readouterr().out


def test_the_readme_runs(world, capsys):
    (world.files / "shards").mkdir()
    (world.files / "shards" / "shard-0001.tar").write_bytes(bytes(1024))
    exec(code_of("python/README.md").replace("imagenet/train", "files/shards"), {})
    assert "shard-0001.tar 1024" in capsys.readouterr().out


@pytest.fixture
def dataloader(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "python" / "examples"))
    import dataloader

    return dataloader


def test_shards_for_a_dataloader(world, dataloader):
    directory = world.files / "wds"
    directory.mkdir()
    for shard in range(4):
        with tarfile.open(directory / f"{shard}.tar", "w") as out:
            for sample in range(3):
                member = tarfile.TarInfo(f"{shard}-{sample}")
                member.size = 5000
                out.addfile(member, io.BytesIO(bytes([shard * 3 + sample]) * 5000))
    got = dict(dataloader.Shards("files/wds"))
    assert got == {f"{s}-{i}": bytes([s * 3 + i]) * 5000 for s in range(4) for i in range(3)}
    halves = [set(dict(dataloader.Shards("files/wds", rank=rank, ranks=2))) for rank in range(2)]
    assert len(halves[0]) == 6 and halves[0] | halves[1] == set(got)


def test_small_files_for_a_dataloader(world, dataloader, known):
    files = dataloader.SmallFiles("data/dir")
    assert len(files) == 3 and files[1].read() == known("dir/c")
    assert [file.read() for file in files.__getitems__([2, 0])] == [known("dir/sub/d"), known("dir/b")]


def test_types_hold(tmp_path):
    user = tmp_path / "user.py"
    user.write_text(
        "import forebay\n"
        "with forebay.connect() as c:\n"
        "    n: int = c.prefetch(['a/b'])\n"
        "    p: forebay.Prefetch = c.prefetch(['a/b'], wait=False)\n"
        "    f: forebay.File = c.open('a/b', buffering=0)\n"
        "    s: list[int] = c.read_batch([('a/b', 0, bytearray(1))])\n"
        "    e: list[forebay.Entry] = c.ls('a')\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", f"--cache-dir={tmp_path}"]
    environment = {"MYPYPATH": str(SITE), "PATH": "", "HOME": str(tmp_path)}
    for what in ([str(user)], ["-p", "forebay"]):
        done = subprocess.run([*mypy, *what], cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
