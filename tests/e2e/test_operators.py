"""docs/operators.md: every command of the page runs as it stands there, and says what the page says it does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
MIB = 1 << 20


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def shell(make_cell, fake_origin, tmp_path):
    """Runs a line of the page in bash: with `forebay` in the path, the page's address being this test's."""
    origin = fake_origin()
    origin.add("imagenet", ("train/shard-0001.tar", 2 * MIB), ("train/shard-0002.tar", 1000))
    cell = make_cell(nodes=2, mounts=[{"name": "imagenet", "chunk_size": "1MiB", **origin.mount("s3", "imagenet")}])
    node = cell.nodes[0]
    bin_directory = Path(node.program).parent

    def run(line):
        line = line.replace("127.0.0.1:7441", node.config["node"]["admin"])
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60, cwd=tmp_path,
            env={**os.environ, **node.environment(), "PATH": f"{bin_directory}:{os.environ['PATH']}", "no_proxy": "*"},
        )

    return run


def test_every_command_runs(shell, tmp_path):
    lines = commands()
    assert len(lines) > 10, "the page has lost its commands"
    for line in lines:
        done = shell(line)
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.stderr == "", f"{line}: {done.stderr}"
        assert done.stdout or line.startswith("curl -s http"), f"{line} prints nothing"
    assert (tmp_path / "train" / "shard-0001.tar").stat().st_size == 2 * MIB
