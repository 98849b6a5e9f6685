#!/usr/bin/env python3
"""Holds tests/trouble.md: every clause about bad input and trouble is held by a test that is there.

The page has lists of clauses ("- `F1` names with spaces") and tables of rows ("| F1 | what is shown | test |").
A test is `src/store/arena_test.cc: Suite.name` (GoogleTest) or `tests/e2e/test_x.py::test_name` (pytest); a row may
name several, separated by <br>. `missing` marks a clause whose test isn't written yet.

Finds: a clause without a row, a row of no clause, a row without a test, a test that isn't there. Counts what is
missing; with --strict that is a finding too.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpp_text import ROOT  # noqa: E402

PAGE = Path("tests/trouble.md")
_CLAUSE = re.compile(r"^- `([A-Z]+\d+)` ", re.MULTILINE)
_ROW = re.compile(r"^\| *([A-Z]+\d+) *\|([^|\n]*)\|([^|\n]*)\|", re.MULTILINE)
_GTEST = re.compile(r"^([\w./-]+_test\.cc): *(\w+)\.(\w+)$")
_PYTEST = re.compile(r"^([\w./-]+\.py)::(\w+)(?:\[[^\]]*\])?$")


def test_exists(name, read):
    """Whether the named test is in its file. `read` gives a file's text, or None where there is none."""
    if match := _GTEST.match(name):
        path, suite, test = match.groups()
        pattern = rf"\bTEST(?:_F|_P)?\s*\(\s*{suite}\s*,\s*{test}\s*\)"
    elif match := _PYTEST.match(name):
        path, test = match.groups()
        pattern = rf"^\s*(?:async )?def {test}\("
    else:
        return False
    text = read(path)
    return text is not None and re.search(pattern, text, re.MULTILINE) is not None


def check(page, read):
    """Returns (findings, number of clauses held, clauses still missing)."""
    findings, held, missing = [], set(), []
    clauses = _CLAUSE.findall(page)
    for clause in {c for c in clauses if clauses.count(c) > 1}:
        findings.append(f"{PAGE}: clause {clause} is there twice")
    rows = set()
    for match in _ROW.finditer(page):
        clause, tests = match.group(1), match.group(3).replace("`", "").strip()
        rows.add(clause)
        if clause not in clauses:
            findings.append(f"{PAGE}: a row of {clause}, which is no clause")
        if not tests:
            findings.append(f"{PAGE}: the row of {clause} is empty")
        elif tests == "missing":
            missing.append(clause)
        else:
            held.add(clause)
            for test in re.split(r"\s*<br>\s*", tests):
                if not test_exists(test, read):
                    findings.append(f"{PAGE}: {clause}: no such test: {test}")
    findings += [f"{PAGE}: {clause} has no row" for clause in clauses if clause not in rows]
    if not clauses:
        findings.append(f"{PAGE}: no clauses")
    return findings, len(held), missing


def main():
    def read(path):
        return (ROOT / path).read_text() if (ROOT / path).is_file() else None

    findings, held, missing = check((ROOT / PAGE).read_text(), read)
    if "--strict" in sys.argv[1:]:
        findings += [f"{PAGE}: {clause}: its test is missing" for clause in missing]
    print("\n".join(findings), end="\n" if findings else "")
    print(f"trouble: {held} clauses held by tests" + (f", {len(missing)} missing: {' '.join(missing)}" if missing else ""))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
