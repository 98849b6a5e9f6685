#!/usr/bin/env python3
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))

import peers  # noqa: E402
import run  # noqa: E402

FILES = peers.Measure("small", "small files", "files/s")
CPU = peers.Measure("cpu", "CPU", "s/GB", less_is_better=True)


class PeersTest(unittest.TestCase):
    def test_the_best_peer_has_most_or_where_less_is_better_least(self):
        results = {"a": {"small": 1, "cpu": 1}, "b": {"small": 3, "cpu": 2}}
        self.assertEqual(peers.best_peer(FILES, results), ("b", 3))
        self.assertEqual(peers.best_peer(CPU, results), ("a", 1))

    def test_a_peer_without_that_measure_is_not_the_best(self):
        self.assertEqual(peers.best_peer(CPU, {"a": {"cpu": None}, "b": {"cpu": 7}, "c": {}}), ("b", 7))

    def test_more_than_the_best_peer_is_a_ratio_above_one_either_way(self):
        self.assertEqual(peers.row("r", FILES, {"small": 6}, {"a": {"small": 3}}, 2)["ratio"], 2)
        self.assertEqual(peers.row("r", CPU, {"cpu": 1}, {"a": {"cpu": 4}}, 2)["ratio"], 4)

    def test_no_cpu_at_all_is_no_division_by_zero(self):
        self.assertGreater(peers.row("r", CPU, {"cpu": 0}, {"a": {"cpu": 4}}, 2)["ratio"], 1000)

    def test_without_a_peer_the_row_says_not_run_and_has_our_value(self):
        row = peers.row("r", FILES, {"small": 6}, {}, 2)
        self.assertEqual((row["value"], row["limit"], row["ratio"]), (6, None, None))
        self.assertIn("not run", row["note"])

    def test_a_peer_that_is_not_there_has_its_column_and_a_reason(self):
        ours = {measure.key: 1 for measure in peers.MEASURES}
        table = peers.table(ours, {"a": {"seq.cold": 1234.5}}, {"a": "1.2"}, {"b": "not run: why"}, ["a note"])
        self.assertEqual(table["columns"], ["", "Forebay", "a 1.2", "b"])
        self.assertEqual(table["rows"][0], ["cold sequential, GB/s", "1", "1234", "not run"])
        self.assertEqual(table["rows"][1][2], "-")
        self.assertEqual(table["notes"], ["a note", "b: not run: why"])

    def test_the_results_page_ends_with_the_tables(self):
        row = {**peers.row("r", FILES, {"small": 6}, {}, 2), "ok": True}
        table = {"title": "T", "columns": ["", "a"], "rows": [["x", "1"]], "notes": ["n"]}
        page = run.results_page([row], [table]).splitlines()
        self.assertIn("| `r` | 6.000 | files/s | - | - | not run: no peer to compare with (docs/benchmarks.md) |", page)
        self.assertEqual(page[-8:], ["", "## T", "", "|  | a |", "|---|---|", "| x | 1 |", "", "- n"])

    def test_a_variable_names_a_program_and_an_empty_one_leaves_it_out(self):
        rclone = peers.Rclone()
        self.assertEqual(rclone.program({"COMPARE_RCLONE": "/opt/rclone"}), "/opt/rclone")
        self.assertIsNone(rclone.program({"COMPARE_RCLONE": ""}))
        self.assertEqual(peers.MountpointS3().variable, "COMPARE_MOUNT_S3")

    def test_cpu_counts_all_processes_of_a_session(self):
        child = subprocess.Popen(["sh", "-c", "while :; do :; done & wait"], start_new_session=True)
        try:
            while peers.cpu_of([child.pid]) < 0.05:
                self.assertIsNone(child.poll())
            self.assertEqual(len(peers.session_of(child.pid)), 2)
        finally:
            os.killpg(child.pid, 9)
            child.wait()


if __name__ == "__main__":
    unittest.main()
