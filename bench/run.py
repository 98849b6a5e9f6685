#!/usr/bin/env python3
"""Runs the rows of the bench: run.py [--only NAME] [--bin DIRECTORY]

A row is a module in bench/rows with `measure(bench)`, which returns {name, value, unit, limit, ratio, note}: ratio is
value / limit, or limit / value where less is better; 1.0 is the limit and more is better. Limit and ratio are None where
there is nothing to compare with. A row may add `least_ratio`, below which it fails. It says "no" by an exception
(AssertionError); the report then has it with value null. A module of several rows names them in ROWS, and returns a list
of those in `bench.wanted`. One that takes long says its bound in SECONDS. What doesn't fit a row goes to `bench.tables`,
as {title, columns, rows, notes}.

The row `memory` is about all of them: the highest use of any node, beside its cap. What is known about a row that falls
short is written by hand, in bench/remarks.toml, and put below the table.

Writes build/bench/report.json, and bench/RESULTS.md when all rows ran. Ends with 1 if a row failed. Numbers mean
something with the release build only, on a machine with nothing else to do.
"""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "build" / "bench"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))  # processes, cells and origins, as the end-to-end tests have them
from harness.processes import Running  # noqa: E402

sys.path.insert(0, str(HERE))
from memory import NodeMemory, memory_row  # noqa: E402

ROW_SECONDS = 300


class BenchRunning(Running):
    """Every node in a memory cgroup of its own, so that the row `memory` can tell what it used."""

    def __init__(self, log_dir, seconds):
        super().__init__(log_dir, seconds)
        self.memories = []

    def start(self, name, command, env=None, **streams):
        words = [str(word) for word in command]
        if "node" not in words or "--config" not in words:
            return super().start(name, command, env, **streams)
        memory = NodeMemory(name, words[words.index("--config") + 1])
        self.memories.append(memory)
        return super().start(name, memory.prefix() + words, env, **streams)

    def end(self):
        for memory in self.memories:
            memory.stop()
        complaints = super().end()
        for memory in self.memories:
            memory.remove()
        return complaints


class Bench:
    """What a row works with: a directory of its own, processes that end with it, and where programs are."""

    def __init__(self, name, programs, wanted, seconds):
        self.wanted = wanted  # names of rows
        self.tables = []
        self.directory = OUT / name
        make_anew(self.directory)
        self.programs = Path(programs)
        self.running = BenchRunning(self.directory / "logs", seconds)

    def program(self, name):
        path = self.programs / name
        assert path.is_file(), f"{path} is not there: `make bench` builds it"
        return path


def make_anew(directory):
    """An empty directory, also where a run that was killed left mounts below it."""
    mounted = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    for point in (line.split(" ")[1] for line in reversed(mounted)):
        if Path(point).is_relative_to(directory):
            subprocess.run(["umount", "--lazy", point], check=True)
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)


def load_modules():
    """The modules in bench/rows by name (fill_once.py is fill.once), and the names of their rows."""
    modules = {}
    for file in sorted((HERE / "rows").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"row_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        name = file.stem.replace("_", ".", 1)
        modules[name] = (module, getattr(module, "ROWS", (name,)))
    return modules


def run_module(name, module, wanted, programs, memories):
    """The rows in `wanted`, in that order, and tables."""
    bench = Bench(name, programs, set(wanted), getattr(module, "SECONDS", ROW_SECONDS))
    began = time.monotonic()
    try:
        measured = module.measure(bench)
        rows = measured if isinstance(measured, list) else [measured]
        assert [row["name"] for row in rows] == list(wanted), f"it gave {[row['name'] for row in rows]}"
        for row in rows:
            judge(row)
    except Exception as error:  # noqa: BLE001: whatever it was, the other modules still run
        rows = [failed(row, name, f"{type(error).__name__}: {error}") for row in wanted]
    complaints = bench.running.end()
    memories += [(name, memory) for memory in bench.running.memories]
    if complaints:
        rows = [failed(row, name, "; ".join(complaints)) for row in wanted]
    if all(row["ok"] for row in rows):
        shutil.rmtree(bench.directory)
    for row in rows:
        print_row(row, (time.monotonic() - began) / len(rows))
    return rows, bench.tables


def judge(row):
    least = row.pop("least_ratio", 0)
    row["ok"] = row["ratio"] is None or row["ratio"] >= least
    if not row["ok"]:
        row["note"] += f"; FAILED: the ratio must be at least {least}"


def print_row(row, seconds):
    print(f"  {row['name']:<20} {shown(row['value']):>8}  limit {shown(row['limit'])}  ratio {shown(row['ratio'])}  "
          f"{'ok' if row['ok'] else 'FAILED'}  ({seconds:.0f} s)  {row['note']}", flush=True)


def failed(name, module, why):
    logs = (OUT / module / "logs").relative_to(ROOT)
    return {"name": name, "value": None, "unit": "", "limit": None, "ratio": None,
            "note": f"FAILED: {why} (logs: {logs})", "ok": False}


def shown(number):
    return "-" if number is None else f"{number:.3f}"


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}"


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def remarks():
    """By row."""
    return tomllib.loads((HERE / "remarks.toml").read_text())


def table_lines(table):
    return ["", f"## {table['title']}", "", f"| {' | '.join(table['columns'])} |", "|---" * len(table["columns"]) + "|",
            *(f"| {' | '.join(cells)} |" for cells in table["rows"]), "", *(f"- {note}" for note in table["notes"])]


def results_page(rows, tables):
    lines = [
        "# Results", "",
        "Written by `make bench`; don't edit. Ratio: 1.0 is the limit, more is better.", "",
        f"- machine: {machine()}; load at the end {os.getloadavg()[0]:.1f}",
        f"- when: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, at {commit()}",
        "- command: `make bench`", "",
        "| Row | Value | Unit | Limit | Ratio | Note |", "|---|---|---|---|---|---|",
    ]
    for row in rows:
        note = row["note"].replace("|", "/").replace("\n", " ")
        lines.append(f"| `{row['name']}` | {shown(row['value'])} | {row['unit']} | {shown(row['limit'])} | "
                     f"{shown(row['ratio'])} | {note} |")
    known = remarks()
    lines += [""] * any(row["name"] in known for row in rows)
    lines += [f"- `{row['name']}`: {known[row['name']]}" for row in rows if row["name"] in known]
    for table in tables:
        lines += table_lines(table)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="one row; bench/RESULTS.md stays as it is")
    parser.add_argument("--bin", default=ROOT / "build" / "release" / "bin", help="where the programs are")
    options = parser.parse_args()
    modules = load_modules()
    names = [row for _, rows in modules.values() for row in rows]
    if options.only and options.only not in names:
        print(f"bench: no row {options.only!r}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    memories, rows, tables = [], [], []
    for name, (module, names) in modules.items():
        wanted = [row for row in names if options.only in (None, row)]
        if wanted:
            module_rows, module_tables = run_module(name, module, wanted, options.bin, memories)
            rows += module_rows
            tables += module_tables
    rows.append(memory_row(memories))
    print_row(rows[-1], 0)
    for table in tables:
        print("\n".join(table_lines(table)))
    all_ok = all(row.pop("ok") for row in rows)
    (OUT / "report.json").write_text(json.dumps(rows, indent=2) + "\n")
    if not options.only:
        (HERE / "RESULTS.md").write_text(results_page(rows, tables))
    print(f"bench: {(OUT / 'report.json').relative_to(ROOT)}" + ("" if options.only else ", bench/RESULTS.md"))
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main())
