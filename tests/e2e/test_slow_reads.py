"""The log of slow reads: where the time went, and how often."""

from harness.processes import until

MIB = 1 << 20


def slow_lines(node):
    return [line for line in node.process.log.read_text().splitlines() if " slow: " in line]


def make(make_cell, fake_origin, **settings):
    origin = fake_origin()
    origin.add("data", ("a", MIB), ("b", MIB))
    mounts = [{"name": "data", "chunk_size": "1MiB", **origin.mount("s3", "data")}]
    return origin, make_cell(nodes=2, mounts=mounts, node={"slow_read": "300ms", **settings})


def test_a_slow_origin_is_named_by_whoever_asked_it_and_the_owner_by_whoever_asked_that(make_cell, fake_origin):
    origin, cell = make(make_cell, fake_origin)
    plan = cell.nodes[0].json("where", "data/a")[0]
    owner = next(node for node in cell.nodes if node.name == plan["chunks"][0]["owners"][0])
    other = next(node for node in cell.nodes if node is not owner)
    origin.admin("POST", "/settings", {"latency_ms": 600})
    assert len(other.cli("cat", "data/a").stdout) == MIB
    origin.admin("POST", "/settings", {"latency_ms": 0})
    (line,) = [line for line in slow_lines(owner) if "bytes 0 to" in line]
    assert '"data/a": bytes 0 to 1048576 took ' in line
    assert f"for node {other.name}" in line and "first byte of the origin s3://data" in line
    assert any(f"first byte of node {owner.name}" in line and "for a client" in line for line in slow_lines(other))
    assert owner.metric("forebay_slow_reads_total") >= 1 and other.metric("forebay_slow_reads_total") >= 1
    secret = cell.nodes[0].config["mount"][0]["secret_access_key"]
    assert all(secret not in line for line in slow_lines(owner) + slow_lines(other))


def test_a_slow_look_up_is_told_too(make_cell, fake_origin):
    origin, cell = make(make_cell, fake_origin)
    origin.admin("POST", "/settings", {"latency_ms": 600})
    cell.nodes[0].cli("stat", "data/b")
    assert any("to find what is there" in line and "data/b" in line for line in slow_lines(cell.nodes[0]))


def test_what_is_fast_and_what_nobody_wants_to_hear_isnt_told(make_cell, fake_origin):
    origin, cell = make(make_cell, fake_origin, slow_read="0s")
    origin.admin("POST", "/settings", {"latency_ms": 600})
    cell.nodes[0].cli("cat", "data/a")
    until("it is counted", lambda: cell.total("forebay_reads_total") >= 1)
    assert [line for node in cell.nodes for line in slow_lines(node)] == []
    assert cell.total("forebay_slow_reads_total") == 0
