"""How the kernel's requests come to a mount's process: the bytes are the same, and `status` says which way it is."""

import mmap
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import data
from harness.kernel import RING, io_uring_offered
from harness.processes import until

MIB = 1 << 20
SIZE = 12 * MIB + 5
SMALL = 40_001

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the fuse module's parameter is root's to set")


def said(node):
    return node.json("status")["nodes"][0]["mounts"][0].get("transport")


@pytest.fixture
def cell(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("o", SIZE), *((f"small/{n}", SMALL) for n in range(200)))
    return make_cell(mounts=[{"name": "data", **origin.mount("azure", "data")}])


def test_a_mount_over_io_uring_reads_what_is_there_and_status_says_so(cell):
    node = cell.nodes[0]
    assert said(node) is None, "nothing is mounted"
    with io_uring_offered() as offered:
        if not offered:
            pytest.skip("this kernel has no FUSE over io_uring (Linux 6.14 has)")
        mount = cell.mount("data", options=["--transport", "io_uring", "--no-passthrough"])
        until("the node knows how it is mounted", lambda: said(node) == "io_uring", 20)
    assert b"mounts of data speak with the kernel over io_uring\n" in node.cli("status").stdout
    assert "requests come over io_uring" in mount.process.log.read_text()

    whole = data.known_bytes("data", "o", 0, SIZE)
    assert data.read_file(mount / "o") == whole
    node.cli("load", "data/o")
    with open(mount / "o", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:] == whole, "from the node's memory"
    assert len(os.listdir(mount / "small")) == 200
    with ThreadPoolExecutor(16) as pool:
        small = pool.map(lambda n: data.read_file(mount / f"small/{n}"), range(200))
        for n, got in enumerate(small):
            assert got == data.known_bytes("data", f"small/{n}", 0, SMALL)


def test_a_node_that_dies_under_a_mount_over_io_uring_hangs_nobody(cell):
    with io_uring_offered() as offered:
        if not offered:
            pytest.skip("this kernel has no FUSE over io_uring (Linux 6.14 has)")
        mount = cell.mount("data", options=["--transport", "io_uring", "--read-timeout", "2s"])
        until("the node knows how it is mounted", lambda: said(cell.nodes[0]) == "io_uring", 20)
    assert data.read_file(mount / "small/1") == data.known_bytes("data", "small/1", 0, SMALL)
    cell.nodes[0].process.kill()
    with pytest.raises(OSError):
        data.read_file(mount / "small/2")
    mount.process.expected_to_end = True
    subprocess.run(["umount", mount.directory], check=True, timeout=20)
    until("its process ends", lambda: not mount.process.alive(), 20)


def test_a_node_that_was_started_again_hears_of_its_mounts(cell):
    node = cell.nodes[0]
    mount = cell.mount("data")
    until("the node knows how it is mounted", lambda: said(node) is not None, 20)
    before = said(node)
    node.process.kill()
    node.start()
    assert data.read_file(mount / "small/3") == data.known_bytes("data", "small/3", 0, SMALL)
    until("it knows again", lambda: said(node) == before, 30)


def test_io_uring_that_cannot_be_had_is_an_error_and_auto_goes_without(cell, program, tmp_path):
    node = cell.nodes[0]
    if RING.exists() and RING.read_text(encoding="ascii").startswith("Y"):
        pytest.skip("this machine's kernel offers it to all")
    (tmp_path / "asked").mkdir()
    asked = subprocess.run([program, "mount", "data", tmp_path / "asked", "--foreground", "--transport", "io_uring"],
                           env=node.environment(), capture_output=True, timeout=20, check=False)
    assert asked.returncode == 1
    assert b"no FUSE over io_uring: " in asked.stderr
    mount = cell.mount("data")
    until("the node knows how it is mounted", lambda: said(node) == "plain", 20)
    assert b"speak with the kernel over /dev/fuse alone, not io_uring: " in node.cli("status").stdout
    assert data.read_file(mount / "small/7") == data.known_bytes("data", "small/7", 0, SMALL)
