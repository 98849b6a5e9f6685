import unittest

from check_metrics import differences


class CheckMetrics(unittest.TestCase):
    def test_names_what_is_missing_on_either_side(self):
        self.assertEqual(
            differences({"forebay_a", "forebay_b"}, {"forebay_b", "forebay_c"}),
            [
                "docs/metrics.md: forebay_a isn't explained",
                "docs/metrics.md: forebay_c isn't a metric of the sources",
            ],
        )

    def test_is_silent_where_they_agree(self):
        self.assertEqual(differences({"forebay_a"}, {"forebay_a"}), [])


if __name__ == "__main__":
    unittest.main()
