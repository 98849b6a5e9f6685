"""`forebay load --copies`: objects brought onto some nodes or all of them, also when nodes die or stop on the way."""

import json
import subprocess
import threading

import pytest
from harness import data
from harness.processes import until

MIB = 1 << 20
SIZE = 48 * MIB


@pytest.fixture
def slow_cell(make_cell, fake_origin):
    """Four nodes and an origin that needs some seconds for the object."""
    origin = fake_origin(rate_bytes=16 * MIB)
    origin.add("data", ("model", SIZE))
    cell = make_cell(nodes=4, mounts=[{"name": "data", "chunk_size": "1MiB", **origin.mount("azure", "data")}])
    cell.origin = origin
    return cell


def held(node):
    (where,) = node.json("where", "data/model")
    sums = {}
    for chunk in where["chunks"]:
        for holder in chunk["holders"]:
            sums[holder["node"]] = sums.get(holder["node"], 0) + holder["bytes"]
    return sums


def last_line(done):
    return json.loads(done.stdout.splitlines()[-1])


def load_meanwhile(cell, action, *arguments):
    """`forebay load ARGUMENTS` through the first node, with `action()` in its middle; the finished process."""
    done = []
    thread = threading.Thread(target=lambda: done.append(cell.nodes[0].cli("load", *arguments, check=False)))
    thread.start()
    until("a part has come", lambda: cell.origin.stats()["get_bytes"] > SIZE // 8)
    action()
    thread.join(110)
    assert done, "the load hangs"
    return done[0]


def assert_right_bytes(cell, nodes):
    before = cell.origin.stats()["get_bytes"]
    for node in nodes:
        assert node.cli("cat", "data/model").stdout == data.known_bytes("data", "model", 0, SIZE), node.name
    assert cell.origin.stats()["get_bytes"] == before, "what every node has is read from there"


def test_a_load_onto_all_nodes_costs_the_origin_one_copy(slow_cell):
    end = last_line(slow_cell.nodes[1].cli("load", "--copies", "all", "data/model"))
    assert (end["event"], end["bytes"], end["total_bytes"]) == ("done", 4 * SIZE, 4 * SIZE)
    assert held(slow_cell.nodes[0]) == {node.name: SIZE for node in slow_cell.nodes}
    assert slow_cell.origin.stats()["get_bytes"] == SIZE
    assert_right_bytes(slow_cell, slow_cell.nodes)


def test_more_copies_than_nodes_are_one_on_each(slow_cell):
    assert last_line(slow_cell.nodes[0].cli("load", "--copies", "9", "data/model"))["bytes"] == 4 * SIZE
    assert slow_cell.origin.stats()["get_bytes"] == SIZE


def test_one_copy_stays_with_the_owners_whichever_node_is_asked(slow_cell):
    assert last_line(slow_cell.nodes[2].cli("load", "data/model"))["bytes"] == SIZE
    assert sum(held(slow_cell.nodes[0]).values()) == SIZE
    assert slow_cell.total("forebay_peer_bytes_total") == 0, "no byte went through a node that doesn't own it"


def test_a_holder_that_dies_in_the_middle_is_named_and_the_others_get_all(slow_cell):
    victim = slow_cell.nodes[3]
    done = load_meanwhile(slow_cell, victim.process.kill, "--copies", "all", "data/model")
    assert done.returncode == 6
    assert f"node {victim.name}: no answer" in done.stderr.decode()
    end = last_line(done)
    assert (end["event"], end["failures"], end["bytes"]) == ("failed", 1, 3 * SIZE)
    assert_right_bytes(slow_cell, slow_cell.nodes[:3])


def test_a_holder_that_dies_is_stood_in_for_where_all_was_not_asked_for(slow_cell):
    victim = slow_cell.nodes[3]
    done = load_meanwhile(slow_cell, victim.process.kill, "--copies", "2", "data/model")
    assert done.returncode == 0, done.stderr.decode()
    assert f"node {victim.name}: no answer: other nodes hold its part" in done.stderr.decode()
    sums = held(slow_cell.nodes[0])
    assert victim.name not in sums and sum(sums.values()) >= 2 * SIZE


@pytest.mark.seconds(180)
def test_a_holder_that_stops_in_the_middle_does_not_stop_the_others(slow_cell):
    victim = slow_cell.nodes[3]
    done = load_meanwhile(slow_cell, victim.process.pause, "--copies", "all", "data/model")
    assert done.returncode == 6 and victim.name in done.stderr.decode()
    assert_right_bytes(slow_cell, slow_cell.nodes[:3])
    victim.process.resume()
    # Back again, it gets the rest when it is asked for.
    until("the node answers", lambda: victim.admin_status("/readyz") == 200)
    assert last_line(slow_cell.nodes[0].cli("load", "--copies", "all", "data/model"))["bytes"] == 4 * SIZE


def test_a_load_whose_client_is_killed_comes_to_an_end(slow_cell):
    load = slow_cell.nodes[0].running.start("load", [slow_cell.nodes[0].program, "load", "--in-flight", "1", "data/model"],
                                   slow_cell.nodes[0].environment(), stdout=subprocess.DEVNULL)
    until("a part has come", lambda: slow_cell.origin.stats()["get_bytes"] > 0)
    load.kill()
    slow_cell.origin.admin("POST", "/settings", {"rate_bytes": MIB})  # else all comes before it is forgotten
    until("nothing more is asked for", lambda: slow_cell.origin.stats()["in_flight"] == 0, 60)
    assert slow_cell.origin.stats()["get_bytes"] < SIZE
    slow_cell.origin.admin("POST", "/settings", {"rate_bytes": 0})
    assert slow_cell.nodes[0].cli("cat", "--length", "10", "data/model").stdout == data.known_bytes("data", "model", 0, 10)
