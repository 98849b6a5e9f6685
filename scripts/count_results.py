#!/usr/bin/env python3
"""Counts tests in results of JUnit's form, and prints "PASSED FAILED"; each skipped test goes to stderr, with its reason.

count_results.py CTEST_XML DIR   programs that ctest ran, and the directory where GoogleTest programs wrote NAME.xml:
                                 their own counts. A program that failed without a failed test of its own (it crashed,
                                 hung, leaked) counts as one failure. A skipped test is one that makes no sense in this
                                 tree, such as counting allocations under a sanitizer: it counts as neither.
count_results.py PYTEST_XML      pytest's; a skipped test counts as failed: end to end, everything must be there.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def count(xml, skips_fail=True):
    """(passed, failed) of the cases in one file; those that were told not to run count as neither."""
    passed = failed = 0
    for case in ET.parse(xml).getroot().iter("testcase"):
        if case.get("status") in ("notrun", "disabled"):
            continue
        skipped = case.find("skipped")
        if skipped is not None:
            why = " ".join((skipped.get("message") or "").split())
            print(f"  skipped: {case.get('classname')}.{case.get('name')}: {why}", file=sys.stderr)
            failed += skips_fail
        elif case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed


def count_programs(ctest_xml, directory):
    passed = failed = 0
    for case in ET.parse(ctest_xml).getroot().iter("testcase"):
        name, ran_well = case.get("name"), case.get("status") == "run"
        xml = directory / f"{name}_test.xml"
        try:
            p, f = count(xml, skips_fail=False)
        except (FileNotFoundError, ET.ParseError):
            p, f = (1, 0) if ran_well else (0, 1)
        if not ran_well and f == 0:
            f = 1
        passed, failed = passed + p, failed + f
    return passed, failed


def main():
    if len(sys.argv) == 3:
        print(*count_programs(Path(sys.argv[1]), Path(sys.argv[2])))
    else:
        print(*count(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
