"""Tests of tidy.py: which files it takes, and what it makes of a compile command."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tidy  # noqa: E402


class Commands(unittest.TestCase):
    def test_launcher_precompiled_header_and_sanitizers_go(self):
        command = "cmake -E env A=1 ccache clang++-19 -Xclang -fno-pch-timestamp -Wall -fsanitize=address -Winvalid-pch "
        command += "-include-pch build/x.pch -Xclang -kept -c a.cc"
        self.assertEqual(
            tidy.without_pch(tidy.compiler_first(command.split())),
            ["clang++-19", "-Wall", "-Xclang", "-kept", "-c", "a.cc"],
        )


class Files(unittest.TestCase):
    def test_sources_come_in_order_and_once(self):
        known = {Path("src/base/hash.cc"), Path("src/base/log.cc")}
        changed = [Path("src/base/log.cc"), Path("README.md"), Path("src/base/hash.h"), Path("src/base/log.h")]
        self.assertEqual(tidy.sources_of(changed, known), [Path("src/base/log.cc"), Path("src/base/hash.cc")])

    def test_a_header_without_a_source_is_seen_through_one_that_includes_it(self):
        known = {Path("src/base/hash.cc"), Path("src/base/base_test.cc")}
        self.assertEqual(tidy.sources_of([Path("src/base/random.h")], known), [Path("src/base/base_test.cc")])


if __name__ == "__main__":
    unittest.main()
