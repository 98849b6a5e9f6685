"""Warm reads of another node's RAM into a client's memory, over TCP on loopback, against raw TCP.

Two nodes hold an object of 32 chunks, about half of it each; one client of the cell without a node of its own reads it
by the C ABI. Each limit (bench/limits) moves the same bytes from the memory of one process to that of another, in the
same batches and as many of them on their way, with the checksums that Forebay verifies, the best of a small grid.

- read.remote.8m: whole chunks, 4 reads on their way, the nodes on one core and the client on another, as sender and
  receiver of the limit are (bench/cores.py). The note has the limit without checksums, too.
- read.remote.cpu: CPU seconds of both sides for the same.
- read.remote.64k: batches of 16 reads at random granules, one batch at a time.
- lat.remote.4k: one read of 4 KiB at a random place at a time, the median.
"""

import array

import cores
from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import (Pairs, best_of, cpu_per_gigabyte, gigabytes_per_second, grid, median_of, requests_per_second, run_json,
                   told, words)

ROWS = ("read.remote.8m", "read.remote.cpu", "read.remote.64k", "lat.remote.4k")

NODES, CHUNK, CHUNKS = 2, 8 << 20, 32
SIZE = CHUNK * CHUNKS
DEPTH = 4
BULK_BYTES, SWEEP_BYTES = 3 << 30, 512 << 20
BATCH, GRANULE, BATCHES, SWEEP_BATCHES = 16, 64 << 10, 3_000, 800
SMALL, READS, SWEEP_READS = 4 << 10, 25_000, 5_000


def write_words(path, size=SIZE):
    """A file whose 8 bytes at each offset are wordAt() of it (bench/limits/measure.h)."""
    with path.open("wb") as file:
        for first in range(1, size // 8 + 1, CHUNK // 8):
            array.array("Q", range(first, first + CHUNK // 8)).tofile(file)


def measure(bench):
    tree = bench.directory / "origin"
    (tree / "bench").mkdir(parents=True)
    write_words(tree / "bench" / "warm.bin")
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=tree)
    mount = {"name": "bench", **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES, mounts=[mount],
                node={"memory": "640MiB"}).start()
    cell.nodes[0].cli("load", "bench")
    reader = Reader(bench, cell)
    reader.run(length=CHUNK, depth=DEPTH, count=CHUNKS, warm=CHUNKS, verify=True)
    got = origin.stats()["get_bytes"]
    rows = []
    if "read.remote.64k" in bench.wanted:
        rows.append(batches(bench, reader))
    if "lat.remote.4k" in bench.wanted:
        rows.append(latency(bench, reader))
    if {"read.remote.8m", "read.remote.cpu"} & bench.wanted:
        for node in cell.nodes:
            cores.keep_on(cores.SENDERS, node.process)
        reader.command = cores.on(cores.RECEIVERS, reader.command)
        rows += bulk(bench, reader)
    assert origin.stats()["get_bytes"] == got, "a read that is to be warm went to the origin"
    return [row for name in ROWS for row in rows if row["name"] == name and name in bench.wanted]


class Reader:
    def __init__(self, bench, cell):
        self.command = [bench.program("forebay_bench_remote_reads"), "--object", "bench/warm.bin"]
        for node in cell.nodes:
            host, port = node.address
            self.command += ["--direct", f"{host}:{port}", "--server", node.process.pid]

    def run(self, **options):
        return run_json(*self.command, *words(options))


def bulk(bench, reader):
    limit = bench.program("forebay_limit_raw_bulk")

    def raw(options, size, **more):
        return run_json(limit, *words({"memory": SIZE, "bytes": size, "buffers": DEPTH, "apart": True, **options, **more}))

    best = best_of(grid(connections=[1, 2], receive=[128 << 10, 256 << 10, 1 << 20], wait_all=[False, True]),
                   lambda options: raw(options, SWEEP_BYTES, checksum=True)["seconds"])
    pairs = Pairs.measure(lambda: raw(best, BULK_BYTES, checksum=True),
                          lambda: reader.run(length=CHUNK, depth=DEPTH, count=BULK_BYTES // CHUNK))
    plain = [raw(best, BULK_BYTES) for _ in range(3)]
    what = f"whole chunks of {SIZE >> 20} MiB on {NODES} nodes, {DEPTH} at a time, {cores.TOLD}; limit: raw TCP that checksums, {told(best)}"
    return [
        pairs.row("read.remote.8m", "GB/s", gigabytes_per_second, target=0.9,
                  note=f"{what}; without checksums {median_of(plain, gigabytes_per_second):.3g}"),
        pairs.row("read.remote.cpu", "CPU s/GB", cpu_per_gigabyte, less_is_better=True, target=0.75,
                  note=f"both sides, of read.remote.8m's runs: reader {median_of(pairs.values, reader_share):.3f}, its limit "
                       f"{median_of(pairs.limits, reader_share):.3f}; without checksums {median_of(plain, cpu_per_gigabyte):.3f}"),
    ]


def reader_share(run):
    return run["cpu_reader"] / run["bytes"] * 1e9


def requests_limit(bench):
    limit = bench.program("forebay_limit_raw_requests")
    return lambda options, **more: run_json(limit, *words({"memory": SIZE, "checksum": True, **options, **more}))


def batches(bench, reader):
    raw = requests_limit(bench)
    shape = {"length": GRANULE, "batch": BATCH, "depth": 1}
    best = best_of(grid(connections=[1, 2], whole=[False, True]),
                   lambda options: raw(options, count=SWEEP_BATCHES, **shape)["seconds"])
    pairs = Pairs.measure(lambda: raw(best, count=BATCHES, **shape),
                          lambda: reader.run(count=BATCHES, warm=200, random=True, **shape))
    return pairs.row("read.remote.64k", "reads/s", requests_per_second, target=0.6,
                     note=f"random granules in batches of {BATCH}, one at a time; limit: raw TCP, the same batches, "
                          f"checksummed, {told(best)}")


def latency(bench, reader):
    raw = requests_limit(bench)
    shape = {"length": SMALL, "batch": 1, "depth": 1}
    best = best_of(grid(connections=[1], whole=[False, True]),
                   lambda options: raw(options, count=SWEEP_READS, **shape)["p50_us"])
    pairs = Pairs.measure(lambda: raw(best, count=READS, **shape),
                          lambda: reader.run(count=READS, warm=500, random=True, **shape))
    return pairs.row("lat.remote.4k", "us, p50", lambda run: run["p50_us"], less_is_better=True, target=0.6,
                     note=f"random 4 KiB, one at a time; p99 {median_of(pairs.values, p99):.0f} us, limit's "
                          f"{median_of(pairs.limits, p99):.0f} us; limit: raw TCP, request and answer, checksummed, {told(best)}")


def p99(run):
    return run["p99_us"]
