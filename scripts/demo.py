#!/usr/bin/env python3
"""Five Forebay nodes on this machine, beside what the same reading costs without them.

    demo.py run [--origin fake|azurite] [--bin DIRECTORY] [--stop]
    demo.py stop

`run` makes about 1 GB of files (build/demo/origin), serves them by a limited object store, reads them straight from it
and then through five nodes and their mounts, compares every byte, and writes build/demo/report.json. On a terminal the
cell then stays up until `stop`; otherwise, or with --stop, everything ends. It exits with 1 if any byte was wrong or
any read failed. Everything that it makes is below build/demo; FOREBAY_DEMO_DIR names another place.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import demo_data  # noqa: E402
import demo_report  # noqa: E402
from demo_cell import MEMORY, MOUNT_NAME, Azurite, Cell, FakeOrigin  # noqa: E402
from demo_processes import READER, DemoError, Running, need_program, tail  # noqa: E402
from demo_report import percentile, seconds, size  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("FOREBAY_DEMO_DIR", ROOT / "build" / "demo"))
ORIGINS = {"fake": FakeOrigin, "azurite": Azurite}
THREADS = 8  # of each reader, with and without Forebay
PHASE_SECONDS = 300  # after that something hangs
CALM_S, TROUBLE_S = 3, 6  # before and after the kill
DISK_NEEDED = 1_300_000_000


class Say:
    """One line per step: on a terminal it counts while the step runs, elsewhere it appears at its end."""

    def __init__(self):
        self.live = sys.stdout.isatty()

    def line(self, text=""):
        print(text, flush=True)

    def step(self, title, extra=None):
        return Step(self, title, extra)


class Step:
    def __init__(self, say, title, extra):
        self.say, self.title, self.extra = say, title, extra
        self.outcome = ""
        self.ended = threading.Event()

    def __enter__(self):
        self.began = time.monotonic()
        self.ticker = threading.Thread(target=self._tick, daemon=True)
        if self.say.live:
            self.ticker.start()
        return self

    def _tick(self):
        while not self.ended.wait(0.3):
            try:
                extra = self.extra() if self.extra else ""
            except (OSError, ValueError):
                extra = ""
            self._show(f"  {self.title} ... {time.monotonic() - self.began:.0f} s  {extra}", end="")

    def _show(self, text, end="\n"):
        columns = shutil.get_terminal_size().columns
        print(f"\r\033[K{text[: columns - 1] if end == '' else text}" if self.say.live else text, end=end, flush=True)

    def __exit__(self, kind, *_):
        self.ended.set()
        if self.ticker.is_alive():
            self.ticker.join()
        took = seconds(time.monotonic() - self.began)
        outcome = "" if kind is KeyboardInterrupt else "FAILED" if kind else self.outcome
        self._show(f"  {self.title.ljust(46)}{took:>8}  {outcome}".rstrip())


class Readers:
    """Reader processes that start together (scripts/demo_reader.py)."""

    def __init__(self, running, tasks):
        self.running, self.log = running, HOME / "logs" / "readers.log"
        self.processes = []
        for number, task in enumerate(tasks, 1):
            process = running.start(
                READER, f"reader {number}", [sys.executable, ROOT / "scripts" / "demo_reader.py"], self.log,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            self.processes.append(process)
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        for process in self.processes:
            if process.stdout.readline() != "ready\n":
                raise DemoError("a reader did not start", self.log)

    def go(self):
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()

    def results(self):
        """What each of them says at its end."""
        watchdog = threading.Timer(PHASE_SECONDS, lambda: [p.kill() for p in self.processes])
        watchdog.start()
        try:
            said = [process.stdout.readline() for process in self.processes]
        finally:
            watchdog.cancel()
        for process in self.processes:
            process.stdin.close()
            process.stdout.close()
            process.wait()
        if not all(said):
            raise DemoError(f"a reader ended early, or took more than {PHASE_SECONDS} s", self.log)
        return [json.loads(line) for line in said]


class Demo:
    def __init__(self, options, running):
        self.options, self.running, self.say = options, running, Say()
        programs = Path(options.bin)
        self.program = programs / "forebay"
        origin = ORIGINS[options.origin]
        self.sizes = origin.sizes
        self.origin = origin(running, programs / "forebay_fake_origin", HOME)
        self.root = HOME / origin.root
        self.truth = self.root / demo_data.CONTAINER
        self.cell = None
        self.rows = []
        self.read_bytes = self.wrong_bytes = self.failed_reads = self.peak_bytes = 0
        self.failures = []

    # ---- the steps ----

    def run(self):
        self.check_machine()
        self.prepare()
        self.say.line()
        self.explain()
        self.start_cell()
        shards = demo_data.shards(self.sizes)
        small = list(demo_data.small_files(self.sizes))
        self.compare("five readers, one dataset", shards, order=True)
        self.compare("the second pass", shards, order=True, first=10)
        self.compare("five nodes, one model file", demo_data.model(self.sizes), load=True)
        self.compare(f"{len(small):,} small files", small, order=True)
        direct = self.direct_share()
        self.peak_bytes = max(node.peak_bytes() for node in self.cell.nodes)
        kill = self.kill_one(shards)
        return self.finish(direct, kill)

    def check_machine(self):
        for name in ("forebay", "forebay_fake_origin"):
            if not (self.program.parent / name).is_file():
                raise DemoError(f"{self.program.parent / name} is not there: `make build` makes it")
        if not os.path.exists("/dev/fuse"):
            raise DemoError("/dev/fuse is missing, so nothing can be mounted. On a machine: modprobe fuse. In a "
                            "container: start it with --device /dev/fuse --cap-add SYS_ADMIN")
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise DemoError("/dev/fuse is not for you here. Once, until the next boot: sudo chmod 666 /dev/fuse")
        if os.geteuid() != 0:
            need_program("fusermount3", "fuse3")
        free = shutil.disk_usage(HOME).free
        if free < DISK_NEEDED and not self.truth.is_dir():
            raise DemoError(f"{HOME} has {size(free)} free: the demo's files need {size(DISK_NEEDED)}")

    def prepare(self):
        total = self.sizes.total()
        done = [0]
        with self.say.step(f"making {size(total)} of files", lambda: size(done[0])) as step:
            demo_data.make(self.root, self.sizes, lambda count: done.__setitem__(0, count))
            self.warm_pages()
            step.outcome = f"{self.sizes.shards} shards, a model, {self.sizes.small_files:,} small"
        with self.say.step("starting the origin"):
            self.origin.start(self.root)

    def warm_pages(self):
        """The origin's speed shall be its limits', not this machine's disk's."""
        for name, _ in demo_data.all_files(self.sizes):
            with open(self.truth / name, "rb", buffering=0) as file:
                while file.read(4 << 20):
                    pass

    def explain(self):
        self.say.line(f"""\
The origin: {self.origin.title}.
WITHOUT: five processes read from it directly, over {THREADS} connections each, and keep
nothing, as jobs do whose dataset is larger than their memory.
WITH: five processes read the mounts of five nodes ({MEMORY} at most each), with
{THREADS} threads each. The kernel's page cache is dropped behind them, so that each pass
asks Forebay. Both sides compare every byte with the generated file.
""")

    def start_cell(self):
        with self.say.step("starting five nodes and their mounts"):
            self.cell = Cell(self.running, self.program, HOME, self.origin)
            self.cell.start()

    def compare(self, title, files, order=False, load=False, first=0):
        row = {"title": title, "distinct_bytes": sum(length for _, length in files)}
        row["without"] = self.measure(f"without: {title}", row, files, order, first, mounts=False)
        row["with"] = self.measure(f"with:    {title}", row, files, order, first, mounts=True, load=load)
        self.rows.append(row)

    def measure(self, title, row, files, order, first, mounts, load=False):
        readers = Readers(self.running, [self.task(node, files, first + i if order else None, mounts)
                                         for i, node in enumerate(self.cell.nodes)])
        bytes_before, requests_before = self.origin_sent(mounts)
        with self.say.step(title, self.live_bytes(bytes_before) if self.origin.counts_itself else None) as step:
            began, cpu = time.monotonic(), cpu_times()
            loads = [(node, node.load(files[0][0])) for node in self.cell.nodes] if load else []
            readers.go()
            results = readers.results()
            for node, process in loads:
                check_load(node, process)
            took, busy = time.monotonic() - began, busy_since(cpu)
            self.add(results)
            sent, requests = self.origin_sent(mounts, results)
            sent -= bytes_before
            step.outcome = f"{size(sent)} from the origin"
        return {"origin_bytes": sent, "ratio": sent / row["distinct_bytes"],
                "origin_requests": None if requests is None else requests - requests_before,
                "seconds": took, "cpu_busy": busy, "reader_bytes": sum(r["bytes"] for r in results)}

    def task(self, node, files, order, mounts):
        source = {"mount": str(node.mount_dir)} if mounts else {"url": f"{self.origin.endpoint}/{demo_data.CONTAINER}"}
        return {**source, "truth": str(self.truth), "files": files, "threads": THREADS, "order": order}

    def live_bytes(self, before):
        return lambda: f"{size(self.origin.stats()['get_bytes'] - before)} from the origin"

    def origin_sent(self, mounts, results=()):
        """Bytes and requests (None: unknown) so far, by the origin's own count, or by that of those who received them."""
        if self.origin.counts_itself:
            return self.origin.sent()
        return self.cell.total("origin_bytes") if mounts else sum(r["bytes"] for r in results), None

    def add(self, results):
        for result in results:
            self.read_bytes += result["bytes"]
            self.wrong_bytes += result["wrong_bytes"]
            self.failed_reads += result["failed_reads"]
            self.failures += result["failures"]

    def direct_share(self):
        peer, direct = self.cell.total("peer_bytes"), self.cell.total("direct_bytes")
        return {"peer_bytes": peer, "direct_bytes": direct, "share": direct / peer if peer else None}

    def kill_one(self, files):
        """Readers on four nodes, reads of 1 MiB anywhere; the fifth node dies in the middle."""
        victim, survivors = self.cell.nodes[-1], self.cell.nodes[:-1]
        tasks = [
            {"mount": str(node.mount_dir), "truth": str(self.truth), "files": files, "threads": 2, "order": 20 + i,
             "seconds": CALM_S + TROUBLE_S, "keep_times": True}
            for i, node in enumerate(survivors)
        ]
        readers = Readers(self.running, tasks)
        before = self.origin_sent(True)[0] - (0 if self.origin.counts_itself else self.origin_of(victim))
        with self.say.step("with:    kill -9 of a node while others read") as step:
            readers.go()
            time.sleep(CALM_S)
            self.running.kill(victim.process)
            killed = time.monotonic()
            results = readers.results()
            self.add(results)
            sent = self.origin_sent(True)[0] - before
            outcome = self.kill_outcome(results, killed, victim, sent)
            step.outcome = f"{outcome['failed_reads']} failed, {outcome['wrong_bytes']} wrong"
        with self.say.step(f"starting {victim.name} again"):
            victim.start()
            victim.wait_ready()
        return outcome

    def origin_of(self, node):
        return sum(m["origin_bytes"] for m in node.status()["mounts"] if m["name"] == MOUNT_NAME)

    def kill_outcome(self, results, killed, victim, sent):
        times = [t for result in results for t in result["times"]]
        calm = [took for began, took in times if began + took < killed]
        after = [took for began, took in times if began + took >= killed]
        return {
            "node": victim.name, "reads_before": len(calm), "reads_after": len(after),
            "failed_reads": sum(r["failed_reads"] for r in results),
            "wrong_bytes": sum(r["wrong_bytes"] for r in results),
            "p50_before_ms": percentile(calm, 0.50) * 1e3, "p99_before_ms": percentile(calm, 0.99) * 1e3,
            "p50_after_ms": percentile(after, 0.50) * 1e3, "p99_after_ms": percentile(after, 0.99) * 1e3,
            "worst_after_ms": max(after, default=0) * 1e3, "refetched_bytes": sent,
        }

    # ---- the end ----

    def finish(self, direct, kill):
        good = self.wrong_bytes == 0 and self.failed_reads == 0 and self.read_bytes > 0
        report = self.report(direct, kill, good)
        (HOME / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        say = self.say.line
        say()
        say(demo_report.table(self.rows))
        say()
        say(demo_report.picture(self.rows))
        say()
        share = "none went" if direct["share"] is None else f"{100 * direct['share']:.2f}%"
        say(f"""\
  Bytes between nodes:  {size(direct['peer_bytes'])}; straight from owner to reader's node: {share}
  kill -9 of {kill['node']} while four others read pieces of 1 MiB anywhere:
      {kill['failed_reads']} failed reads, {kill['wrong_bytes']} wrong bytes, p99 {kill['p99_after_ms']:.0f} ms \
(before: {kill['p99_before_ms']:.0f} ms), slowest {kill['worst_after_ms']:.0f} ms;
      {size(kill['refetched_bytes'])} of its part came from the origin again
  Memory:   no node had more than {self.peak_bytes >> 20} MiB of its {MEMORY}
  Checked:  {size(self.read_bytes)} read, every byte compared: {self.wrong_bytes} wrong, {self.failed_reads} reads failed""")
        for failure in self.failures[:5]:
            say(f"      {failure}")
        say(f"  Report:   {short(HOME / 'report.json')}")
        say()
        say("  What this version doesn't do yet (docs/roadmap.md):")
        for line in demo_report.NOT_YET:
            say(f"    {'  ' if line.startswith(' ') else '- '}{line.strip()}")
        say()
        if not good:
            say(f"  NOT GOOD: bytes were wrong or reads failed. Logs: {short(HOME / 'logs')}")
        return good

    def report(self, direct, kill, good):
        return {
            "ok": good,
            "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()},
            "origin": self.origin.title, "nodes": len(self.cell.nodes), "memory_per_node": MEMORY,
            "peak_bytes_of_a_node": self.peak_bytes,
            "threads_per_reader": THREADS, "total_bytes": self.sizes.total(),
            "rows": self.rows, "direct": direct, "kill": kill,
            "checked": {"bytes": self.read_bytes, "wrong_bytes": self.wrong_bytes, "failed_reads": self.failed_reads,
                        "failures": self.failures[:20]},
            "status": [node.status() for node in self.cell.nodes if node.alive()],
            "not_yet": " ".join(demo_report.NOT_YET),
        }

    def invite(self):
        say = self.say.line
        say("  The cell is up. Play with it:")
        say(f"    ls {short(HOME / 'mnt')} {short(self.cell.nodes[0].mount_dir)}/shards")
        say(f"    export FOREBAY_NODE=unix:{self.cell.nodes[0].socket}")
        say(f"    {short(self.program)} status")
        say(f"    {short(self.program)} where {MOUNT_NAME}/model/weights.safetensors")
        say(f"    {short(self.program)} ls -l {MOUNT_NAME}/shards")
        say(f"    sha256sum {short(self.cell.nodes[4].mount_dir)}/shards/shard-000.tar "
            f"{short(self.truth)}/shards/shard-000.tar")
        say("  and end it:")
        say("    make demo-stop")


def check_load(node, process):
    code = process.wait(timeout=PHASE_SECONDS)
    if code != 0:
        raise DemoError(f"forebay load on {node.name} ended with exit code {code}", node.load_log)


def cpu_times():
    """(all, idle) of this machine so far, in ticks."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def busy_since(before):
    total, idle = (after - then for after, then in zip(cpu_times(), before))
    return 1 - idle / total if total else 0.0


def short(path):
    """A path as somebody who is here would type it."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)


def stop(running):
    for complaint in running.stop_all(ROOT / "scripts"):
        print(f"demo: {complaint}", file=sys.stderr)


def show_failure(error):
    print(f"\ndemo: {error}", file=sys.stderr)
    if getattr(error, "log", None):
        print(f"the end of {short(error.log)}:", file=sys.stderr)
        for line in tail(error.log).splitlines():
            print(f"    {line}", file=sys.stderr)
    print(f"demo: all logs are in {short(HOME / 'logs')}; everything that was started is being stopped", file=sys.stderr)


def end_on_signals():
    def end(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def run(options):
    HOME.mkdir(parents=True, exist_ok=True)
    running = Running(HOME)
    if running.things:
        print("demo: ending what an earlier demo left running")
        stop(running)
    shutil.rmtree(HOME / "logs", ignore_errors=True)
    end_on_signals()
    stays = False
    try:
        demo = Demo(options, running)
        good = demo.run()
        stays = sys.stdout.isatty() and not options.stop
        if stays:
            demo.invite()
        return 0 if good else 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; stopping everything", file=sys.stderr)
        return 130
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        show_failure(error)
        return 1
    finally:
        if not stays:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
            stop(running)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "stop"))
    parser.add_argument("--origin", choices=sorted(ORIGINS), default="fake")
    parser.add_argument("--bin", default=ROOT / "build" / "release" / "bin", help="where forebay was built")
    parser.add_argument("--stop", action="store_true", help="end everything afterwards, also on a terminal")
    options = parser.parse_args()
    if options.verb == "run":
        return run(options)
    if not HOME.is_dir() or not Running(HOME).things:
        print("demo: nothing is running")
        return 0
    stop(Running(HOME))
    print("demo: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
