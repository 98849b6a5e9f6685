"""Tests of check_trouble.py."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_trouble  # noqa: E402

FILES = {
    "src/store/arena_test.cc": "TEST(Arena, saysBusyWhenFull) {\n",
    "tests/e2e/test_names.py": "def test_spaces(cell):\n    pass\n",
}


def check(page):
    return check_trouble.check(page, FILES.get)


class Trouble(unittest.TestCase):
    def test_a_clause_is_held_by_a_test_that_is_there(self):
        page = "- `A1` full arena\n- `A2` spaces\n| A1 | x | `src/store/arena_test.cc: Arena.saysBusyWhenFull` |\n"
        page += "| A2 | x | tests/e2e/test_names.py::test_spaces |\n"
        self.assertEqual(check(page), ([], 2, []))

    def test_a_clause_needs_a_row_and_a_row_a_clause(self):
        findings, _, _ = check("- `A1` full arena\n| B1 | x | missing |\n")
        self.assertEqual(len(findings), 2)

    def test_an_empty_row_is_found(self):
        findings, _, _ = check("- `A1` full arena\n| A1 | x | |\n")
        self.assertIn("is empty", findings[0])

    def test_a_test_that_is_not_there_is_found(self):
        for name in ("src/store/arena_test.cc: Arena.other", "tests/e2e/test_names.py::test_other", "a/b_test.cc: A.b", "?"):
            findings, _, _ = check(f"- `A1` full arena\n| A1 | x | {name} |\n")
            self.assertIn("no such test", findings[0])

    def test_missing_is_counted_not_hidden(self):
        self.assertEqual(check("- `A1` full arena\n| A1 | x | missing |\n"), ([], 0, ["A1"]))


if __name__ == "__main__":
    unittest.main()
