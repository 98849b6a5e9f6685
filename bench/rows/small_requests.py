"""small.requests: thousands of cold objects of 64 KiB, read as batches, cost one origin request each.

One client of one node of three opens and reads 10,000 objects in batches of 1,000, each compared byte by byte; then all
again, which must cost the origin nothing.
"""

import json
import subprocess

from harness.cell import Cell
from harness.origins import FakeOrigin
from harness.processes import until

OBJECTS, SIZE, BATCH, NODES = 10_000, 64 << 10, 1_000, 3
MEMORY = "1GiB"
LIMIT = 1.00  # nothing less is possible: nobody knew the objects
LEAST_RATIO = 0.95


def make_objects(bench, count, size):
    directory = bench.directory / "origin" / "bench" / "d"
    directory.mkdir(parents=True)
    for index in range(count):
        (directory / f"{index:07}").write_bytes(index.to_bytes(8, "little") * (max(size, 8) // 8))
    return directory.parent.parent


def two_passes(bench, count, size, nodes=NODES):
    """What each pass of bench/small_objects.cc says, with the origin's requests in it as `requests`."""
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=make_objects(bench, count, size))
    mount = {"name": "bench", **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=nodes, mounts=[mount],
                node={"memory": MEMORY}).start()
    command = [bench.program("forebay_bench_small_objects"), "--mount", "bench", "--node", f"unix:{cell.nodes[0].socket}",
               "--count", count, "--size", size, "--batch", BATCH]
    passes = []
    origin.reset_stats()
    reader = bench.running.start("reader", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for number in range(2):
        line = reader.popen.stdout.readline()
        assert line, f"the reader ended:\n{reader.tail()}"
        outcome = json.loads(line)
        assert (outcome["failed"], outcome["wrong"]) == (0, 0), f"{outcome}:\n{reader.tail()}"
        until("the origin has nothing left to send", lambda: origin.stats()["in_flight"] == 0)
        outcome["requests"] = sum(origin.stats()["requests_by_op"].values())
        passes.append(outcome)
        origin.reset_stats()
        if number == 0:
            reader.popen.stdin.write(b"\n")
            reader.popen.stdin.flush()
    assert reader.wait() == 0, reader.tail()
    return passes


def measure(bench):
    cold, warm = two_passes(bench, OBJECTS, SIZE)
    assert warm["requests"] == 0, f"the second pass cost {warm['requests']} origin requests"
    return {
        "name": "small.requests", "value": cold["requests"] / OBJECTS, "unit": "origin requests / object",
        "limit": LIMIT, "ratio": LIMIT * OBJECTS / cold["requests"], "least_ratio": LEAST_RATIO,
        "note": f"{OBJECTS} cold objects of 64 KiB in batches of {BATCH}, {NODES} nodes; "
                f"cold {OBJECTS / (cold['open_s'] + cold['read_s']):.0f}, "
                f"warm {OBJECTS / (warm['open_s'] + warm['read_s']):.0f} objects/s; second pass: 0 requests",
    }
