"""copies.loss: with two copies of everything, a node that dies costs the origin nothing and readers nothing.

Five nodes, `read_copies = 2`. All objects are read once; when the copies are made a node is killed (SIGKILL), and all
is read again, through another node's mount. What the origin then sends, and what fails, must be nothing.
"""

from harness import data
from harness.cell import Cell
from harness.origins import FakeOrigin
from harness.processes import until

NODES, OBJECTS, SIZE, CHUNK = 5, 8, 24 << 20, 1 << 20
LEAST_RATIO = 1.0


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    names = [f"o{i}" for i in range(OBJECTS)]
    origin.add("bench", *((name, SIZE) for name in names))
    mount = {"name": "bench", "chunk_size": "1MiB", "read_copies": 2, **origin.mount("azure", "bench")}
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES, mounts=[mount]).start()
    assert read_all(cell.mount("bench", node=0), names) == 0, "a read failed before any node was lost"
    chunks = OBJECTS * SIZE // CHUNK
    until("every chunk is copied", lambda: cell.total("forebay_copies_total") >= chunks, 120)
    until("nothing is left to send", lambda: origin.stats()["in_flight"] == 0)
    before = origin.stats()["get_bytes"]
    cell.nodes[-1].process.kill()
    failed = read_all(cell.mount("bench", node=1), names)
    value = origin.stats()["get_bytes"] - before + failed
    return {
        "name": "copies.loss", "value": value, "unit": "origin bytes + failed reads", "limit": 0,
        "ratio": 1.0 if value == 0 else 0.0, "least_ratio": LEAST_RATIO,
        "note": f"{OBJECTS} objects of {SIZE >> 20} MiB on {NODES} nodes, read_copies = 2, one node killed, all read "
                f"again and compared; {failed} failed reads",
    }


def read_all(mount, names):
    failed = 0
    for name in names:
        for offset in range(0, SIZE, 4 << 20):
            try:
                got = data.read_file(mount / name, offset, 4 << 20)
            except OSError:
                failed += 1
                continue
            assert got == data.known_bytes("bench", name, offset, 4 << 20), f"wrong bytes in {name} at {offset}"
    return failed
