"""A shard that another node holds in RAM, through the mount, from open to its last byte: the open waits until the shard
is complete on this node, and the kernel reads it by itself.

Two nodes; the reader's owns next to nothing (its weight is a thousandth), so the shards are all on the other one. Each
is read once, for each pass begins with nothing of it here; what was read before has left, so that a shard takes memory
that the arena had in use, as in a node that has run for a while. The limit moves the same bytes between two processes by
raw TCP that checksums (into memory that it uses again), and then reads a native file of that size in a tmpfs once. The
node that sends has a core, and the one that receives another, as in the limit (bench/cores.py).
"""

import beside
import cores
from harness import data
from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import PAIRS, Pairs, best_of, gigabytes_per_second, grid, run_json, told, words

MIB = 1 << 20
SIZE = 128 * MIB
WARM, IN_A_RUN = 3, 2  # shards; the first is read plain, because nobody knows yet how fast bytes come
SPARE = 3  # of which the reader's node may own a chunk
PAGES = IN_A_RUN * PAIRS * SIZE // (2 * MIB)
SHARDS = WARM + IN_A_RUN * PAIRS + SPARE
MEMORY = "5GiB"  # the kernel may hold half of an arena


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    origin.add("bench", *((f"shard{i}", SIZE) for i in range(SHARDS)))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=2, weights=[1000, 1],
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": MEMORY}).start()
    holder, reader = cell.nodes
    holder.cli("load", "bench", seconds=200)
    shards = Shards(bench, holder, cell.mount("bench", node=1, options=["--open-wait", "1s"]), elsewhere(holder))
    cores.keep_on(cores.SENDERS, holder.process)
    cores.keep_on(cores.RECEIVERS, reader.process)
    for _ in range(WARM):
        shards.read(1)
    metrics = (("forebay_served_bytes_total",), ("forebay_peer_bytes_total",), ("forebay_open_waits_late_total",),
               ("forebay_arena_pages_total", "fresh"))
    before = [reader.metric(*metric) for metric in metrics]
    from_origin = origin.stats()["get_bytes"]

    limits = Limits(bench)
    pairs = Pairs.measure(limits.run, lambda: shards.read(IN_A_RUN))

    served, received, late, fresh = (reader.metric(*metric) - had for metric, had in zip(metrics, before, strict=True))
    assert served == 0, f"{served} bytes went through the mount's process ({late} opens waited in vain): no passthrough"
    assert received == IN_A_RUN * PAIRS * SIZE, f"{received} bytes came from the other node"
    assert fresh <= PAGES // 20, f"{fresh} of {PAGES} pages were new to the arena"
    assert origin.stats()["get_bytes"] == from_origin, "what is to be warm came from the origin"
    shards.compare_last()
    return pairs.row("fuse.shard", "GB/s", gigabytes_per_second, target=0.8,
                     note=f"{SIZE // MIB} MiB in another node's RAM, open to last byte, {IN_A_RUN} one after the other, "
                          f"{cores.TOLD}; no READ request reached user space; limit: raw TCP that checksums, {told(limits.best)}, then one "
                          "read of a native tmpfs file")


def elsewhere(holder):
    """The shards of which the reader's node owns no chunk."""
    names = []
    for number in range(SHARDS):
        (where,) = holder.json("where", f"bench/shard{number}")
        if all([by["node"] for by in chunk["holders"]] == [holder.name] for chunk in where["chunks"]):
            names.append(f"shard{number}")
    return names


class Shards:
    def __init__(self, bench, holder, mount, names):
        self.program, self.holder, self.mount = bench.program("forebay_limit_file_reads"), holder, mount
        self.names, self.left, self.next = names, 0, 0

    def read(self, count):
        if self.next > self.left:
            self.holder.cli("evict", *(f"bench/{name}" for name in self.names[self.left:self.next]))
            self.left = self.next
        runs = []
        for _ in range(count):
            assert self.next < len(self.names), f"only {len(self.names)} shards are on the other node alone"
            runs.append(run_json(self.program, *words({"path": self.mount / self.names[self.next], "how": "read"})))
            self.next += 1
        return together(runs)

    def compare_last(self):
        name = self.names[self.next - 1]
        assert data.read_file(self.mount / name) == data.known_bytes("bench", name, 0, SIZE)


class Limits:
    def __init__(self, bench):
        self.bulk, self.reads = bench.program("forebay_limit_raw_bulk"), bench.program("forebay_limit_file_reads")
        self.file = native_file(bench)
        self.best = best_of(grid(connections=[1, 2], receive=[128 << 10, 256 << 10, 1 << 20]),
                            lambda options: self.move(options)["seconds"])

    def move(self, options):
        return run_json(self.bulk, *words({"memory": SIZE, "bytes": IN_A_RUN * SIZE, "checksum": True, "apart": True, **options}))

    def run(self):
        moved = self.move(self.best)
        read = run_json(self.reads, *words({"path": self.file, "how": "read", "passes": IN_A_RUN}))
        return {"bytes": moved["bytes"], "seconds": moved["seconds"] + read["seconds"]}


def together(runs):
    return {key: sum(run[key] for run in runs) for key in ("bytes", "seconds")}


def native_file(bench):
    file = beside.row("fuse_pass").tmpfs(bench, SIZE) / "shard"
    with file.open("wb") as to:
        to.truncate(SIZE)  # its pages are chosen by its size
        for at in range(0, SIZE, 8 * MIB):
            to.write(data.known_bytes("bench", "native", at, 8 * MIB))
    return file
