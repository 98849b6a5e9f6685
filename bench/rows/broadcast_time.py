"""broadcast.time: how near to the bound a model comes onto every node, where links are what limits.

Eight nodes, each in a network namespace with a link of 200 Mbit/s; the origin's link has no limit. One object of 256
MiB in M = 256 chunks, `forebay load --copies all`. Whoever gets S bytes through a link of b bytes/s needs S/b; with N
nodes that serve as they receive, (1 + floor(log2 N)/M) * S/b is the bound (ARCHITECTURE.md).
"""

import math

import beside
import namespaces
from harness.cell import Cell
from harness.origins import FakeOrigin

NODES, SIZE, CHUNK, MEGABITS = 8, 256 << 20, 1 << 20, 200
MEMORY = "640MiB"
LEAST_RATIO = 0.75


def measure(bench):
    broadcast = beside.row("broadcast_origin")
    chunks = SIZE // CHUNK
    bound = (1 + math.floor(math.log2(NODES)) / chunks) * SIZE / (MEGABITS * 1e6 / 8)
    with namespaces.Hosts(NODES, MEGABITS) as hosts:
        try:
            origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), host=hosts.hub_address)
            origin.add("bench", ("model", SIZE))
            mount = {"name": "bench", "chunk_size": "1MiB", **origin.mount("azure", "bench")}
            cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES, mounts=[mount],
                        node={"memory": MEMORY, "allow_insecure": True},
                        hosts=[(hosts.address(i), hosts.prefix(i)) for i in range(NODES)]).start()
            seconds = broadcast.load_on_all(cell, 0)
            origin_bytes = origin.stats()["get_bytes"]
            broadcast.check_holders(cell, SIZE)
        finally:
            complaints = bench.running.end()  # before the namespaces go
        assert not complaints, "; ".join(complaints)
    return {
        "name": "broadcast.time", "value": seconds, "unit": "s", "limit": bound, "ratio": bound / seconds,
        "least_ratio": LEAST_RATIO,
        "note": f"256 MiB in 1 MiB chunks onto {NODES} nodes, links of {MEGABITS} Mbit/s (the bound counts their rate "
                f"with all headers); origin {origin_bytes / SIZE:.3f} of the object",
    }
