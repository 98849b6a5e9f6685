"""small.batch: warm files of 64 KiB by read_batch, by name, attached to the node that has them all.

The client copies what it reads from the node's memory, once the node has said where it is. The limit asks another process
for as many places in the same batches over Unix sockets, and copies them from a file in a tmpfs with 2 MiB pages.
"""

import beside
from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import Pairs, best_of, grid, median_of, requests_per_second, run_json, told, words

FILES, SIZE, BATCH, PASSES = 10_000, 64 << 10, 1_000, 2
MEMORY = "1536MiB"


def measure(bench):
    small = beside.row("small_requests")
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=small.make_objects(bench, FILES, SIZE))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", "consistency": "bounded:10m", **origin.mount("azure", "bench")}],
                node={"memory": MEMORY}).start()
    node = cell.nodes[0]
    node.cli("load", "bench/d", seconds=200)

    def ours(**options):
        return run_json(bench.program("forebay_bench_batch_reads"), "--node", f"unix:{node.socket}", "--below", "bench/d/",
                        "--server", node.process.pid, *words({"count": FILES, "size": SIZE, "batch": BATCH, **options}))

    file = beside.row("fuse_pass").tmpfs(bench, FILES * SIZE) / "places"

    def raw(options, passes=PASSES):
        shape = {"unix": True, "memory": FILES * SIZE, "length": SIZE, "batch": BATCH, "warm": 1, "depth": 1, "file": file}
        return run_json(bench.program("forebay_limit_raw_requests"),
                        *words({**shape, "count": FILES * passes // BATCH, **options}))

    ours(verify=True)
    before = origin.stats()["requests"]
    best = best_of(grid(connections=[1, 2], mapped=[False, True]), lambda options: raw(options, 1)["seconds"])
    pairs = Pairs.measure(lambda: raw(best), lambda: ours(passes=PASSES))
    opened = [ours(passes=PASSES, opened=True) for _ in range(3)]
    assert origin.stats()["requests"] == before, "a read that is to be warm went to the origin"
    return pairs.row("small.batch", "files/s", requests_per_second, target=0.6,
                     note=f"{FILES} files of {SIZE >> 10} KiB, by name, in batches of {BATCH}, one at a time; as open objects "
                          f"{median_of(opened, requests_per_second):.0f}; limit: requests over Unix sockets, and copies "
                          f"from a file in a tmpfs with 2 MiB pages, {told(best)}")
