"""Warm reads through the mount's process, passthrough off, against an empty FUSE file system of the same kernel that
answers from memory (bench/limits/empty_fuse.cc, the best of a few numbers of threads, or of requests at once). Both
speak to the kernel as the mount chose to: over io_uring where the machine offers it (the fuse module's parameter
enable_uring), else over the plain transport.

- fuse.seq: one process, reads of 1 MiB, the kernel's pages dropped before each pass.
- fuse.rand4k: eight processes, random 4 KiB, O_DIRECT.
- fuse.mmap8: eight processes that map one file of 2 GiB and walk it, the kernel's pages dropped before each round.
- small.mount: 10,000 files of 64 KiB, eight processes; the kernel's pages and names dropped before each round.
"""

import subprocess
from pathlib import Path

from harness.cell import Cell, is_mounted
from harness.origins import FakeOrigin
from harness.processes import until
from pairs import Pairs, best_of, gigabytes_per_second, requests_per_second, run_json, told, words

ROWS = ("fuse.seq", "fuse.rand4k", "fuse.mmap8", "small.mount")

SIZES = {"file": 512 << 20, "large": 2 << 30}
FILES, SMALL = 10_000, 64 << 10
MEMORY = "6GiB"  # the kernel and other programs may hold half of an arena
GRIDS = {
    "plain": [{"threads": 2}, {"threads": 4}, {"threads": 8}],
    "io_uring": [{"io-uring": True, "depth": 2}, {"io-uring": True, "depth": 8}, {"io-uring": True, "depth": 32}],
}
SHAPES = {
    "fuse.seq": ({"how": "read", "drop": True, "passes": 3}, "file", gigabytes_per_second, "GB/s", 0.9),
    "fuse.rand4k": ({"how": "random", "piece": 4096, "processes": 8, "count": 4_000}, "file", requests_per_second, "reads/s", 0.8),
    "fuse.mmap8": ({"how": "map", "drop": True, "processes": 8}, "large", gigabytes_per_second, "GB/s", 0.8),
    "small.mount": ({"how": "small", "processes": 8, "count": FILES}, "small", requests_per_second, "files/s", 0.6),
}


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    origin.add("bench", *SIZES.items())
    for first in range(0, FILES, 2_000):
        origin.add("bench", *((f"small/f{n}", SMALL) for n in range(first, first + 2_000)))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", "consistency": "bounded:10m", **origin.mount("azure", "bench")}],
                node={"memory": MEMORY}).start()
    cell.nodes[0].cli("load", "bench", seconds=300)
    ours = cell.mount("bench", options=["--no-passthrough"]).directory
    transport = until("the node knows how it is mounted",
                      lambda: cell.nodes[0].json("status")["nodes"][0]["mounts"][0].get("transport"), 20)
    got = origin.stats()["get_bytes"]
    rows = [row(bench, name, ours, transport) for name in ROWS if name in bench.wanted]
    assert origin.stats()["get_bytes"] == got, "a read that is to be warm went to the origin"
    return rows


def row(bench, name, ours, transport):
    options, below, of, unit, target = SHAPES[name]

    def run(path, **more):
        if below == "small":
            forget_names()
        return run_json(bench.program("forebay_limit_file_reads"), *words({"path": path, **options, **more}))

    def empty(how, **more):
        with Empty(bench, SIZES.get(below, SIZES["file"]), how) as root:
            path = root / ("small" if below == "small" else "file")
            run(path, **more)  # its memory is in use then, as ours is
            return run(path, **more)

    best = best_of(GRIDS[transport], lambda how: empty(how)["seconds"], tries=1)
    run(ours / below)
    pairs = Pairs.measure(lambda: empty(best), lambda: run(ours / below))
    return pairs.row(name, unit, of, target=target,
                     note=f"passthrough off; limit: an empty FUSE file system; both {transport}, {told(best)}")


def forget_names():
    """The kernel's names and pages, of everything: names of a mount can't be dropped alone."""
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


class Empty:
    """An empty FUSE file system, mounted."""

    def __init__(self, bench, size, how):
        self.size = size
        self.root = bench.directory / "empty"
        self.root.mkdir(exist_ok=True)
        command = [bench.program("forebay_limit_empty_fuse"), "--mount", self.root, "--size", str(size),
                   "--files", str(FILES), *words(how)]
        self.process = bench.running.start("empty-fuse", command)
        self.process.expected_to_end = True

    def __enter__(self):
        until("an empty file system is mounted", lambda: is_mounted(self.root) and self.ready(), 20)
        return self.root

    def ready(self):
        return (self.root / "file").stat().st_size == self.size

    def __exit__(self, *_):
        subprocess.run(["umount", self.root], check=True)
        until("its process ends", lambda: not self.process.alive(), 20)
