"""The command line as scripts use it: exit codes, JSON, messages; and a node's admin port."""

import json
import subprocess
import tomllib

import pytest
from harness import data, toml
from harness.cell import parse_metrics

MIB = 1 << 20


@pytest.fixture
def node(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("a", 3 * MIB), ("dir/b", 10), ("dir/c", 20))
    mounts = [{"name": "data", "chunk_size": "1MiB", **origin.mount("azure", "data")}]
    cell = make_cell(mounts=mounts)
    cell.nodes[0].origin = origin
    return cell.nodes[0]


def test_everything_that_prints_a_table_prints_json(node):
    (mount,) = node.json("ls")
    assert mount["name"] == "data" and mount["class"] == "dataset"
    assert {e["name"]: e["size"] for e in node.json("ls", "data")} == {"a": 3 * MIB, "dir": None}
    assert {e["name"] for e in node.json("ls", "-R", "data")} == {"a", "dir", "dir/b", "dir/c"}
    (a,) = node.json("stat", "data/a")
    assert (a["size"], a["chunk_size"], a["chunks"]) == (3 * MIB, MIB, 3)
    lines = [json.loads(line) for line in node.cli("load", "data", "--json").stdout.splitlines()]
    assert lines[-1]["event"] == "done" and lines[-1]["objects"] == 3 and lines[-1]["bytes"] == 3 * MIB + 30
    (where,) = node.json("where", "data/a")
    assert [chunk["holders"] for chunk in where["chunks"]] == [[{"node": "node-1", "bytes": MIB}]] * 3
    (status,) = node.json("status")["nodes"]
    assert status["name"] == "node-1" and status["mounts"][0]["origin_bytes"] == 3 * MIB + 30
    keys = {row["key"]: row for row in node.json("config", "check", node.config_file)}
    assert keys["node.memory"]["value"] == "256MiB" and "forebay.toml" in keys["node.memory"]["from"]


def test_tables_and_progress_are_for_people_too(node):
    assert b"a" in node.cli("ls", "data").stdout.split()
    assert b"node-1" in node.cli("status").stdout
    assert b"chunks are in the cell" in node.cli("where", "data/a").stdout
    assert json.loads(node.cli("load", "data/a").stdout.splitlines()[-1])["bytes"] == 3 * MIB, "no terminal: JSON lines"


EXIT_CODES = {
    "no such object": (["cat", "data/absent"], 3),
    "no such mount": (["ls", "absent"], 3),
    "a directory is no object": (["cat", "data/dir"], 3),
    "no such command": (["lost"], 2),
    "no arguments": (["stat"], 2),
    "an unknown flag": (["ls", "--colour"], 2),
    "a URL where a name is meant": (["cat", "s3://data/a"], 2),
    "one of several is missing": (["stat", "data/a", "data/absent"], 3),
    "all is well": (["stat", "data/a"], 0),
    "help": (["--help"], 0),
}


@pytest.mark.parametrize("case", EXIT_CODES)
def test_exit_codes_tell_scripts_what_happened(node, case):
    arguments, code = EXIT_CODES[case]
    done = node.cli(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert (done.stderr == b"") == (code == 0)
    if code:
        assert len(done.stderr.splitlines()) <= 2, done.stderr


def test_a_node_that_is_not_there_is_worth_another_try(program, tmp_path):
    asked = [program, "status", "--node", f"unix:{tmp_path / 'no.sock'}"]
    done = subprocess.run(asked, capture_output=True, timeout=60)
    assert done.returncode == 5 and b"no node answers" in done.stderr


def test_a_load_that_fails_in_part_says_so(node):
    node.origin.fault("status", name="data/dir/b", status=403, code="AuthorizationFailure")
    done = node.cli("load", "data", check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 6
    assert [line["name"] for line in lines if line["event"] == "failure"] == ["data/dir/b"]
    assert lines[-1]["event"] == "failed" and lines[-1]["failures"] == 1 and lines[-1]["objects"] == 2


def test_a_part_of_an_object_is_printed(node):
    done = node.cli("cat", "--offset", "1MiB", "--length", "100", "data/a")
    assert done.stdout == data.known_bytes("data", "a", MIB, 100)


def test_the_admin_port_tells_health_readiness_status_and_metrics(node):
    node.cli("cat", "data/a")
    assert (node.admin("/healthz"), node.admin("/readyz")) == ("ok\n", "ok\n")
    assert json.loads(node.admin("/status"))["nodes"][0]["name"] == "node-1"
    text = node.admin("/metrics")
    metrics = parse_metrics(text)
    assert metrics["forebay_origin_bytes_total"]['mount="data"'] == 3 * MIB
    assert sum(metrics["forebay_arena_used_bytes"].values()) >= 3 * MIB
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    for name in metrics:
        base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert name in described or base in described, f"{name} has no HELP"
    assert node.admin_status("/absent") == 404


BAD_CONFIGURATIONS = {
    "an unknown key": ("[node]\nname = \"n\"\nmemry = \"1GiB\"\n", ":3:", "node.memry", "memory"),
    "an unknown table": ("[node]\nname = \"n\"\n[nodes]\nx = 1\n", ":3:", "nodes", "node"),
    "a wrong type": ("[node]\nmax_fills = \"many\"\n", ":2:", "node.max_fills", "16384"),
    "beyond what is allowed": ("[node]\nmemory = \"1MiB\"\n", ":2:", "node.memory", "64MiB"),
    "one of a few": ("[node]\nlog_level = \"loud\"\n", ":2:", "node.log_level", "debug"),
    "a mount without a URL": ("[[mount]]\nname = \"data\"\n", ":1:", "mount.url", "s3://BUCKET"),
    "open to everybody": ("[node]\nlisten = \"0.0.0.0:7440\"\n", ":2:", "node.listen", "allow_insecure"),
    "no TOML": ("[node\n", ":1:", "", ""),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
@pytest.mark.parametrize("command", [["config", "check"], ["node", "--config"]], ids=["check", "node"])
def test_a_wrong_configuration_is_told_by_file_line_and_key(program, tmp_path, case, command):
    text, line, key, allowed = BAD_CONFIGURATIONS[case]
    file = tmp_path / "forebay.toml"
    file.write_text(text)
    done = subprocess.run([program, *command, file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"{file}{line}" in done.stderr and key in done.stderr and allowed in done.stderr, done.stderr


def test_flags_win_over_the_environment_over_the_file(program, tmp_path):
    file = tmp_path / "forebay.toml"
    file.write_text(toml.dumps({"node": {"name": "n", "memory": "1GiB", "max_fills": 8, "max_connections": 9}}))
    assert tomllib.loads(file.read_text())["node"]["memory"] == "1GiB"
    environment = {"FOREBAY_NODE_MEMORY": "2GiB", "FOREBAY_NODE_MAX_FILLS": "16", "PATH": "/bin"}
    asked = [program, "config", "check", file, "--set", "node.memory=3GiB", "--json"]
    done = subprocess.run(asked, env=environment, capture_output=True, timeout=60)
    values = {row["key"]: row["value"] for row in json.loads(done.stdout)}
    assert (values["node.memory"], values["node.max_fills"], values["node.max_connections"]) == ("3GiB", "16", "9")


def test_the_page_about_configuration_is_what_the_program_says(program, request):
    page = request.config.rootpath / "docs" / "config.md"
    assert subprocess.run([program, "config", "docs"], capture_output=True, text=True).stdout == page.read_text()
