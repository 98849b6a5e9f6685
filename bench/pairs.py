"""A row and its limit, measured in turns: what a shared machine does to one of them, it does to both.

    best = best_of(grid, lambda options: limit(options)["seconds"])      # once: the limit's best way
    pairs = Pairs.measure(lambda: limit(best), lambda: reader())         # five times each, the order swapped
    return pairs.row("read.remote.8m", "GB/s", gigabytes_per_second, note="...")

Both give what their program printed, a dictionary; medians count, and the note has how far the runs are apart.
"""

import itertools
import json
import subprocess
from statistics import median

PAIRS = 5
WRONG_LIMIT = 1.05  # what is this much faster than its limit has a wrong one


def run_json(program, *arguments, seconds=60):
    """What a program of this bench printed: one line of JSON. It has a session of its own, as nodes and origins have: on
    a busy machine the kernel shares CPUs between sessions."""
    done = subprocess.run([str(word) for word in (program, *arguments)], capture_output=True, timeout=seconds, check=False,
                          start_new_session=True)
    assert done.returncode == 0, f"{program}: {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    return json.loads(done.stdout)


def words(options):
    """{"length": 8, "random": True} as --length 8 --random."""
    for name, value in options.items():
        if value is not False:
            yield f"--{name.replace('_', '-')}"
            if value is not True:
                yield value


def grid(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def told(options):
    return " ".join(str(word) for word in words(options))


def best_of(grid, cost, tries=2):
    """The entry of the grid that costs least, by the best of a few short tries each."""
    return min(grid, key=lambda entry: min(cost(entry) for _ in range(tries)))


class Pairs:
    def __init__(self, limits, values):
        self.limits, self.values = limits, values

    @classmethod
    def measure(cls, limit, value, pairs=PAIRS):
        limits, values = [], []
        for number in range(pairs):
            turns = [(limits, limit), (values, value)]
            for to, run in turns if number % 2 == 0 else reversed(turns):
                to.append(run())
        return cls(limits, values)

    def row(self, name, unit, of, note, less_is_better=False, target=None):
        """`of`: what counts of a run."""
        limits, values = [of(run) for run in self.limits], [of(run) for run in self.values]
        limit, value = median(limits), median(values)
        ratio = limit / value if less_is_better else value / limit
        note = f"{note}; {len(values)} pairs: {_range(values)}, limit {_range(limits)}"
        if target is not None:
            note += f"; target {target}"
        if ratio > WRONG_LIMIT:
            note += "; THE LIMIT IS WRONG: nothing is faster than the machine"
        return {"name": name, "value": value, "unit": unit, "limit": limit, "ratio": ratio, "note": note}


def median_of(runs, of):
    return median(of(run) for run in runs)


def _range(numbers):
    return f"{min(numbers):.4g} to {max(numbers):.4g}"


def gigabytes_per_second(run):
    return run["bytes"] / run["seconds"] / 1e9


def cpu_per_gigabyte(run):
    return (run["cpu_reader"] + run["cpu_server"]) / run["bytes"] * 1e9


def requests_per_second(run):
    return run["requests"] / run["seconds"]
