"""A warm read through shared memory into the caller's buffer, against memcpy of a file of the same pages.

read.local.shm: a client of this machine's node reads an object of 1 GiB, more than a processor's cache holds, by the C
ABI in reads of 8 MiB, one after the other, into one buffer. The limit copies a native file in the same pieces from a
mapping whose pages are present; it has 2 MiB pages, as the arena has.
"""

import beside
from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import Pairs, gigabytes_per_second, run_json, words

ROWS = ("read.local.shm",)

SIZE, PIECE, PASSES = 1 << 30, 8 << 20, 4
MEMORY = "3GiB"


def measure(bench):
    fuse_pass, read_remote = beside.row("fuse_pass"), beside.row("read_remote")
    tree = bench.directory / "origin"
    (tree / "bench").mkdir(parents=True)
    source = tree / "bench" / "warm.bin"
    read_remote.write_words(source, SIZE)
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=tree)
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": MEMORY}).start()
    node = cell.nodes[0]
    node.cli("load", "bench/warm.bin")
    native = fuse_pass.native_copy(bench, source, SIZE)
    reader = [bench.program("forebay_bench_remote_reads"), "--node", f"unix:{node.socket}", "--object", "bench/warm.bin"]

    def ours(**more):
        # The passes that don't count end with the object mapped.
        options = {"length": PIECE, "count": PASSES * SIZE // PIECE, "warm": SIZE // PIECE, **more}
        before = node.metric("forebay_served_bytes_total")
        told = run_json(*reader, *words(options))
        asked = node.metric("forebay_served_bytes_total") - before
        assert asked < SIZE // 4, f"{asked} bytes came over the socket: the object wasn't mapped in time"
        return told

    def limit():
        return run_json(bench.program("forebay_limit_file_reads"),
                        *words({"path": native, "how": "copy", "piece": PIECE, "passes": PASSES}))

    ours(verify=True, count=SIZE // PIECE)
    limit()
    pairs = Pairs.measure(limit, ours)
    return [pairs.row("read.local.shm", "GB/s", gigabytes_per_second, target=0.9,
                      note=f"{SIZE >> 20} MiB in reads of {PIECE >> 20} MiB into one buffer; limit: memcpy from a mapped "
                           "file in a tmpfs with 2 MiB pages, pages present")]
