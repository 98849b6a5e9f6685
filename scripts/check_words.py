#!/usr/bin/env python3
"""Small rules about every text file that git knows. One line per finding; exits with 1 if there is one.

Unfinished work isn't merged with a note in it, one concept has one word, a file fits in a head, and nothing in the
project depends on where somebody's checkout lies.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpp_text import ROOT, tracked  # noqa: E402

MAX_LINES = 750  # of a C++ file: split it by what it knows long before
MAX_BYTES = 1 << 20  # larger inputs are generated

# "Nothing more for now" is said of a socket; "this will do for now" of code.
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|(?<!more )\b[Ff]or now\b")
SOMEBODYS_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+)/")
FIXED_TMP = re.compile(r"""["'`(= ]/tmp/""")
# In what Forebay itself says: the left word is somebody else's for the right one (ARCHITECTURE.md, words).
WORDS = [
    (re.compile(r"\bclusters?\b", re.IGNORECASE), "cell"),
    (re.compile(r"\bmaster\b", re.IGNORECASE), "controller"),
    (re.compile(r"\bpeer group\b", re.IGNORECASE), "cell"),
]
ITSELF = {"scripts/check_words.py", "scripts/check_words_test.py"}
NOT_OURS = {"LICENSE"}


def check(path, data):
    """Findings of one file, given its path below the root and its bytes."""
    name = str(path)
    if len(data) > MAX_BYTES:
        yield f"{name}: {len(data)} bytes: generate what is larger than {MAX_BYTES}"
    if b"\0" in data[:8192] or name in ITSELF | NOT_OURS or name.startswith("tests/corpus/"):
        return
    text = data.decode(errors="replace")
    lines = text.split("\n")
    cpp = path.suffix in (".cc", ".h", ".proto")
    if cpp and len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines: split it ({MAX_LINES} at most)"
    if data and not data.endswith(b"\n"):
        yield f"{name}:{len(lines)}: no newline at the end"
    for number, line in enumerate(lines, 1):
        yield from (f"{name}:{number}: {what}" for what in line_findings(path, line, cpp))


def line_findings(path, line, cpp):
    if UNFINISHED.search(line):
        yield "finish it, or say in docs/roadmap.md what is missing"
    if line.startswith(("<<<<<<< ", ">>>>>>> ")):
        yield "a conflict of a merge"
    if line != line.rstrip() and path.suffix != ".md":
        yield "space at the end of the line"
    if cpp and "\t" in line:
        yield "a tab"
    if SOMEBODYS_PATH.search(line):
        yield "a path of one machine"
    if FIXED_TMP.search(line) and path.suffix in (".sh", ".py", ""):
        yield "a fixed path below /tmp: use mktemp or $TMPDIR"
    if path.parts[0] in ("src", "include", "docs", "deploy"):
        for pattern, ours in WORDS:
            if match := pattern.search(line):
                yield f'"{match.group()}": the word is "{ours}"'


def main():
    found = [line for path in tracked() for line in check(path, (ROOT / path).read_bytes())]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
