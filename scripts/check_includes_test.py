"""Tests of check_includes.py: what it must find, and what it must leave alone."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_includes as check  # noqa: E402
from cpp_text import code_only  # noqa: E402


def direction(path, *names, there=True):
    text = "".join(f'#include "{name}"\n' for name in names)
    return list(check.check_direction(Path(path), text, lambda name: there))


def repeatable(path, text):
    return list(check.check_repeatable(Path(path), text))


class Direction(unittest.TestCase):
    def test_a_folder_uses_what_is_above_it(self):
        self.assertEqual(direction("src/node/node.cc", "base/result.h", "store/arena.h", "node/node.h"), [])

    def test_a_folder_does_not_use_what_is_below_it(self):
        self.assertIn("src/io must not include", direction("src/io/tcp.cc", "store/arena.h")[0])

    def test_core_uses_base_alone(self):
        self.assertEqual(direction("src/core/slots.h", "base/hash.h", "core/types.h"), [])

    def test_client_uses_nothing_of_node(self):
        self.assertEqual(len(direction("src/client/client.cc", "node/node.h", "reader/reader.h")), 1)
        self.assertEqual(direction("src/frontend/fuse/mount.cc", "node/node.h"), [])

    def test_sim_uses_neither_origins_nor_nodes(self):
        self.assertEqual(len(direction("src/sim/sim.cc", "origin/origin.h", "node/node.h", "store/arena.h")), 2)

    def test_angle_brackets_hide_nothing(self):
        text = "#  include <node/node.h>\n"
        self.assertEqual(len(list(check.check_direction(Path("src/core/a.cc"), text, lambda name: True))), 1)

    def test_public_headers_use_nothing_of_src(self):
        self.assertEqual(len(direction("include/forebay/forebay.h", "base/result.h")), 1)
        self.assertEqual(direction("include/forebay/forebay.hpp", "forebay/forebay.h"), [])

    def test_tests_and_bench_use_what_they_like(self):
        self.assertEqual(direction("bench/limits/tcp.cc", "node/node.h", "sim/sim.h"), [])

    def test_an_include_says_its_folder(self):
        self.assertIn("from src/", direction("src/io/tcp.cc", "reactor.h", there=False)[0])

    def test_a_new_folder_needs_its_place(self):
        self.assertIn("not in the order", direction("src/misc/a.h")[0])


class Cycles(unittest.TestCase):
    def test_a_circle_of_headers_is_named(self):
        files = {
            Path("src/io/a.h"): '#include "io/b.h"\n',
            Path("src/io/b.h"): '#include "io/c.h"\n',
            Path("src/io/c.h"): '#include "io/a.h"\n',
        }
        found = list(check.check_cycles(files))
        self.assertIn("src/io/a.h -> src/io/b.h -> src/io/c.h -> src/io/a.h", found[0])

    def test_a_diamond_is_no_circle(self):
        graph = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
        self.assertIsNone(check.find_cycle(graph))


class Links(unittest.TestCase):
    def test_cmake_follows_the_same_order(self):
        path = Path("src/client/CMakeLists.txt")
        self.assertEqual(len(list(check.check_links(path, "forebay_module(client DEPS forebay_node)"))), 1)
        self.assertEqual(list(check.check_links(path, "forebay_module(client DEPS forebay_reader fmt::fmt)")), [])

    def test_tests_link_what_they_like(self):
        text = "forebay_module(client DEPS forebay_reader TEST_DEPS forebay_node)"
        self.assertEqual(list(check.check_links(Path("x"), text)), [])


class Repeatable(unittest.TestCase):
    def test_core_has_no_clock_no_float_no_unordered_container(self):
        text = "auto t = std::chrono::steady_clock::now();\ndouble x;\nstd::unordered_map<int, int> m;\n"
        self.assertEqual([line.split(":")[1] for line in repeatable("src/core/a.cc", text)], ["3", "1", "2"])

    def test_words_in_comments_and_strings_are_only_words(self):
        text = '// a double fill, std::hash\nauto s = "float ::now()";  /* std::shuffle */\nauto n = 1\'000\'000;\n'
        self.assertEqual(repeatable("src/core/a.cc", text), [])

    def test_shuffles_and_distributions_are_nowhere(self):
        self.assertEqual(len(repeatable("src/node/a.cc", "std::shuffle(a, b, rng);")), 1)
        self.assertEqual(len(repeatable("src/io/a.cc", "std::uniform_int_distribution<int> d;")), 1)

    def test_a_hash_for_a_local_table_is_fine_outside_the_protocols_but_its_value_is_not(self):
        specialisation = "template <> struct std::hash<forebay::core::ObjectKey> { };"
        self.assertEqual(repeatable("src/store/a.h", specialisation), [])
        self.assertEqual(len(repeatable("src/core/a.h", specialisation)), 1)
        self.assertEqual(len(repeatable("src/node/a.cc", "auto h = std::hash<std::string>{}(path);")), 1)

    def test_io_may_read_the_clock(self):
        self.assertEqual(repeatable("src/io/reactor.h", "return std::chrono::steady_clock::now();"), [])

    def test_blanking_keeps_line_numbers(self):
        text = 'a /* x\ny */ b\nR"(one\ntwo)" c'
        self.assertEqual(code_only(text).count("\n"), text.count("\n"))


if __name__ == "__main__":
    unittest.main()
