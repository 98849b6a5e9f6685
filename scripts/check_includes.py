#!/usr/bin/env python3
"""Holds who may include whom, and that what must repeat under every compiler can repeat.

1. A folder of src/ includes only folders above it in FOLDERS, with the exceptions in ONLY and NEVER.
   include/forebay/ is what users see and includes nothing of src/. tests/, bench/ and examples/ include what they like.
2. No header includes itself by a detour: `#pragma once` would hide it until the order of includes changes.
3. Quoted includes are written from src/ or include/ ("io/reactor.h"), so that the folder can be read off.
4. CMake links no folder that could not be included.
5. In src/core and src/sim nothing whose value or order the standards leave open: see REPEATABLE.

Prints one line per finding, and exits with 1 if there is one. Reads the files only: well under a second.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpp_text import ROOT, code_only, tracked  # noqa: E402

FOLDERS = "base core wire io store origin metadata reader node client frontend sim cli".split()
ONLY = {"core": {"base"}, "sim": {"base", "core", "wire", "store", "io"}}
NEVER = {"client": {"node"}}

# (what, where it is forbidden, why). Everywhere in src/, since jitter and choices are replayed from a seed too:
EVERYWHERE = [
    (r"\bstd::(?:shuffle|sample)\b", "its result differs between standard libraries: use base/random.h"),
    (r"\bstd::\w+_distribution\b", "its result differs between standard libraries: use base/random.h"),
    (r"\bstd::hash\s*<[^;{}]*>\s*(?:\{\s*\}|\(\s*\))\s*\(", "no standard fixes its value: use base/hash.h"),
]
# and in the pure protocols and what runs them under virtual time:
REPEATABLE = [
    (r"\bstd::hash\b", "no standard fixes its value: use base/hash.h"),
    (r"\bstd::unordered_\w+", "its order is nobody's promise: use std::map or a sorted vector"),
    (r"::now\s*\(", "pure code receives `now`; only src/io reads a clock"),
    (r"\b(?:clock_gettime|gettimeofday|time\s*\(\s*(?:nullptr|NULL|0)\s*\))", "pure code receives `now`"),
    (r"\bstd::random_device\b|\bsystemRandom\s*\(", "pure code receives its seed"),
    (r"\bstd::(?:thread|jthread|mutex|condition_variable|async)\b", "pure code knows no thread"),
]
NO_FLOATS = (r"\b(?:float|double)\b", "floating point decides nothing in core: use integers")

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
_MODULE = re.compile(r"forebay_module\s*\(\s*(\w+)([^)]*)\)")


def allowed(folder):
    """The folders that `folder` may include, itself among them."""
    above = set(FOLDERS[: FOLDERS.index(folder)])
    return (ONLY.get(folder, above) - NEVER.get(folder, set())) | {folder}


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes(text):
    for match in _INCLUDE.finditer(text):
        yield line_of(text, match.start()), match.group(2), match.group(1) == '"'


def check_direction(path, text, exists):
    """Findings of one file. `exists` says whether a path below the root is there."""
    parts = path.parts
    if parts[0] == "src" and len(parts) > 2:
        folder = parts[1]
        if folder not in FOLDERS:
            yield f"{path}: folder src/{folder} is not in the order of ARCHITECTURE.md (FOLDERS in check_includes.py)"
            return
        may = allowed(folder)
    elif parts[:2] == ("include", "forebay"):
        may = set()
    else:
        return
    for line, name, quoted in includes(text):
        target = name.split("/")[0]
        if target in FOLDERS and "/" in name:
            if target not in may:
                who = f"src/{parts[1]}" if parts[0] == "src" else "include/forebay"
                yield f'{path}:{line}: {who} must not include "{name}" (it may use: {", ".join(sorted(may)) or "nothing of src"})'
            elif quoted and not exists(Path("src") / name) and not name.endswith(".pb.h"):
                yield f'{path}:{line}: no such file: "{name}"'
        elif quoted and not exists(Path("include") / name):
            yield f'{path}:{line}: write "{name}" from src/ or include/ ("FOLDER/{Path(name).name}")'


def find_cycle(graph):
    """One cycle of a graph {node: [node]}, as a list that starts and ends with the same node, or None."""
    done, path, on_path = set(), [], set()

    def visit(node):
        if node in on_path:
            return path[path.index(node) :] + [node]
        if node in done:
            return None
        path.append(node)
        on_path.add(node)
        for target in graph.get(node, ()):
            if cycle := visit(target):
                return cycle
        path.pop()
        on_path.discard(node)
        done.add(node)
        return None

    for node in sorted(graph):
        if cycle := visit(node):
            return cycle
    return None


def check_cycles(files):
    graph = {
        str(path): [f"src/{name}" for _, name, _ in includes(text)] for path, text in files.items() if path.suffix == ".h"
    }
    if cycle := find_cycle(graph):
        yield "headers include each other in a circle: " + " -> ".join(cycle)


def check_links(path, text):
    """CMake's forebay_module(NAME DEPS forebay_OTHER ...) follows the same order. Tests may link anything."""
    for match in _MODULE.finditer(text):
        folder, rest = match.group(1), match.group(2).split("TEST_DEPS")[0]
        if folder not in FOLDERS:
            continue
        for target in re.findall(r"\bforebay_(\w+)", rest):
            if target in FOLDERS and target not in allowed(folder):
                yield f"{path}:{line_of(text, match.start())}: {folder} must not link forebay_{target}"


def rules_for(path):
    if path.parts[0] != "src" or path.name.endswith("_fuzz.cc"):
        return []
    rules = list(EVERYWHERE)
    if len(path.parts) > 2 and path.parts[1] in ("core", "sim") and not path.name.endswith("_main.cc"):
        rules = REPEATABLE + rules
    if path.parts[1] == "core" and not path.name.endswith("_test.cc"):
        rules.append(NO_FLOATS)
    return rules


def check_repeatable(path, text):
    rules = rules_for(path)
    if not rules:
        return
    code = code_only(text)
    seen = set()
    for pattern, why in rules:
        for match in re.finditer(pattern, code):
            line = line_of(code, match.start())
            if line not in seen:  # the narrow rule and the wide one are one finding
                seen.add(line)
                yield f"{path}:{line}: {match.group().strip()}: {why}"


def findings(root=ROOT):
    files = {path: (root / path).read_text(errors="replace") for path in tracked("*.h", "*.cc", root=root)}
    in_src = {path: text for path, text in files.items() if path.parts[0] == "src"}
    for path, text in files.items():
        yield from check_direction(path, text, lambda name: (root / name).is_file())
        yield from check_repeatable(path, text)
    yield from check_cycles(in_src)
    for path in tracked("src/*/CMakeLists.txt", root=root):
        yield from check_links(path, (root / path).read_text())


def main():
    found = list(findings())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
