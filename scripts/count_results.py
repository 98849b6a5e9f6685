#!/usr/bin/env python3
"""Counts tests in results of JUnit's form, and prints "PASSED FAILED".

count_results.py CTEST_XML DIR   programs that ctest ran, and the directory where GoogleTest programs wrote NAME.xml:
                                 their own counts. A program that failed without a failed test of its own (it crashed,
                                 hung, leaked) counts as one failure.
count_results.py PYTEST_XML      pytest's; a skipped test counts as failed: what can't run must say so aloud.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def count(xml):
    """(passed, failed) of the cases in one file; those that were told not to run count as neither."""
    passed = failed = 0
    for case in ET.parse(xml).getroot().iter("testcase"):
        if case.get("status") in ("notrun", "disabled"):
            continue
        if any(case.find(what) is not None for what in ("failure", "error", "skipped")):
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
            p, f = count(xml)
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
