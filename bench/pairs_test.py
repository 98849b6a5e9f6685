#!/usr/bin/env python3
import unittest

from pairs import Pairs, best_of


def value(run):
    return run["value"]


def pairs(limits, values):
    return Pairs([{"value": v} for v in limits], [{"value": v} for v in values])


class PairsTest(unittest.TestCase):
    def test_row_and_limit_take_turns_and_the_order_is_swapped(self):
        order = []
        measured = Pairs.measure(lambda: order.append("limit") or {"value": 2}, lambda: order.append("row") or {"value": 1}, pairs=3)
        self.assertEqual(order, ["limit", "row", "row", "limit", "limit", "row"])
        self.assertEqual(measured.row("r", "GB/s", value, "")["ratio"], 0.5)

    def test_medians_count_and_the_note_has_the_range(self):
        row = pairs([4, 4, 400], [1, 2, 3]).row("r", "GB/s", value, "a note")
        self.assertEqual((row["value"], row["limit"], row["ratio"]), (2, 4, 0.5))
        self.assertEqual(row["note"], "a note; 3 pairs: 1 to 3, limit 4 to 400")

    def test_where_less_is_better_the_ratio_is_the_limit_by_the_value(self):
        self.assertEqual(pairs([1], [4]).row("r", "us", value, "", less_is_better=True)["ratio"], 0.25)

    def test_a_row_that_beats_its_limit_says_that_the_limit_is_wrong(self):
        self.assertIn("LIMIT IS WRONG", pairs([100], [106]).row("r", "GB/s", value, "")["note"])
        self.assertNotIn("LIMIT IS WRONG", pairs([100], [105]).row("r", "GB/s", value, "")["note"])

    def test_the_grid_is_judged_by_the_best_of_its_tries(self):
        costs = {"a": iter([9, 2]), "b": iter([3, 3])}
        self.assertEqual(best_of(["a", "b"], lambda entry: next(costs[entry])), "a")


if __name__ == "__main__":
    unittest.main()
