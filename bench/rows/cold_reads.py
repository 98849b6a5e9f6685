"""Cold reads through one node, against plain GETs of the same bytes from the same origin.

- cold.fill: an object of 512 MiB into the node's arena, evicted before each run; the limit gets it by libcurl in parallel
  ranges into memory.
- cold.ttfb: the first 4 KiB of an object that nobody has asked for, by name, one after the other, the median; the origin
  takes 15 ms for each request. The limit is a GET of those 4 KiB over a connection that is open, to its first byte.
"""

from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import PAIRS, Pairs, best_of, cpu_per_gigabyte, gigabytes_per_second, grid, median_of, run_json, told, words

ROWS = ("cold.fill", "cold.ttfb")

SIZE = 512 << 20
MEMORY = "1GiB"
OBJECTS, FIRST, OBJECT_SIZE = 60, 4 << 10, 256 << 10  # of a run
LATENCY_MS = 15


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), anonymous=True)
    runs = 2 * PAIRS
    small = [(f"small/{index:07}", OBJECT_SIZE) for index in range(runs * (OBJECTS + 1))]
    origin.add("bench", ("cold.bin", SIZE), *small)
    mount = {"name": "bench", **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", mounts=[mount],
                node={"memory": MEMORY}).start()
    rows = []
    if "cold.fill" in bench.wanted:
        rows.append(fill(bench, origin, cell.nodes[0]))
    if "cold.ttfb" in bench.wanted:
        rows.append(first_bytes(bench, origin, cell.nodes[0]))
    return rows


def reader(bench, node, **options):
    return run_json(bench.program("forebay_bench_cold_reads"), "--node", f"unix:{node.socket}",
                    "--server", node.process.pid, *words(options))


def raw(bench, origin, name, **options):
    url = f"{origin.info['azure']}/bench/{name}"
    return run_json(bench.program("forebay_limit_raw_get"), *words({"url": url, **options}))


def fill(bench, origin, node):
    best = best_of(grid(connections=[2, 4, 8], range=[2 << 20, 8 << 20]),
                   lambda options: raw(bench, origin, "cold.bin", bytes=SIZE, **options)["seconds"])

    def cold():
        node.cli("evict", "bench/cold.bin")
        before = origin.stats()["get_bytes"]
        run = reader(bench, node, object="bench/cold.bin")
        assert origin.stats()["get_bytes"] - before == SIZE, "it was not cold, or some of it came twice"
        return run

    pairs = Pairs.measure(lambda: raw(bench, origin, "cold.bin", bytes=SIZE, **best), cold)
    return pairs.row("cold.fill", "GB/s", gigabytes_per_second, target=0.85,
                     note=f"{SIZE >> 20} MiB into one node's arena, checksummed; CPU s/GB of node and reader "
                          f"{median_of(pairs.values, cpu_per_gigabyte):.3f}, of the limit's client "
                          f"{median_of(pairs.limits, cpu_per_gigabyte):.3f}; limit: libcurl into memory, {told(best)}")


def first_bytes(bench, origin, node):
    origin.admin("POST", "/settings", {"latency_ms": LATENCY_MS})
    runs = iter(range(0, 2 * PAIRS * (OBJECTS + 1), OBJECTS + 1))
    before = origin.stats()["requests_by_op"]
    pairs = Pairs.measure(
        lambda: raw(bench, origin, "small/", count=OBJECTS, first=next(runs), range=FIRST),
        lambda: reader(bench, node, object="bench/small/", count=OBJECTS, first=next(runs), length=FIRST))
    asked = origin.stats()["requests_by_op"]
    requests = sum(asked.values()) - sum(before.values()) - PAIRS * (OBJECTS + 1)
    return pairs.row("cold.ttfb", "us, p50", lambda run: run["p50_us"], less_is_better=True, target=0.8,
                     note=f"first {FIRST >> 10} KiB of objects never seen, {LATENCY_MS} ms per request at the origin; "
                          f"{requests / (PAIRS * (OBJECTS + 1)):.2f} requests an object; p99 "
                          f"{median_of(pairs.values, p99):.0f} us; limit: a GET of them over an open connection")


def p99(run):
    return run["p99_us"]
