"""The demo's origin and its cell of nodes, as real processes below one directory."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import demo_data
from demo_processes import MOUNT, NODE, ORIGIN, READER, DemoError, is_mounted, wait_until

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS.parent / "tests" / "tools"))
from free_ports import free_ports  # noqa: E402

ACCOUNT = "devstoreaccount1"  # the emulators' published account and key
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
RATE_BYTES = 200_000_000
LATENCY_MS = 15
MEMORY = "512MiB"
LONGEST_SOCKET = 107  # what the kernel's sockaddr_un holds
MOUNT_NAME = "data"


def get(url, data=None, seconds=5):
    """An HTTP answer's body, whatever proxies the environment has."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=data), timeout=seconds) as answer:
        return answer.read().decode()


class FakeOrigin:
    """tests/fake_origin over the generated files, limited as object storage is."""

    sizes = demo_data.FULL
    root = "origin"  # where its files are
    counts_itself = True
    title = f"an object store limited to {RATE_BYTES // 10**6} MB/s in all and {LATENCY_MS} ms per request"

    def __init__(self, running, program, home):
        self.running, self.program, self.home = running, program, home

    def start(self, root):
        log = self.home / "logs" / "origin.log"
        log.unlink(missing_ok=True)
        process = self.running.start(
            ORIGIN, "origin",
            [self.program, "--root", root, "--rate-bytes", RATE_BYTES, "--latency-ms", LATENCY_MS, "--anonymous"],
            log,
        )
        wait_until("the origin says its ports", lambda: b"\n" in log.read_bytes(), process, log)
        self.info = json.loads(log.read_text().splitlines()[0])
        self.endpoint = self.info["azure"]

    def sent(self):
        """(bytes of objects, requests) that it has answered so far, once nothing is on its way any more."""
        stats = self.stats()
        end = time.monotonic() + 10
        while stats["in_flight"] > 0 and time.monotonic() < end:
            time.sleep(0.05)
            stats = self.stats()
        return stats["get_bytes"], stats["requests"]

    def stats(self):
        return json.loads(get(self.info["admin"] + "/stats"))


class Azurite:
    """Microsoft's emulator, which has no limits of its own but its speed, and doesn't count."""

    sizes = demo_data.FOR_AZURITE
    root = "origin-azurite"
    counts_itself = False
    title = "Azurite, as fast as it is; what it sends is counted by who receives it"

    def __init__(self, running, _program, home):
        self.running, self.home = running, home / "azurite"

    def start(self, root):
        shutil.rmtree(self.home, ignore_errors=True)  # an earlier demo's objects
        self.running.started_server(self.home)
        done = subprocess.run(
            [SCRIPTS / "real_servers.sh", "start", "azurite", self.home], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError("Azurite did not start: see above")
        self.endpoint = json.loads(done.stdout)["endpoint"]
        self._upload(root / demo_data.CONTAINER)

    def _upload(self, directory):
        import put_tree  # noqa: PLC0415: only this origin needs it

        url = "az+" + self.endpoint + "/" + demo_data.CONTAINER
        store = put_tree.open_store(url, {})
        # Whoever reads without Forebay does it without signatures, so that these don't cost it time.
        store.request("PUT", "", store.container_query, {"x-ms-blob-public-access": "container"})
        put_tree.put_tree(store, directory)


class Node:
    """One node, its configuration, its mount, and its numbers."""

    def __init__(self, running, program, home, config):
        self.running, self.program, self.home, self.config = running, program, home, config
        self.name = config["node"]["name"]
        self.mount_dir = home.parent / "mnt" / self.name
        self.log = home.parent / "logs" / f"{self.name}.log"
        self.process = None

    @property
    def socket(self):
        return self.config["node"]["socket"]

    def start(self):
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.home / "forebay.toml"
        file.touch(mode=0o600)  # before the secret is in it
        file.write_text(toml(self.config))
        self.process = self.running.start(NODE, self.name, [self.program, "node", "--config", file], self.log)

    def wait_ready(self):
        wait_until(f"{self.name} is ready", self._ready, self.process, self.log)

    def _ready(self):
        try:
            get(self._admin("/readyz"))
        except OSError:
            return False
        return True

    def _admin(self, path):
        return f"http://{self.config['node']['admin']}{path}"

    def mount(self):
        if is_mounted(self.mount_dir):
            raise DemoError(f"something is mounted at {self.mount_dir}: run `make demo-stop`")
        self.mount_dir.mkdir(parents=True, exist_ok=True)
        self.running.will_mount(self.mount_dir)
        log = self.log.with_name(f"mount-{self.name}.log")
        process = self.running.start(
            MOUNT, f"mount of {self.name}", [self.program, "mount", MOUNT_NAME, self.mount_dir, "--foreground"], log,
            env={**os.environ, "FOREBAY_NODE": f"unix:{self.socket}"},
        )
        wait_until(f"{self.mount_dir} is mounted", lambda: is_mounted(self.mount_dir), process, log)

    def status(self):
        """This node's part of `forebay status --json`, asked at its admin port."""
        return json.loads(get(self._admin("/status")))["nodes"][0]

    def load(self, name):
        """`forebay load`, as a person would type it; returns the process."""
        command = [self.program, "load", f"{MOUNT_NAME}/{name}", "--node", f"unix:{self.socket}"]
        return self.running.start(READER, f"load on {self.name}", command, self.load_log)

    @property
    def load_log(self):
        return self.log.with_name(f"load-{self.name}.log")

    def peak_bytes(self):
        """The most memory that its process has had so far, the arena that it maps included."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))

    def alive(self):
        return self.process is not None and self.process.poll() is None


class Cell:
    def __init__(self, running, program, home, origin, count=5):
        ports = free_ports(2 * count)
        names = [f"node-{i + 1}" for i in range(count)]
        members = [{"name": n, "address": f"127.0.0.1:{ports[i]}", "domain": f"rack-{i + 1}"} for i, n in enumerate(names)]
        mount = {
            "name": MOUNT_NAME, "url": f"az://{ACCOUNT}/{demo_data.CONTAINER}", "endpoint": origin.endpoint,
            "account_key": ACCOUNT_KEY, "secret": secrets.token_hex(16), "consistency": "bounded:10m",
            "keep_remote": "never",  # copies of what everybody reads would fill these small arenas, and leave like the rest
        }
        sockets = socket_home(running, home, names)
        self.nodes = []
        for i, name in enumerate(names):
            node = {
                "name": name, "listen": members[i]["address"], "admin": f"127.0.0.1:{ports[count + i]}",
                "socket": f"{sockets}/{name}.sock", "run_dir": str(home / name / "run"), "memory": MEMORY,
                "max_fills": 64,  # of 256 KiB each: a quarter of the default, for a small node
            }
            config = {"node": node, "cell": {"name": "demo", "member": members}, "mount": [mount]}
            self.nodes.append(Node(running, program, home / name, config))

    def start(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        for node in self.nodes:
            node.mount()

    def total(self, key):
        """A number of the mount, over all nodes that run. A node that starts again starts from 0."""
        return sum(m[key] for node in self.nodes if node.alive() for m in node.status()["mounts"] if m["name"] == MOUNT_NAME)


def socket_home(running, home, names):
    """Where the nodes' sockets are: below `home`, unless its path is too long for the kernel."""
    sockets = home / "sockets"
    if len(os.fsencode(sockets / f"{names[-1]}.sock")) > LONGEST_SOCKET:
        sockets = Path(tempfile.mkdtemp(prefix="forebay-demo-"))
        running.made_directory(sockets)
    sockets.mkdir(mode=0o700, exist_ok=True)
    return sockets


def toml(config):
    lines = ["[node]", *keys(config["node"]), "[cell]", *keys(config["cell"])]
    for member in config["cell"]["member"]:
        lines += ["[[cell.member]]", *keys(member)]
    for mount in config["mount"]:
        lines += ["[[mount]]", *keys(mount)]
    return "\n".join(lines) + "\n"


def keys(table):
    # JSON's strings and numbers are TOML's, as long as no text holds DEL or surrogates, and none of these does.
    return [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, list)]

