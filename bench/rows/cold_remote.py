"""cold.read: a client without a node of its own reads a cold object whole: origin to owner, owner to client.

The limit has a process between as well: it gets the same bytes from the same origin by libcurl and sends them on over TCP
as they arrive; whoever receives makes the checksums. One node, so that bytes cross one process here and there.
"""

import beside
from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import Pairs, best_of, cpu_per_gigabyte, gigabytes_per_second, grid, median_of, run_json, told, words

ROWS = ("cold.read",)

CHUNK, CHUNKS, DEPTH = 8 << 20, 64, 4
SIZE = CHUNK * CHUNKS
MEMORY = "1GiB"


def measure(bench):
    tree = bench.directory / "origin"
    (tree / "bench").mkdir(parents=True)
    beside.row("read_remote").write_words(tree / "bench" / "cold.bin", SIZE)
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=tree, anonymous=True)
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": MEMORY}).start()
    node = cell.nodes[0]
    url = f"{origin.info['azure']}/bench/cold.bin"

    def raw(options):
        return run_json(bench.program("forebay_limit_raw_relay"), *words({"url": url, "bytes": SIZE, **options}))

    def cold(**more):
        node.cli("evict", "bench/cold.bin")
        before = origin.stats()["get_bytes"]
        run = run_json(bench.program("forebay_bench_remote_reads"), "--object", "bench/cold.bin",
                       "--direct", "{}:{}".format(*node.address), "--server", node.process.pid,
                       *words({"length": CHUNK, "depth": DEPTH, "count": CHUNKS, "warm": 0, **more}))
        assert origin.stats()["get_bytes"] - before == SIZE, "it was not cold, or some of it came twice"
        return run

    cold(verify=True)
    best = best_of(grid(connections=[1, 2, 4, 8], piece=[64 << 10, 256 << 10, 1 << 20]), lambda options: raw(options)["seconds"])
    pairs = Pairs.measure(lambda: raw(best), cold)
    return pairs.row("cold.read", "GB/s", gigabytes_per_second, target=0.85,
                     note=f"{SIZE >> 20} MiB in chunks, {DEPTH} at a time, origin to node to a client of TCP; CPU s/GB of node "
                          f"and client {median_of(pairs.values, cpu_per_gigabyte):.3f}, of the limit's two processes "
                          f"{median_of(pairs.limits, cpu_per_gigabyte):.3f}; limit: libcurl and TCP, the receiver "
                          f"checksums, {told(best)}")
