"""What other systems do with the same origin on the same machine, one after the other, in one run: `peer.*`.

Each system is mounted with nothing in its cache, goes through all phases, and is unmounted. Before that it reads a file
that doesn't count, and gives the memory of it back: a virtual machine's memory may cost much more when it is used for the
first time since it was free, and who comes first would pay for all. Cold: nobody has read it.
Warm: it has read it, and the kernel has forgotten the pages and names of its mount. CPU is that of its processes, memory
what its cgroup had at most, without pages of files that the kernel could drop. One pass each: look at factors, not at
percents. The rows compare with the best peer that ran; they are goals, and fail only where Forebay itself fails.
"""

import os
import statistics
import subprocess
import time

import peers
from harness.cell import Cell, is_mounted
from harness.origins import FakeOrigin
from harness.processes import until
from memory import GroupMemory
from pairs import gigabytes_per_second, requests_per_second, run_json, words

GOALS = {
    "peer.cpu.cold": ("cpu.cold", 2),
    "peer.cpu.warm": ("cpu.warm", 5),
    "peer.seq.warm": ("seq.warm", 5),
    "peer.rand4k.cold": ("rand4k.cold", 2),
    "peer.small.cold": ("small.cold", 3),
    "peer.small.warm": ("small.warm", 2),
}
ROWS = tuple(GOALS)
SECONDS = 900  # with all peers there

SIZE, FIRSTS = 512 << 20, 3
RANDOM_SIZE = 8 << 30  # so that nobody has brought it whole before the time is over
FILES, SMALL = 3_000, 64 << 10
NAMES = 5_000
RANDOM_SECONDS = 3
MEMORY = "3GiB"
PHASE_SECONDS = 90


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"))
    objects = [("before.bin", SIZE), ("seq.bin", SIZE), ("four.bin", SIZE // 2), ("random.bin", RANDOM_SIZE),
               *((f"first{n}.bin", SIZE) for n in range(FIRSTS)), *((f"names/n{n:05}", 100) for n in range(NAMES)),
               *((f"small/f{n}", SMALL) for n in range(FILES))]
    for first in range(0, len(objects), 2_000):  # a request's body has at most 256 KiB
        origin.add("bench", *objects[first:first + 2_000])
    ours, passthrough = measure_forebay(bench, origin)
    results, versions, not_run = {}, {}, {}
    for peer in peers.PEERS:
        program = peer.program()
        if program is None:
            not_run[peer.name] = peer.why_not()
            continue
        try:
            results[peer.name] = measure_peer(bench, origin, peer, program)
            versions[peer.name] = peer.version(program)
        except Exception as error:  # noqa: BLE001: a peer that fails is no failure of ours
            not_run[peer.name] = f"not run: it failed: {type(error).__name__}: {error}".partition("\n")[0]
    notes = ["sequential and first: files of 512 MiB, four readers: of 256 MiB, random and cold: of 8 GiB; "
             f"{FILES} small files of 64 KiB; `ls -lR` of {NAMES} names; one pass each",
             f"Forebay's warm reads: passthrough {'on' if passthrough else 'off (the kernel or its rights)'}"]
    notes += [f"{name}: {problem}" for name, found in {"Forebay": ours, **results}.items() for problem in found["problems"]]
    bench.tables.append(peers.table(ours, results, versions, {**not_run, **peers.NOT_DRIVEN}, notes))
    assert not ours["problems"], "; ".join(ours["problems"])
    by_key = {entry.key: entry for entry in peers.MEASURES}
    return [peers.row(name, by_key[key], ours, results, goal_of(name, goal, passthrough))
            for name, (key, goal) in GOALS.items() if name in bench.wanted]


def goal_of(name, goal, passthrough):
    return goal if passthrough or name != "peer.cpu.warm" else "1, for lack of passthrough"


def measure_forebay(bench, origin):
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", "consistency": "bounded:1h", **origin.mount("s3", "bench")}],
                node={"memory": MEMORY}).start()
    mount = cell.mount("bench")
    node = cell.nodes[0]
    memory = GroupMemory()  # of the mount's process; the node has one of its own
    memory.join(mount.process.pid)
    system = System(bench, origin, mount.directory, [node.process.pid, mount.process.pid])
    try:
        system.read("before.bin", gigabytes_per_second, how="read")
        node.cli("evict", "bench/before.bin")
        results = system.measure(lambda: node.metric("forebay_served_bytes_total"))
    finally:
        memory.stop()
    results["memory"] = (memory.highest + bench.running.memories[-1].highest) / 2**20
    for complaint in (mount.process.stop(), mount.detach(), node.process.stop()):
        assert complaint is None, complaint
    memory.remove()
    return results, results.pop("served.warm") == 0


def measure_peer(bench, origin, peer, program):
    home = bench.directory / peer.binary
    directory = home / "mnt"
    directory.mkdir(parents=True)
    command, environment = peer.command(program, origin, "bench", directory, home)
    memory = GroupMemory()
    process = bench.running.start(peer.binary, memory.prefix() + [str(word) for word in command], environment)
    process.expected_to_end = True  # it is unmounted, not stopped
    bench.running.at_end(lambda: unmount(directory))
    try:
        until(f"{peer.name} has mounted", lambda: is_mounted(directory) or not process.alive(), 30)
        assert process.alive(), f"it ended: {process.tail(3)}"
        system = System(bench, origin, directory, [process.pid])
        system.read("before.bin", gigabytes_per_second, how="read")
        forget_files(home)
        results = system.measure()
    finally:
        memory.stop()
        unmount(directory)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        memory.remove()
    results["memory"] = None if memory.problem else memory.highest / 2**20
    subprocess.run(["rm", "-rf", home], check=True)
    return results


def forget_files(home):
    """The kernel's pages of a peer's cache on disk."""
    for file in (home / "cache").rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def unmount(directory):
    if is_mounted(directory):
        subprocess.run(["fusermount3", "-u", "-z", directory], check=True)


class System:
    """One mount, and the phases that it goes through."""

    def __init__(self, bench, origin, root, sessions):
        self.bench, self.origin, self.root, self.sessions = bench, origin, root, sessions
        self.results = {"problems": []}

    def measure(self, served=lambda: 0):
        # At once: the host soon takes back what is free.
        self.phase("seq.cold", lambda: self.sequential("cpu.cold"))
        self.phase("seq.warm", lambda: self.sequential())  # the first one after a cold one
        before = served()
        self.phase("seq.warm", lambda: self.sequential("cpu.warm", passes=2))
        self.results["served.warm"] = served() - before
        self.phase("rand4k.warm", lambda: self.random("seq.bin"))
        self.phase("ls", self.ls)
        self.phase("small.cold", lambda: self.read("small", requests_per_second, **self.small()))
        self.forget_small()
        self.phase("small.warm", lambda: self.read("small", requests_per_second, **self.small()))
        self.phase("first", self.first)
        self.phase("rand4k.cold", lambda: self.random("random.bin"))
        self.phase("four", lambda: self.read("four.bin", gigabytes_per_second, how="read", processes=4))
        return self.results

    def phase(self, key, run):
        """A measure that fails is missing, and the others still come."""
        try:
            self.results[key] = run()
            self.settle()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            self.results[key] = None
            self.results["problems"].append(f"{key}: {type(error).__name__}: {error}".partition("\n")[0])

    def settle(self):
        until("the origin has nothing left to send", lambda: self.origin.stats()["in_flight"] == 0, PHASE_SECONDS)

    def read(self, below, of, **options):
        return of(run_json(self.bench.program("forebay_limit_file_reads"),
                           *words({"path": self.root / below, **options}), seconds=PHASE_SECONDS))

    @staticmethod
    def small():
        return {"how": "small", "processes": 8, "count": FILES}

    def sequential(self, cpu=None, passes=1):
        before = peers.cpu_of(self.sessions)
        speed = self.read("seq.bin", gigabytes_per_second, how="read", drop=True, passes=passes)
        self.settle()
        if cpu:
            self.results[cpu] = (peers.cpu_of(self.sessions) - before) / (SIZE * passes / 1e9)
        return speed

    def random(self, below):
        return self.read(below, requests_per_second, how="random", piece=4096, processes=8, seconds=RANDOM_SECONDS)

    def first(self):
        """Milliseconds, open() included."""
        took = []
        for number in range(FIRSTS):
            began = time.perf_counter()
            file = os.open(self.root / f"first{number}.bin", os.O_RDONLY)
            try:
                assert len(os.pread(file, 4096, 0)) == 4096, "a short read"
                took.append((time.perf_counter() - began) * 1e3)
            finally:
                os.close(file)
            self.settle()
        return statistics.median(took)

    def ls(self):
        began = time.perf_counter()
        done = subprocess.run(["ls", "-lR", self.root / "names"], capture_output=True, timeout=PHASE_SECONDS, check=True)
        took = time.perf_counter() - began
        assert done.stdout.count(b"\n") >= NAMES, f"{done.stdout.count(10)} lines for {NAMES} names"
        return took

    def forget_small(self):
        """The kernel's pages of the mount's small files, and its names: a peer's own cache on disk keeps its pages."""
        for number in range(FILES):
            file = os.open(self.root / "small" / f"f{number}", os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
            drop.write("2\n")
