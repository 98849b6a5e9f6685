"""Tests of count_results.py: nothing that failed may be counted as passed."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import count_results  # noqa: E402

CTEST = """<testsuite><testcase name="io" status="run"/><testcase name="store" status="fail"/>
<testcase name="node" status="fail"/></testsuite>"""
IO = """<testsuites><testsuite><testcase name="a" status="run"/><testcase name="b" status="notrun"/>
<testcase name="c" status="run"/></testsuite></testsuites>"""
STORE = """<testsuites><testsuite><testcase name="a" status="run"><failure/></testcase></testsuite></testsuites>"""


class Counts(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return self.dir / name

    def test_programs_count_by_their_tests_and_a_crashed_one_as_a_failure(self):
        self.write("io_test.xml", IO)
        self.write("store_test.xml", STORE)
        self.assertEqual(count_results.count_programs(self.write("ctest.xml", CTEST), self.dir), (2, 2))

    def test_a_program_that_fails_after_its_tests_passed_is_a_failure(self):
        self.write("io_test.xml", IO)
        ctest = self.write("ctest.xml", '<testsuite><testcase name="io" status="fail"/></testsuite>')
        self.assertEqual(count_results.count_programs(ctest, self.dir), (2, 1))

    def test_a_skipped_test_of_a_program_is_said_and_not_counted(self):
        skipped = '<testsuite><testcase name="a"><skipped message="not here"/></testcase><testcase name="b"/></testsuite>'
        self.write("io_test.xml", skipped)
        ctest = self.write("ctest.xml", '<testsuite><testcase name="io" status="run"/></testsuite>')
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(count_results.count_programs(ctest, self.dir), (1, 0))
        self.assertIn("not here", said.getvalue())

    def test_end_to_end_a_skipped_test_is_a_failure(self):
        xml = self.write("p.xml", '<testsuite><testcase name="a"><skipped/></testcase><testcase name="b"/></testsuite>')
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(count_results.count(xml), (1, 1))


if __name__ == "__main__":
    unittest.main()
