"""small.batch: warm files of 64 KiB by read_batch, by name, attached to the node that has them all.

The limit asks another process for as many places of 64 KiB of its memory, in the same batches, over Unix sockets, and
verifies the same checksums.
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

    def raw(options, passes=PASSES, **more):
        shape = {"unix": True, "memory": FILES * SIZE, "length": SIZE, "batch": BATCH, "warm": 1, "depth": 1}
        return run_json(bench.program("forebay_limit_raw_requests"),
                        *words({**shape, "count": FILES * passes // BATCH, **options, **more}))

    ours(verify=True)
    before = origin.stats()["requests"]
    best = best_of(grid(connections=[1, 2], whole=[False, True]), lambda options: raw(options, 1, checksum=True)["seconds"])
    pairs = Pairs.measure(lambda: raw(best, checksum=True), lambda: ours(passes=PASSES))
    opened = [ours(passes=PASSES, opened=True) for _ in range(3)]
    plain = [raw(best) for _ in range(3)]
    assert origin.stats()["requests"] == before, "a read that is to be warm went to the origin"
    return pairs.row("small.batch", "files/s", requests_per_second, target=0.6,
                     note=f"{FILES} files of {SIZE >> 10} KiB, by name, in batches of {BATCH}, one at a time; as open objects "
                          f"{median_of(opened, requests_per_second):.0f}; limit: requests over Unix sockets, checksummed, "
                          f"{told(best)}; without checksums {median_of(plain, requests_per_second):.0f}")
