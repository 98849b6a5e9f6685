"""Large directories, listed by many at once."""

import concurrent.futures
import os
import subprocess

import pytest

NAMES, PAGE, PROCESSES = 60_000, 5_000, 64


@pytest.mark.seconds(300)
def test_64_processes_that_list_a_directory_cost_the_origin_one_listing(make_cell, fake_origin):
    origin = fake_origin()
    for first in range(0, NAMES, 4_000):
        origin.add("data", *((f"d/{i:06}", 1) for i in range(first, first + 4_000)))
    cell = make_cell(nodes=3, mounts=[{"name": "data", **origin.mount("azure", "data")}])
    origin.reset_stats()

    def count(i):
        node = cell.nodes[i % 3]
        done = subprocess.run(["sh", "-c", '"$0" --timeout 200s ls data/d | sort -u | wc -l', node.program],
                              env={**os.environ, **node.environment()}, capture_output=True, timeout=250, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr.decode()
        return int(done.stdout)

    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        assert list(pool.map(count, range(PROCESSES))) == [NAMES] * PROCESSES
    one_look_whether_it_is_a_directory = 1
    assert origin.stats()["requests_by_op"]["list"] <= NAMES // PAGE + one_look_whether_it_is_a_directory
    for node in cell.nodes:
        memory = node.memory()
        assert memory["used"] < memory["cap"] + memory["sanitizer"]
