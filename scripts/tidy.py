#!/usr/bin/env python3
"""clang-tidy on many files: tidy.py --all | --commits N [--seconds S] | FILE...

--commits N takes the .cc files of the last N commits, newest first, and for a header that changed the .cc beside it
(or, where there is none, the first file of its folder that includes it). It starts no file after S seconds, and says
how many it did. Findings are errors (.clang-tidy). Files come from the newest of the trees in TREES; without one, it
configures `dev`.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpp_text import ROOT, tracked  # noqa: E402

TREES = ("build/asan", "build/dev")
# What a test may do for the sake of brevity: copy arguments, hold fixtures' members plainly, drop what a fuzzer made.
IN_TESTS = "-performance-*,-cppcoreguidelines-virtual-class-destructor,-bugprone-unused-return-value"
TIDY_DATABASE = ROOT / "build" / "tidy"


def without_pch(arguments):
    """A compile command without what clang-tidy can't use or doesn't need: the precompiled header (it may be stale, or
    not yet made) and the sanitizers (they change no finding and cost time)."""
    kept, skip = [], 0
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if skip:
            skip -= 1
        elif argument == "-include-pch" or (argument, following) == ("-Xclang", "-fno-pch-timestamp"):
            skip = 1
        elif argument == "-Winvalid-pch" or argument.startswith(("-fsanitize", "-fno-sanitize")):
            continue
        else:
            kept.append(argument)
    return kept


def compiler_first(arguments):
    """Drops `cmake -E env ... ccache` before the compiler."""
    for index, argument in enumerate(arguments):
        if re.search(r"clang(\+\+)?(-\d+)?$", argument):
            return arguments[index:]
    return arguments


def write_database(tree):
    entries = json.loads((tree / "compile_commands.json").read_text())
    for entry in entries:
        arguments = entry.pop("arguments", None) or shlex.split(entry.pop("command"))
        entry["arguments"] = without_pch(compiler_first(arguments))
    TIDY_DATABASE.mkdir(parents=True, exist_ok=True)
    made = TIDY_DATABASE / f"compile_commands.{os.getpid()}.json"
    made.write_text(json.dumps(entries))
    made.replace(TIDY_DATABASE / "compile_commands.json")  # whole at any moment: another run may be reading it
    return {Path(os.path.relpath(entry["file"], ROOT)) for entry in entries if Path(entry["file"]).is_relative_to(ROOT)}


def find_tree():
    trees = [ROOT / tree for tree in TREES if (ROOT / tree / "compile_commands.json").exists()]
    if trees:
        return max(trees, key=lambda tree: (tree / "compile_commands.json").stat().st_mtime)
    subprocess.run(["cmake", "--preset", "dev"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build/dev"


def changed_files(commits):
    """Files of the last commits, the newest first, each once."""
    log = subprocess.run(
        ["git", "log", f"-{commits}", "--name-only", "--format=", "--diff-filter=d"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return [Path(name) for name in dict.fromkeys(log.split("\n")) if name and (ROOT / name).is_file()]


def sources_of(changed, known):
    """The .cc files that show what changed: they themselves, and one for each header."""
    chosen = {}
    for path in changed:
        if path.suffix == ".cc" and path in known:
            chosen[path] = True
        elif path.suffix == ".h":
            beside = [path.with_suffix(".cc"), path.with_name(path.stem + "_test.cc")]
            beside += sorted(p for p in known if p.parent == path.parent)
            mentions = f'{"/".join(path.parts[1:])}"'
            for candidate in beside:
                if candidate in known and mentions in (ROOT / candidate).read_text():
                    chosen[candidate] = True
                    break
    return list(chosen)


def is_test(path):
    return path.parts[0] in ("tests", "bench") or path.stem.endswith(("_test", "_fuzz"))


def run_tidy(path):
    relaxed = [f"--checks={IN_TESTS}"] if is_test(path) else []
    return subprocess.run(
        ["nice", "clang-tidy-19", "-p", str(TIDY_DATABASE), "--quiet", "--use-color=false", *relaxed, str(path)],
        cwd=ROOT, capture_output=True, text=True,
    )


def run_all(paths, seconds, workers):
    """Runs what can be started within `seconds`; returns (clean, with findings, not started)."""
    end = time.monotonic() + seconds if seconds else float("inf")
    clean = bad = late = 0

    def one(path):
        return None if time.monotonic() > end else run_tidy(path)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for path, result in zip(paths, pool.map(one, paths)):
            if result is None:
                late += 1
            elif result.returncode == 0:
                clean += 1
            else:
                bad += 1
                print(f"-- {path}")
                print(result.stdout.replace(f"{ROOT}/", ""), end="")
                errors = [line for line in result.stderr.split("\n") if line and "warnings" not in line]
                print("\n".join(errors), flush=True)
    return clean, bad, late


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--commits", type=int)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    known = write_database(find_tree())
    if options.all:
        paths = sorted(path for path in tracked("*.cc") if path in known)
    elif options.commits:
        paths = sources_of(changed_files(options.commits), known)
    else:
        paths = options.files
    clean, bad, late = run_all(paths, options.seconds, options.jobs)
    print(f"tidy: {clean} files clean, {bad} with findings, {late} of {len(paths)} not started in time")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
