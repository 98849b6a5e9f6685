"""A cell of real nodes on loopback, and mounts of what it serves.

    cell = Cell(running, program, directory, nodes=3, mounts=[{"name": "data", "url": "file:///..."}])
    cell.start()                       # every node answers /readyz
    mounted = cell.mount("data", node=0)
    cell.nodes[1].process.kill()
    cell.nodes[0].json("status")       # forebay status --json

Each node has its own directory (configuration, socket, run_dir) and its own log. Ports are free ones (tests/tools/free_ports.py).
"""

import functools
import json
import os
import re
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from .processes import until
from .toml import dumps

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from free_ports import free_ports  # noqa: E402

START_SECONDS = 60  # under ASan, on a machine that compiles beside
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")


def parse_metrics(text):
    """Prometheus' text as {name: {labels: value}}; `labels` is the text between the braces."""
    metrics = {}
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            metrics.setdefault(match.group(1), {})[match.group(2) or ""] = float(match.group(3))
    return metrics


@functools.cache
def has_sanitizer(program):
    return b"__asan_init" in Path(program).read_bytes() or b"__tsan_init" in Path(program).read_bytes()


class Node:
    """One node: its configuration, its process, and the CLI beside it."""

    def __init__(self, running, program, name, directory, config, prefix=()):
        self.running, self.program, self.name = running, program, name
        self.directory, self.config, self.prefix = Path(directory), config, list(prefix)
        self.process = None
        self.owner = None  # whose files they are, if the prefix makes the node another user's
        self._starts = 0

    @property
    def config_file(self):
        return self.directory / "forebay.toml"

    @property
    def socket(self):
        return self.config["node"]["socket"]

    @property
    def address(self):
        host, port = self.config["node"]["listen"].rsplit(":", 1)
        return host, int(port)

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.config_file.write_text(dumps(self.config))
        self.config_file.chmod(0o600)
        if self.owner is not None:
            for path in (self.directory, self.config_file):
                os.chown(path, self.owner, self.owner)
        self._starts += 1
        name = self.name if self._starts == 1 else f"{self.name}-again{self._starts - 1}"
        self.process = self.running.start(name, [*self.prefix, self.program, "node", "--config", self.config_file])

    def wait_ready(self):
        def ready():
            if not self.process.alive():
                raise AssertionError(f"{self.name} ended with {self.process.popen.returncode}:\n{self.process.tail()}")
            return self.admin_status("/readyz") == 200

        until(f"{self.name} answers /readyz with 200", ready, START_SECONDS)

    def admin_status(self, path):
        """The status of an answer of the admin port; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self._admin_url(path), timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def admin(self, path):
        with urllib.request.urlopen(self._admin_url(path), timeout=10) as answer:
            return answer.read().decode()

    def _admin_url(self, path):
        return f"http://{self.config['node']['admin']}{path}"

    def metrics(self):
        return parse_metrics(self.admin("/metrics"))

    def metric(self, name, contains=""):
        """The sum of a metric's values whose labels contain a text."""
        return sum(value for labels, value in self.metrics().get(name, {}).items() if contains in labels)

    def memory(self):
        """Bytes: the cap, the arena's share of it, and `used`: what the process has of its own and what its arena
        holds. A sanitizer's shadow, redzones and quarantine come on top, which `sanitizer` allows for."""
        fields = {}
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            fields[key] = value
        anonymous = int(fields["RssAnon"].split()[0]) << 10
        (status,) = [n for n in self.json("status", "--local")["nodes"] if n["name"] == self.name]
        return {
            "cap": status["memory_cap"], "arena_cap": status["arena_cap"], "arena_used": status["arena_used"],
            "used": anonymous + status["arena_used"], "sanitizer": (1 << 30) if has_sanitizer(self.program) else 0,
        }

    def cli(self, *arguments, check=True, seconds=120):
        """Runs `forebay ARGUMENTS` against this node; returns the finished process, with bytes in stdout and stderr."""
        done = subprocess.run(
            [self.program, *map(str, arguments)], env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"forebay {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr.decode()}")
        return done

    def json(self, *arguments):
        return json.loads(self.cli(*arguments, "--json").stdout)

    def json_of_failed(self, *arguments):
        """The JSON of a command that says what it can and fails for the rest."""
        done = self.cli(*arguments, "--json", check=False)
        assert done.returncode != 0
        return json.loads(done.stdout)

    def environment(self):
        return {"FOREBAY_NODE": f"unix:{self.socket}"}

    def mount(self, name, directory, *options):
        return Mount(self.running, self.program, name, directory, self.environment(), options)


class Cell:
    """`mounts` and `node` are tables of docs/config.md; a node's may be changed in `nodes[i].config` before start().
    `hosts`: where the nodes run, if not on loopback: an address and the words before a command for each.
    `weights`: of the members."""

    def __init__(self, running, program, directory, nodes=1, mounts=(), node=None, hosts=None, weights=None):
        self.running, self.directory = running, Path(directory)
        ports = free_ports(2 * nodes)
        hosts = hosts or [("127.0.0.1", [])] * nodes
        names = [f"node-{i + 1}" for i in range(nodes)]
        secret = secrets.token_hex(16)
        weights = weights or [1] * nodes
        members = [{"name": name, "address": f"{hosts[i][0]}:{ports[2 * i]}", "weight": weights[i]}
                   for i, name in enumerate(names)]
        self.nodes = []
        for i, name in enumerate(names):
            home = self.directory / name
            config = {
                "node": {
                    "name": name, "listen": f"{hosts[i][0]}:{ports[2 * i]}", "admin": f"{hosts[i][0]}:{ports[2 * i + 1]}",
                    "socket": str(home / "node.sock"), "run_dir": str(home / "run"), "memory": "256MiB",
                    **(node or {}),
                },
                "cell": {"name": "test", "map_version": 1, "member": members if nodes > 1 else []},
                "mount": [{"secret": secret, **mount} for mount in mounts],
            }
            if nodes == 1:
                del config["cell"]
            self.nodes.append(Node(running, program, name, home, config, hosts[i][1]))

    def start(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        return self

    def mount(self, name, node=0, options=()):
        directory = self.directory / "mnt" / f"{name}-{node + 1}"
        return self.nodes[node].mount(name, directory, *options)

    def total(self, metric, contains=""):
        """A metric summed over the nodes that still run."""
        return sum(node.metric(metric, contains) for node in self.nodes if node.process.alive())


class Mount:
    """`forebay mount WHAT DIR --foreground`, usable once it is made. `path / "name"` is a file in it."""

    def __init__(self, running, program, what, directory, environment=None, options=(), prefix=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        log = f"mount-{self.directory.name}"
        # Registered before the process, so that it runs after the process was stopped: a mount may outlive its daemon.
        running.at_end(self.detach)
        self.process = running.start(
            log, [*prefix, program, "mount", what, self.directory, "--foreground", *options], env=environment
        )

        def mounted():
            if not self.process.alive():
                raise AssertionError(
                    f"forebay mount {what} ended with {self.process.popen.returncode}:\n{self.process.tail()}"
                )
            return is_mounted(self.directory)

        until(f"{what} is mounted at {self.directory}", mounted, START_SECONDS)

    def __truediv__(self, name):
        return self.directory / name

    def detach(self):
        """Takes the mount away if it is still there, which only a daemon that was killed may leave behind."""
        if not is_mounted(self.directory):
            return None
        done = subprocess.run(["fusermount3", "-u", "-z", self.directory], capture_output=True, text=True)
        if self.process.popen.returncode in (0, None):
            return f"{self.directory} was still mounted after its process had ended: {done.stderr}"
        return None


def is_mounted(directory, pid="self"):
    """From the kernel's table (of the process's mount namespace): asking the mount itself could hang."""
    escaped = str(directory).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    with open(f"/proc/{pid}/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split(" ")[1] == escaped for line in mounts)
