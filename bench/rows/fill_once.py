"""fill.once: however many read a cold object at the same time, its bytes leave the origin once.

64 connections over three nodes ask for one object of one chunk that nobody has. The origin sends 4 KB/s until all 64
requests are in, which the nodes' own counters say, node by node: the owner's readers first, so that nothing that its
peers pass on is taken for one of them. If any GET ended before that, the row is worth nothing and fails.
"""

import hashlib
import json
import subprocess

from harness.cell import Cell
from harness.origins import FakeOrigin
from harness.processes import until

READERS, NODES = 64, 3
SIZE = 8 << 20  # one chunk
CRAWL = 4096  # bytes per second: the first run of 256 KiB would take a minute
LIMIT = 1.00  # nothing less is possible: every byte has to come once
LEAST_RATIO = 0.999


def measure(bench):
    tree = bench.directory / "origin"
    (tree / "bench").mkdir(parents=True)
    truth = tree / "bench" / "cold.bin"
    truth.write_bytes(hashlib.shake_128(b"fill.once").digest(SIZE))
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=tree)
    mount = {"name": "bench", **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES, mounts=[mount]).start()
    readers = start_readers(bench, cell, truth)
    origin.admin("POST", "/settings", {"rate_bytes": CRAWL})
    assert origin.stats()["get_bytes"] == 0, "the object is not cold"
    ask(readers, cell)
    stats = origin.stats()
    assert stats["requests_by_op"]["get"] == 0, "a GET ended before all requests were in"
    assert stats["in_flight"] >= 1, "no fill has begun although all requests are in"
    origin.admin("POST", "/settings", {"rate_bytes": 0})
    outcome = finish(readers)
    assert (outcome["failed"], outcome["wrong"]) == (0, 0), f"readers failed or got wrong bytes: {outcome}"
    until("the origin has nothing left to send", lambda: origin.stats()["in_flight"] == 0)
    stats = origin.stats()
    assert stats["distinct_get_bytes"] == SIZE, f"{stats['distinct_get_bytes']} distinct bytes of {SIZE} left the origin"
    value = stats["get_bytes"] / stats["distinct_get_bytes"]
    return {
        "name": "fill.once", "value": value, "unit": "origin bytes / distinct bytes", "limit": LIMIT,
        "ratio": LIMIT / value, "least_ratio": LEAST_RATIO,
        "note": f"{READERS} readers of one cold object of 8 MiB over {NODES} nodes, all requests in before the first "
                f"fill ended; {stats['requests_by_op']['get']} GETs, {outcome['bytes'] // SIZE} x 8 MiB delivered and compared",
    }


def start_readers(bench, cell, truth):
    command = [bench.program("forebay_bench_fill_once"), "--mount", "bench", "--path", "cold.bin", "--truth", truth,
               "--readers", READERS]
    for node in cell.nodes:
        command += ["--node", f"unix:{node.socket}"]
    return bench.running.start("readers", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(readers, cell):
    """Starts all readers, and returns when all their requests are in."""
    per_node = json.loads(line_of(readers))["ready"]
    assert sum(per_node) == READERS
    chunks = cell.nodes[0].json("where", "bench/cold.bin")[0]["chunks"]
    names = [node.name for node in cell.nodes]
    owner = names.index(chunks[0]["owners"][0])
    for index in [owner, *(i for i in range(NODES) if i != owner)]:
        assert cell.nodes[index].metric("forebay_reads_total") == 0, f"somebody else reads from {names[index]}"
        readers.popen.stdin.write(f"{index}\n".encode())
        readers.popen.stdin.flush()
        until(f"all requests to {names[index]} are in",
              lambda i=index: cell.nodes[i].metric("forebay_reads_total") == per_node[i])


def finish(readers):
    outcome = json.loads(line_of(readers))
    assert readers.wait() == 0, readers.tail()
    return outcome


def line_of(readers):
    line = readers.popen.stdout.readline()
    assert line, f"the readers ended:\n{readers.tail()}"
    return line
