"""The installed client library, used by a project outside the tree that gcc and g++ build, against a real cell.

FOREBAY_BIN=build/release/bin .venv/bin/python -m pytest tests/install: a tree without sanitizers, in which
`forebay forebay_fake_origin forebay_library` are built.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from conftest import *  # noqa: E402, F403
from harness import data  # noqa: E402


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}\n{done.stdout.decode(errors='replace')[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The project's programs, and the prefix that they use."""
    base = tmp_path_factory.mktemp("outside")
    tree = Path(os.environ["FOREBAY_BIN"]).resolve().parent
    run("cmake", "--install", tree, "--component", "library", "--prefix", base / "prefix")
    shutil.copytree(ROOT / "tests" / "install", base / "project")
    shutil.copy(ROOT / "examples" / "read_directory.c", base / "project")
    run("cmake", "-S", base / "project", "-B", base / "build", f"-DCMAKE_PREFIX_PATH={base / 'prefix'}",
        "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++")
    run("cmake", "--build", base / "build")
    return base


@pytest.fixture
def node(make_cell, fake_origin):
    origin = fake_origin()
    objects = [("dir/a", 3_000_000), ("dir/b", 0), ("dir/c", 70_001), ("dir/d", 1 << 20)]
    origin.add("data", *objects)
    cell = make_cell(nodes=2, mounts=[{"name": "data", "chunk_size": "1MiB", **origin.mount("azure", "data")}])
    cell.nodes[0].objects = objects
    return cell.nodes[0]


def test_an_outside_project_reads_a_directory_in_one_batch(built, node):
    got = run(built / "build" / "read_directory", "data/dir", env={**os.environ, **node.environment()})
    assert got == b"".join(data.known_bytes("data", name, 0, size) for name, size in node.objects)


def test_a_missing_object_is_told_in_both_forms(built, node):
    got = run(built / "build" / "header_in_cxx", "data/absent", env={**os.environ, **node.environment()})
    assert got == b"NotFound NotFound\n"


def test_pkg_config_knows_it(built):
    (pc,) = (built / "prefix").rglob("forebay.pc")
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    flags = run("pkg-config", "--cflags", "--libs", "forebay", env=env).decode().split()
    run("gcc", "-Wall", "-Wextra", "-Werror", ROOT / "examples" / "read_directory.c", "-o", built / "by-pkg-config", *flags)
