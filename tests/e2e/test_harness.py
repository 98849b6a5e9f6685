"""The harness itself: what it must notice, and that nothing it starts stays behind."""

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from harness import data, toml
from harness.cell import Cell, free_ports, is_mounted, parse_metrics
from harness.origins import request
from harness.processes import Running, until


def python(code):
    return [sys.executable, "-c", code]


def test_a_process_is_asked_to_end_and_then_gone(tmp_path):
    running = Running(tmp_path)
    process = running.start("p", python("import signal, sys\nsignal.signal(15, lambda *_: sys.exit(0))\nprint('up', flush=True)\nsignal.pause()"))
    until("it is up", lambda: "up" in process.tail())
    assert running.end() == []
    assert not process.alive()


def test_a_process_that_ends_by_itself_is_a_failure(tmp_path):
    running = Running(tmp_path)
    process = running.start("p", python("raise SystemExit(3)"))
    process.popen.wait()
    assert running.end() == ["p ended by itself with 3"]


def test_a_process_that_was_killed_on_purpose_is_none(tmp_path):
    running = Running(tmp_path)
    running.start("p", python("import time; time.sleep(100)")).kill()
    assert running.end() == []


def test_children_of_a_process_do_not_stay_behind(tmp_path):
    running = Running(tmp_path)
    code = "import subprocess, sys, time\nc = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\nprint(c.pid, flush=True)\ntime.sleep(100)"
    process = running.start("p", python(code))
    child = int(until("it has a child", lambda: process.tail().strip()))
    process.kill()
    until("the child is gone", lambda: not os.path.exists(f"/proc/{child}") or "Z" in open(f"/proc/{child}/stat").read())
    running.end()


def test_a_sanitizers_report_is_a_failure(tmp_path):
    running = Running(tmp_path)
    running.start("p", python("print('==1==ERROR: AddressSanitizer: heap-use-after-free')")).wait()
    assert "AddressSanitizer" in running.end()[0]


def test_a_test_that_hangs_is_ended(tmp_path):
    running = Running(tmp_path, seconds=0.2)
    process = running.start("p", python("import time; time.sleep(100)"))
    process.popen.wait()
    assert "still running after" in running.end()[0]


def test_a_cells_configuration_is_toml(tmp_path):
    mounts = [{"name": "data", "url": 'file:///a "b"\\c', "path_style": True}]
    cell = Cell(None, "forebay", tmp_path, nodes=2, mounts=mounts, node={"max_fills": 8})
    config = tomllib.loads(toml.dumps(cell.nodes[1].config))
    assert config["node"]["name"] == "node-2" and config["node"]["max_fills"] == 8
    assert [member["name"] for member in config["cell"]["member"]] == ["node-1", "node-2"]
    assert config["mount"][0]["url"] == 'file:///a "b"\\c' and config["mount"][0]["path_style"] is True
    assert len({member["address"] for member in config["cell"]["member"]}) == 2


def test_free_ports_are_distinct_for_all_processes_and_never_the_kernels():
    other = subprocess.run(
        [sys.executable, "-c", "import free_ports; print(*free_ports.free_ports(20))"],
        cwd=Path(__file__).resolve().parents[1] / "tools", stdout=subprocess.PIPE, text=True, check=True,
    )
    ports = free_ports(20) + [int(port) for port in other.stdout.split()]
    assert len(set(ports)) == 40
    assert max(ports) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_a_port_that_is_listened_on_is_not_free():
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as server:
        taken = server.getsockname()[1]
        assert all(taken not in free_ports(100) for _ in range(3))  # the whole block, and on from its begin


def test_metrics_are_read():
    metrics = parse_metrics('# HELP a b\nbytes_total{mount="x",kind="get"} 12\nbytes_total 3\n')
    assert metrics == {"bytes_total": {'mount="x",kind="get"': 12.0, "": 3.0}}


def test_known_bytes_are_the_same_in_pieces():
    whole = data.known_bytes("c", "n", 0, 40_000_000)
    assert whole[17_000_000:17_000_100] == data.known_bytes("c", "n", 17_000_000, 100)
    assert whole[:1000] != data.known_bytes("c", "n", 0, 1000, version=1)


def test_a_mapped_reader_outlives_what_kills_it(tmp_path):
    path = data.make_file(tmp_path / "f", 100_000)
    with data.MappedReader(path) as mapped:
        assert mapped.read(50_000, 100) == data.known_bytes("data", "f", 50_000, 100)
        os.truncate(path, 0)
        with pytest.raises(data.Killed) as killed:
            mapped.read(90_000, 100)
    assert str(killed.value) == "SIGBUS"


def test_a_plain_directory_is_no_mount(tmp_path):
    assert not is_mounted(tmp_path)
    assert is_mounted("/proc")


@pytest.mark.seconds(900)  # the first start installs them
@pytest.mark.parametrize("kind", ["azurite", "versitygw"])
def test_a_real_server_holds_what_is_put(real_server, kind):
    server = real_server(kind)
    server.make_container("data")
    for name in ("plain", "with space/and %41 and ü"):
        content = data.known_bytes("data", name, 0, 5000)
        server.put("data", name, content)
        assert server.get("data", name) == content


def test_the_fake_origin_sends_known_bytes_and_counts_them(fake_origin):
    origin = fake_origin(anonymous=True)
    origin.add("data", ("shard", 1_000_000), ("with space %41", 10))
    url = f"{origin.info['s3']}/data/shard"
    status, _, body = request("GET", url, headers={"Range": "bytes=500000-500099"})
    assert (status, body) == (206, data.known_bytes("data", "shard", 500_000, 100))
    assert origin.stats()["get_bytes"] == 100

    origin.change("data", "shard")
    assert request("GET", url)[2] == data.known_bytes("data", "shard", 0, 1_000_000, version=1)


def test_the_fake_origin_fails_on_demand(fake_origin):
    origin = fake_origin(anonymous=True)
    origin.add("data", ("shard", 1000))
    origin.fault("status", status=503, next=1, retry_after="2")
    status, headers, _ = request("GET", f"{origin.info['s3']}/data/shard")
    assert (status, headers["Retry-After"]) == (503, "2")
    assert request("GET", f"{origin.info['s3']}/data/shard")[0] == 200
