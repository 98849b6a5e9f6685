"""copies.balance: objects of very different popularity load all nodes about alike.

Five nodes with a reader attached to each. All read whole objects of 1 MiB at once, chosen by Zipf's law with exponent
1.0: of 1,000 objects the first is 13% of all reads. A node's load is what it sends to other nodes (what it serves to its
own reader is the same for all). The owner of the most wanted object alone would have a third of it.
"""

import json

from harness.cell import Cell
from harness.origins import FakeOrigin

NODES, OBJECTS, SIZE, READS = 5, 1_000, 1 << 20, 3_000
LEAST_RATIO = 0.6


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), root=make_objects(bench))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES,
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": "640MiB"}).start()
    cell.nodes[0].cli("load", "bench")
    before = [node.metric("forebay_served_bytes_total") for node in cell.nodes]
    command = [bench.program("forebay_bench_zipf_reads"), "--mount", "bench", "--objects", OBJECTS, "--size", SIZE,
               "--reads", READS]
    for node in cell.nodes:
        command += ["--node", f"unix:{node.socket}"]
    log = bench.directory / "readers.json"
    with open(log, "wb") as out:
        reader = bench.running.start("readers", command, stdout=out)
        assert reader.wait(280) == 0, reader.tail()
    outcome = json.loads(log.read_text())
    assert (outcome["failed"], outcome["wrong"]) == (0, 0), f"{outcome}:\n{reader.tail()}"
    loads = [node.metric("forebay_served_bytes_total") - was - own
             for node, was, own in zip(cell.nodes, before, outcome["bytes"], strict=True)]
    mean, highest = sum(loads) / NODES, max(loads)
    assert min(loads) >= 0 and mean > 0, f"loads: {loads}"
    return {
        "name": "copies.balance", "value": mean / highest, "unit": "mean load / highest", "limit": 1.0,
        "ratio": mean / highest, "least_ratio": LEAST_RATIO,
        "note": f"{READS} reads of 1 MiB by each of {NODES} attached readers, Zipf 1.0 over {OBJECTS} objects; sent to "
                f"other nodes: {', '.join(f'{load / 2**20:.0f}' for load in loads)} MiB, of "
                f"{sum(outcome['bytes']) / 2**20:.0f} MiB read",
    }


def make_objects(bench):
    directory = bench.directory / "origin" / "bench"
    directory.mkdir(parents=True)
    for index in range(OBJECTS):
        (directory / f"{index:07}").write_bytes(index.to_bytes(8, "little") * (SIZE // 8))
    return directory.parent
