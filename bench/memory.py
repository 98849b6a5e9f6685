"""The highest use of memory: of each node beside the cap that it was given (the row `memory`), and of other programs.

Each node runs in a memory cgroup of its own (v1 or v2, whichever the machine has), which is looked at ten times a second.
Use is the cgroup's anonymous and shared memory (the arena is a tmpfs) and its kernel and socket memory; pages of files
that the kernel could drop at once (programs, logs) aren't the node's.
"""

import os
import threading
import tomllib
from pathlib import Path

_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
PERIOD_S = 0.1


def _size(text):
    for unit, factor in _UNITS.items():
        if str(text).endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)


class GroupMemory:
    """Processes that run in one memory cgroup."""

    def __init__(self):
        self.highest, self.of = 0, {}
        self.problem = None
        self._v1 = _V1.is_dir()
        self._directory = (_V1 if self._v1 else _V2) / f"forebay-bench-{os.getpid()}-{id(self):x}"
        self._stopping = threading.Event()
        try:
            self._directory.mkdir()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        except OSError as error:
            self.problem = f"no memory cgroup: {error}"

    def prefix(self):
        if self.problem:
            return []
        join = self._directory / ("tasks" if self._v1 else "cgroup.procs")
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(join)]

    def join(self, pid):
        """A process that runs already: what it has by now isn't counted."""
        if not self.problem:
            (self._directory / "cgroup.procs").write_text(str(pid))

    def stop(self):
        if self.problem or self._stopping.is_set():
            return
        self._stopping.set()
        self._thread.join()

    def remove(self):
        if not self.problem and self._directory.is_dir():
            self._directory.rmdir()

    def _watch(self):
        while not self._stopping.wait(PERIOD_S):
            now = self._use()
            if sum(now.values()) > self.highest:
                self.highest, self.of = sum(now.values()), now

    def _use(self):
        stat = dict(line.split() for line in (self._directory / "memory.stat").read_text().splitlines())
        if not self._v1:
            return {"anonymous": int(stat["anon"]), "shared": int(stat["shmem"]),
                    "kernel": int(stat.get("kernel", 0)), "sockets": int(stat.get("sock", 0))}
        return {"anonymous": int(stat["rss"]), "shared": int(stat["shmem"]) if "shmem" in stat else self._tmpfs(stat),
                "kernel": self._counter("memory.kmem.usage_in_bytes"),
                "sockets": self._counter("memory.kmem.tcp.usage_in_bytes")}

    def _counter(self, name):
        try:
            return int((self._directory / name).read_text())
        except OSError:
            return 0  # a kernel without that counter

    @staticmethod
    def _tmpfs(stat):
        """Where v1 doesn't tell tmpfs from other files: pages that can't be written back are on the anonymous lists."""
        return int(stat["inactive_anon"]) + int(stat["active_anon"]) - int(stat["rss"])


class NodeMemory(GroupMemory):
    def __init__(self, name, config_file):
        self.name = name
        self.cap = _size(tomllib.loads(Path(config_file).read_text())["node"]["memory"])
        super().__init__()


def memory_row(memories):
    """`memories`: of every node that ran, with its row's name."""
    problems = {memory.problem for _, memory in memories if memory.problem}
    seen = [(memory.highest / memory.cap, row, memory) for row, memory in memories if memory.highest]
    if problems or not seen:
        why = "; ".join(sorted(problems)) or "no node ran"
        return {"name": "memory", "value": None, "unit": "", "limit": None, "ratio": None, "note": f"FAILED: {why}", "ok": False}
    share, row, memory = max(seen, key=lambda entry: entry[0])
    parts = ", ".join(f"{name} {value / 2**20:.0f}" for name, value in memory.of.items())
    note = f"highest of {len(seen)} nodes in {len({r for _, r, _ in seen})} rows: {memory.name} of {row} ({parts} MiB)"
    return {"name": "memory", "value": memory.highest / 2**20, "unit": "MiB", "limit": memory.cap / 2**20,
            "ratio": 1 / share, "note": note + ("" if share <= 1 else "; FAILED: above the cap"), "ok": share <= 1}
