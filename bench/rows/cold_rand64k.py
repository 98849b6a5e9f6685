"""cold.rand64k: what random reads cost at the origin: bytes asked / bytes fetched.

Aligned reads of 64 KiB at random places of a cold object of 20 GB, eight at a time, by the library. A run of 256 KiB is
the least that a fill brings, so 0.25 is what can be reached, but for places that share a run. Each place that is read
has bytes of its own, which are compared.
"""

import json
import random
import subprocess

from harness.cell import Cell
from harness.origins import FakeOrigin
from harness.processes import until

SIZE, READ, READS = 20_000_000_000, 64 << 10, 2000
IN_FLIGHT = 8
LIMIT = 1.0  # fetch what is asked and nothing else
LEAST_RATIO = 0.24


def measure(bench):
    tree = bench.directory / "origin"
    (tree / "bench").mkdir(parents=True)
    truth = tree / "bench" / "large.bin"
    places = [READ * place for place in random.Random(20).sample(range(SIZE // READ), READS)]
    with truth.open("wb") as file:
        file.truncate(SIZE)  # sparse: what isn't written takes no room
        for place in places:
            file.seek(place)
            file.write(b"bytes at %d" % place)
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=tree)
    mount = {"name": "bench", **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", mounts=[mount],
                node={"memory": "1GiB"}).start()
    before = origin.stats()["get_bytes"]
    outcome = read(bench, cell, truth, places)
    assert (outcome["failed"], outcome["wrong"]) == (0, 0), f"reads failed or gave wrong bytes: {outcome}"
    until("the origin has nothing left to send", lambda: origin.stats()["in_flight"] == 0)
    stats = origin.stats()
    fetched = stats["get_bytes"] - before
    value = outcome["bytes"] / fetched
    return {
        "name": "cold.rand64k", "value": value, "unit": "bytes asked / bytes fetched", "limit": LIMIT,
        "ratio": value / LIMIT, "least_ratio": LEAST_RATIO,
        "note": f"{READS} aligned reads of 64 KiB at random places of 20 GB, {IN_FLIGHT} at a time, compared; "
                f"{stats['requests_by_op']['get']} GETs of {fetched / outcome['bytes']:.2f} times the bytes asked",
    }


def read(bench, cell, truth, places):
    command = [bench.program("forebay_bench_random_reads"), "--object", "bench/large.bin", "--truth", truth,
               "--length", READ, "--in-flight", IN_FLIGHT, "--node", f"unix:{cell.nodes[0].socket}"]
    done = subprocess.run([str(part) for part in command], input="\n".join(map(str, places)).encode(),
                          capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
