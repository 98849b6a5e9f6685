"""One command each against real object stores: Azurite and versitygw. A tree of 10,000 files, git, and numpy."""

import concurrent.futures
import os
import subprocess
import sys

import numpy
import pytest
from harness import data

FILES = 10_000
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240, **options)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def make_source(directory):
    """What a person keeps in a bucket: many small files, a repository, an array."""
    data.make_tree(directory / "tree", FILES, size=300)
    git_environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for who in ("AUTHOR", "COMMITTER"):
        git_environment |= {f"GIT_{who}_NAME": "Ann", f"GIT_{who}_EMAIL": "ann@example.org"}
    work = directory.parent / "work"
    run("git", "init", "-q", "-b", "main", work)
    for commit in range(3):
        data.make_tree(work, 30, size=4000 + commit)
        run("git", "-C", work, "add", ".", env=git_environment)
        run("git", "-C", work, "commit", "-q", "-m", f"commit {commit}", env=git_environment)
    # By push, not by clone --bare: that would leave refs/ an empty directory, which no object store holds.
    run("git", "init", "-q", "--bare", "-b", "main", directory / "work.git")
    run("git", "-C", work, "push", "-q", directory / "work.git", "main", env=git_environment)
    numpy.save(directory / "array.npy", numpy.arange(3_000_000, dtype=numpy.int64).reshape(3000, 1000))


def upload(server, directory, container):
    scheme = "az+http" if server.kind == "azurite" else "s3+http"
    address = server.endpoint.removeprefix("http://")
    program = os.path.join(ROOT, "tests", "tools", "put_tree.py")
    run(sys.executable, program, "put", f"{scheme}://{address}/{container}", directory, "--threads", "4",
        env={**os.environ, **server.environment()})


@pytest.mark.seconds(600)  # the first start installs the server
@pytest.mark.parametrize("kind", ["azurite", "versitygw"])
def test_a_container_is_mounted_by_one_command_and_is_the_source(real_server, mount_url, tmp_path, kind):
    server = real_server(kind)
    source = tmp_path / "source"
    make_source(source)
    upload(server, source, "data")
    options = ["--endpoint", server.endpoint]
    mount = mount_url(server.url("data"), server.environment(), options)

    # Two halves at once: what waits for the store needn't wait in line.
    halves = [[f"d{i:04}" for i in range(FILES // 100) if i % 2 == half] for half in range(2)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        compared = [pool.submit(compare, source / "tree", mount / "tree", half) for half in halves]
        for half in compared:
            assert half.result() == ""
    assert sorted(os.listdir(mount / "tree")) == sorted(os.listdir(source / "tree"))

    clone = tmp_path / "clone"
    run("git", "-c", "safe.directory=*", "clone", "-q", mount / "work.git", clone)
    assert run("git", "-C", clone, "log", "--format=%s").split("\n")[:3] == ["commit 2", "commit 1", "commit 0"]
    run("git", "-C", clone, "fsck", "--strict")
    assert run("diff", "-r", "-x", ".git", tmp_path / "work", clone) == ""

    array = numpy.load(mount / "array.npy", mmap_mode="r")
    assert isinstance(array, numpy.memmap) and array.shape == (3000, 1000)
    assert array[2999, 999] == 2_999_999 and (array[:, 500] == numpy.arange(3000) * 1000 + 500).all()
    assert int(array.sum()) == 3_000_000 * 2_999_999 // 2


def compare(source, mounted, directories):
    """`diff -r` of each directory; what it says."""
    return "".join(run("diff", "-r", source / directory, mounted / directory) for directory in directories)
