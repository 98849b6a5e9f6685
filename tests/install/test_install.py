"""The installed client library, used by projects outside the tree that clang and g++ build, against a real cell: the
examples, every program in docs/library.md, and what the headers promise.

FOREBAY_BIN=build/release/bin .venv/bin/python -m pytest tests/install: a tree without sanitizers, in which
`forebay forebay_fake_origin forebay_library` are built.
"""

import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from conftest import *  # noqa: E402, F403
from harness import data  # noqa: E402

COMPILERS = {"gcc": ("gcc", "g++"), "clang": ("clang-19", "clang++-19")}
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
PROGRAMS = re.compile(r"^```(c|cpp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}\n{done.stdout.decode(errors='replace')[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """Where the library is installed, and nothing else of the tree."""
    place = tmp_path_factory.mktemp("prefix")
    tree = Path(os.environ["FOREBAY_BIN"]).resolve().parent
    run("cmake", "--install", tree, "--component", "library", "--prefix", place)
    return place


def documented():
    """The programs in docs/library.md, as (file's name, text)."""
    programs = PROGRAMS.findall((ROOT / "docs" / "library.md").read_text())
    return [(f"documented_{i}.{kind}", text) for i, (kind, text) in enumerate(programs)]


# Built once for each compiler: what one needs runs in one worker (-n 2 --dist loadgroup).
@pytest.fixture(scope="session", params=[pytest.param(c, marks=pytest.mark.xdist_group(c)) for c in COMPILERS])
def built(request, prefix, tmp_path_factory):
    """Where the project's programs are, built through the CMake package."""
    base = tmp_path_factory.mktemp(request.param)
    shutil.copytree(ROOT / "tests" / "install", base / "project", ignore=shutil.ignore_patterns("__pycache__"))
    for example in (ROOT / "examples").iterdir():
        shutil.copy(example, base / "project")
    for name, text in documented():
        (base / "project" / name).write_text(text)
    c, cxx = COMPILERS[request.param]
    run("cmake", "-S", base / "project", "-B", base / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_C_COMPILER={c}", f"-DCMAKE_CXX_COMPILER={cxx}")
    run("cmake", "--build", base / "build", "-j2")
    return base / "build"


OBJECTS = [("d/big", 3_000_000), ("d/empty", 0), ("d/small", 10)] + [(f"many/{i:04}", i * 37 % 5_000) for i in range(600)]


@pytest.fixture
def node(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", *OBJECTS)
    return make_cell(nodes=2, mounts=[{"name": "data", "chunk_size": "1MiB", **origin.mount("azure", "data")}]).nodes[0]


def environment(node):
    return {**os.environ, **node.environment()}


def known(name):
    return data.known_bytes("data", name, 0, dict(OBJECTS)[name])


def test_the_c_example_reads_a_directory_in_one_batch(built, node):
    got = run(built / "read_directory", "data/d", env=environment(node))
    assert got == b"".join(known(name) for name in ("d/big", "d/empty", "d/small"))


def test_the_cpp_example_checksums_objects_in_batches(built, node):
    names = [name for name, _ in OBJECTS]
    got = run(built / "checksum_objects", input="".join(f"data/{n}\n" for n in names).encode(), env=environment(node))
    assert got.decode().splitlines() == [f"{zlib.crc32(known(n)):08x} {len(known(n))} data/{n}" for n in names]


def test_a_missing_object_is_told_in_both_forms(built, node):
    got = run(built / "header_in_cxx", "data/absent", env=environment(node))
    assert got == b"NotFound NotFound\n"


def test_every_form_of_the_cpp_header_does_what_it_says(built, node):
    assert run(built / "every_form", env=environment(node)).endswith(b" checks\n")


def test_both_are_direct_readers_too(built, node):
    host, port = node.address
    env = {**os.environ, "FOREBAY_NODE": "unix:/nonexistent/forebay.sock"}
    assert run(built / "every_form", f"{host}:{port}", env=env).endswith(b" checks\n")
    names = "".join(f"data/{name}\n" for name, _ in OBJECTS).encode()
    got = run(built / "checksum_objects", "--direct", f"{host}:{port}", input=names, env=env)
    assert got == run(built / "checksum_objects", input=names, env=environment(node))


@pytest.mark.parametrize("name", [name for name, _ in documented()])
def test_every_program_of_the_documentation_runs(built, node, name):
    run(built / Path(name).stem, env=environment(node))


@pytest.mark.parametrize("compilers", [pytest.param(COMPILERS[c], marks=pytest.mark.xdist_group(c), id=c) for c in COMPILERS])
def test_pkg_config_knows_it(prefix, compilers, node, tmp_path):
    (pc,) = prefix.rglob("forebay.pc")
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    flags = run("pkg-config", "--cflags", "--libs", "forebay", env=env).decode().split()
    c, cxx = compilers
    run(c, "-std=c11", "-D_POSIX_C_SOURCE=200809L", *STRICT, ROOT / "examples" / "read_directory.c", "-o", tmp_path / "c",
        *flags)
    run(cxx, "-std=c++17", *STRICT, ROOT / "examples" / "checksum_objects.cpp", "-o", tmp_path / "cpp", *flags)
    (library,) = prefix.rglob("libforebay.so")
    env = {**environment(node), "LD_LIBRARY_PATH": str(library.parent)}
    assert run(tmp_path / "c", "data/d", env=env).endswith(known("d/small"))
    got = run(tmp_path / "cpp", input=b"data/d/big\n", env=env)
    assert got == f"{zlib.crc32(known('d/big')):08x} 3000000 data/d/big\n".encode()


def test_it_is_usable_without_exceptions(prefix, tmp_path):
    (tmp_path / "none.cc").write_text("#include <forebay/forebay.hpp>\nint main() { return forebay::Batch().size(); }\n")
    (include,) = {path.parent.parent for path in prefix.rglob("forebay.hpp")}
    for _, cxx in COMPILERS.values():
        run(cxx, "-std=c++17", "-fno-exceptions", "-fno-rtti", *STRICT, f"-I{include}", "-c", tmp_path / "none.cc", "-o",
            tmp_path / "none.o")
