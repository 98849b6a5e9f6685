"""Tests of check_words.py."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_words  # noqa: E402


def found(path, text):
    return list(check_words.check(Path(path), text.encode()))


class Words(unittest.TestCase):
    def test_a_clean_file_is_clean(self):
        self.assertEqual(found("src/io/a.cc", "// Every cell has its slots.\nint x;\n"), [])

    def test_unfinished_work_is_found(self):
        self.assertEqual(len(found("src/io/a.cc", "// TODO: retry\nint x;  // good enough for now\n")), 2)

    def test_a_file_ends_with_a_newline_and_its_lines_without_spaces(self):
        self.assertEqual(len(found("scripts/a.sh", "echo \nexit")), 2)

    def test_paths_of_one_machine_are_found_and_urls_are_not(self):
        self.assertEqual(len(found("README.md", "cd /home/kim/forebay\n")), 1)
        self.assertEqual(found("README.md", "https://example.org/work/list\n"), [])

    def test_one_concept_has_one_word(self):
        self.assertIn('"cell"', found("docs/config.md", "the members of a cluster\n")[0])
        self.assertEqual(found("README.md", "unlike a cluster file system\n"), [])

    def test_a_file_fits_in_a_head(self):
        self.assertIn("split it", found("src/io/a.cc", "int x;\n" * 800)[0])
        self.assertEqual(found("docs/a.md", "text\n" * 800), [])


if __name__ == "__main__":
    unittest.main()
