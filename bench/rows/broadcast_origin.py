"""broadcast.origin: a model brought onto every node costs the origin its bytes once.

`forebay load --copies all` of one object of 1 GiB onto 8 nodes; then every node must hold all of it, and send a piece
of it from what it has. How soon a silent node is given up is not what this measures.
"""

from harness import data
from harness.cell import Cell
from harness.origins import FakeOrigin

NODES, SIZE, CHUNK = 8, 1 << 30, 8 << 20
MEMORY = "1920MiB"
SILENCE = "10s"  # eight nodes on a few cores keep each other from running for seconds: none of them is dead
LEAST_RATIO = 0.999


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    origin.add("bench", ("model", SIZE))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES,
                mounts=[{"name": "bench", **origin.mount("azure", "bench")}], node={"memory": MEMORY, "peer_silence": SILENCE}).start()
    origin.reset_stats()
    seconds = load_on_all(cell, 0)
    got = origin.stats()["get_bytes"]
    check_holders(cell, SIZE)
    for index, node in enumerate(cell.nodes):
        offset = index * (SIZE // NODES) + 12_345
        piece = node.cli("cat", "--offset", offset, "--length", CHUNK, "bench/model").stdout
        assert piece == data.known_bytes("bench", "model", offset, CHUNK), f"{node.name} has other bytes at {offset}"
    assert origin.stats()["get_bytes"] == got, "a node that should have all asked the origin"
    return {
        "name": "broadcast.origin", "value": got / SIZE, "unit": "origin bytes / distinct bytes", "limit": 1.0,
        "ratio": SIZE / got, "least_ratio": LEAST_RATIO,
        "note": f"forebay load --copies all: 1 GiB onto {NODES} nodes on loopback in {seconds:.1f} s, all held by each; peer_silence {SILENCE}",
    }


def load_on_all(cell, node):
    """Seconds of `forebay load --copies all`, from its start to its end."""
    import time
    began = time.monotonic()
    cell.nodes[node].cli("load", "--copies", "all", "bench/model", seconds=250)
    return time.monotonic() - began


def check_holders(cell, size):
    (where,) = cell.nodes[0].json("where", "bench/model")
    held = {}
    for chunk in where["chunks"]:
        for holder in chunk["holders"]:
            held[holder["node"]] = held.get(holder["node"], 0) + holder["bytes"]
    assert held == {node.name: size for node in cell.nodes}, f"held: {held}"
