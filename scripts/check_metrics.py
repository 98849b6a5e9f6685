#!/usr/bin/env python3
"""Holds docs/metrics.md: it names exactly the metrics that the sources make; and docs/operators.md says of each of them
what it is to whoever runs a cell."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cpp_text import ROOT, tracked  # noqa: E402

PAGE = Path("docs/metrics.md")
OPERATORS = Path("docs/operators.md")
_NAME = re.compile(r'(?<!checkSize\()"(forebay_[a-z_]+)"')  # not the names of the C ABI's structs
_NAMED = re.compile(r"`(forebay_[a-z_]+)`")


def differences(made, documented):
    """Findings, as lines."""
    return [f"{PAGE}: {name} isn't explained" for name in sorted(made - documented)] + [
        f"{PAGE}: {name} isn't a metric of the sources" for name in sorted(documented - made)
    ]


def main():
    made = set()
    for path in tracked("src/*.cc", "src/*.h"):
        if not re.search(r"_(test|fuzz)\.cc$", path.name):
            made |= set(_NAME.findall((ROOT / path).read_text()))
    documented = set(_NAMED.findall((ROOT / PAGE).read_text()))
    findings = differences(made, documented)
    spoken_of = set(_NAMED.findall((ROOT / OPERATORS).read_text()))
    findings += [f"{OPERATORS}: {name} isn't spoken of" for name in sorted(documented - spoken_of)]
    findings += [f"{OPERATORS}: {name} isn't a metric" for name in sorted(spoken_of - documented)]
    print("\n".join(findings) if findings else f"metrics: {len(made)} are explained")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
