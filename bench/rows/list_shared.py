"""list.shared: a large directory listed by many processes at once is listed at the origin once.

64 processes on 3 nodes each list 1,000,000 names at the same time. The origin's pages hold 5,000 names.
"""

import concurrent.futures
import os
import subprocess

from harness.cell import Cell
from harness.origins import FakeOrigin

NODES, PROCESSES, NAMES, PAGE = 3, 64, 1_000_000, 5_000
MEMORY = "4GiB"  # of which a 16th is for pages: about 1,250,000 names
LEAST_RATIO = 0.95


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    for first in range(0, NAMES, 4_000):  # a request's body has at most 256 KiB
        origin.add("bench", *((f"d/{i:07}", 1) for i in range(first, first + 4_000)))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell", nodes=NODES,
                mounts=[{"name": "bench", "consistency": "bounded:300s", **origin.mount("azure", "bench")}],
                node={"memory": MEMORY}).start()
    origin.reset_stats()
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        counts = list(pool.map(lambda i: count_names(bench, cell.nodes[i % NODES]), range(PROCESSES)))
    assert counts == [NAMES] * PROCESSES, f"names listed: {sorted(set(counts))}"
    lists = origin.stats()["requests_by_op"].get("list", 0)
    pages = NAMES // PAGE
    return {
        "name": "list.shared", "value": lists / pages, "unit": "origin list requests / page", "limit": 1.0,
        "ratio": pages / lists, "least_ratio": LEAST_RATIO,
        "note": f"{PROCESSES} processes on {NODES} nodes list {NAMES} names at once: {lists} list requests of {pages} "
                "pages; every process saw every name",
    }


def count_names(bench, node):
    command = f'"{bench.program("forebay")}" --timeout 280s ls bench/d | wc -l'
    done = subprocess.run(["sh", "-c", command], env={**os.environ, **node.environment()}, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=290, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    return int(done.stdout)
