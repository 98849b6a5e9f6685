"""A warm whole object through the mount, which the kernel reads by itself, against a native file of the same pages.

The native file is in a tmpfs with 2 MiB pages, as the node's arena is. Both are opened for each pass.

- fuse.pass: one process, reads of 1 MiB.
- fuse.pass.mmap: four processes that map it and walk it.
"""

import os
import subprocess

from harness.cell import Cell, is_mounted
from harness.origins import FakeOrigin
from pairs import Pairs, gigabytes_per_second, run_json, words

ROWS = ("fuse.pass", "fuse.pass.mmap")

SIZE = 512 << 20
MEMORY = "1536MiB"


def measure(bench):
    assert os.geteuid() == 0, "passthrough and a tmpfs need root"
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    origin.add("bench", ("whole.bin", SIZE))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": MEMORY}).start()
    node = cell.nodes[0]
    node.cli("load", "bench/whole.bin")
    ours = cell.mount("bench") / "whole.bin"
    native = native_copy(bench, ours)
    warm_up(bench, node, ours)
    before = node.metric("forebay_served_bytes_total")
    rows = []
    for name, options, what in (
        ("fuse.pass", {"how": "read", "passes": 8}, "reads of 1 MiB"),
        ("fuse.pass.mmap", {"how": "map", "processes": 4, "passes": 4}, "4 processes that map it and take a word of each line"),
    ):
        if name in bench.wanted:
            rows.append(pair(bench, name, ours, native, options, what))
    asked = node.metric("forebay_served_bytes_total") - before
    assert asked == 0, f"{asked} bytes came from the node's process: this is no passthrough"
    for row in rows:
        row["note"] += "; no READ request reached user space"
    return rows


def warm_up(bench, node, path):
    """Until a pass asks for nothing: an open that comes before the last plain handle's RELEASE joins that one."""
    for _ in range(5):
        before = node.metric("forebay_served_bytes_total")
        run_json(bench.program("forebay_limit_file_reads"), *words({"path": path, "how": "read", "passes": 1}))
        if node.metric("forebay_served_bytes_total") == before:
            return
    raise AssertionError("the kernel doesn't read the object by itself: five passes asked the node for bytes")


def pair(bench, name, ours, native, options, what):
    def read(path):
        return run_json(bench.program("forebay_limit_file_reads"), *words({"path": path, **options}))

    read(ours), read(native)
    pairs = Pairs.measure(lambda: read(native), lambda: read(ours))
    return pairs.row(name, "GB/s", gigabytes_per_second, target=0.9,
                     note=f"{SIZE >> 20} MiB, {what}; limit: the same of a file in a tmpfs with 2 MiB pages")


def native_copy(bench, source, size=SIZE):
    copy = tmpfs(bench, size) / "whole.bin"
    with copy.open("wb") as file:
        file.truncate(size)  # its pages are chosen by its size
        with source.open("rb") as from_mount:
            while piece := from_mount.read(8 << 20):
                file.write(piece)
    return copy


def tmpfs(bench, size):
    """A directory for a file of that size, of 2 MiB pages."""
    directory = bench.directory / "native"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"huge=within_size,size={2 * size}", "native", directory], check=True)
    bench.running.at_end(lambda: unmount(directory))
    return directory


def unmount(directory):
    if is_mounted(directory):
        subprocess.run(["umount", directory], check=True)
