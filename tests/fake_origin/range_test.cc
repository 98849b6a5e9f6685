#include "fake_origin/range.h"

#include <gtest/gtest.h>

namespace forebay::fake {
namespace {

struct RangeStory {
  const char* name;
  const char* text;
  std::uint64_t size;
  bool suffix_allowed;
  RangeKind kind;
  std::uint64_t offset;
  std::uint64_t length;
};

const RangeStory kRanges[] = {
    {"no range is the whole object", "", 10, false, RangeKind::Whole, 0, 10},
    {"both ends are inclusive", "bytes=2-4", 10, false, RangeKind::Part, 2, 3},
    {"an end beyond the object is cut", "bytes=8-100", 10, false, RangeKind::Part, 8, 2},
    {"no end means up to the object's", "bytes=3-", 10, false, RangeKind::Part, 3, 7},
    {"the last byte alone", "bytes=9-9", 10, false, RangeKind::Part, 9, 1},
    {"start = size can't be satisfied", "bytes=10-", 10, false, RangeKind::Unsatisfiable, 0, 0},
    {"nothing of an empty object can", "bytes=0-0", 0, false, RangeKind::Unsatisfiable, 0, 0},
    {"S3 knows suffixes", "bytes=-4", 10, true, RangeKind::Part, 6, 4},
    {"a suffix longer than the object is all of it", "bytes=-40", 10, true, RangeKind::Part, 0, 10},
    {"a suffix of nothing can't be satisfied", "bytes=-0", 10, true, RangeKind::Unsatisfiable, 0, 0},
    {"Azure doesn't", "bytes=-4", 10, false, RangeKind::Malformed, 0, 0},
    {"the end is before the start", "bytes=4-3", 10, true, RangeKind::Malformed, 0, 0},
    {"several ranges", "bytes=0-1,3-4", 10, true, RangeKind::Malformed, 0, 0},
    {"another unit", "items=0-1", 10, true, RangeKind::Malformed, 0, 0},
    {"a number that doesn't fit 64 bits", "bytes=99999999999999999999-", 10, true, RangeKind::Malformed, 0, 0},
    {"the largest number there is", "bytes=0-18446744073709551615", 10, false, RangeKind::Part, 0, 10},
};

TEST(ParseRange, readsWhatServicesDocumentAndNothingElse) {
  for (const RangeStory& story : kRanges) {
    const AskedRange range = parseRange(story.text, story.size, story.suffix_allowed);
    EXPECT_EQ(range.kind, story.kind) << story.name;
    EXPECT_EQ(range.offset, story.offset) << story.name;
    EXPECT_EQ(range.length, story.length) << story.name;
  }
}

TEST(NamesEtag, comparesStrictly) {
  EXPECT_TRUE(namesEtag("\"a\"", "\"a\""));
  EXPECT_TRUE(namesEtag("\"b\", \"a\"", "\"a\""));
  EXPECT_TRUE(namesEtag("*", "\"a\""));
  EXPECT_FALSE(namesEtag("a", "\"a\""));
  EXPECT_FALSE(namesEtag("", "\"a\""));
}

TEST(IntervalSet, countsEachPositionOnce) {
  IntervalSet set;
  set.add(0, 10);
  set.add(20, 30);
  EXPECT_EQ(set.total(), 20U);
  set.add(5, 25);
  EXPECT_EQ(set.total(), 30U);
  EXPECT_EQ(set.intervals(), 1U);
  set.add(0, 30);
  set.add(7, 7);
  EXPECT_EQ(set.total(), 30U);
}

TEST(IntervalSet, joinsNeighbours) {
  IntervalSet set;
  set.add(10, 20);
  set.add(0, 10);
  set.add(20, 21);
  EXPECT_EQ(set.intervals(), 1U);
  EXPECT_EQ(set.total(), 21U);
}

TEST(IntervalSet, agreesWithABitmapWhateverTheOrder) {
  IntervalSet set;
  bool bitmap[256] = {};
  std::uint64_t state = 1;
  for (int i = 0; i < 500; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const std::uint64_t begin = state >> 56;
    const std::uint64_t end = std::min<std::uint64_t>(256, begin + (state >> 40 & 15));
    set.add(begin, end);
    std::uint64_t expected = 0;
    for (std::uint64_t k = begin; k < end; ++k) bitmap[k] = true;
    for (const bool bit : bitmap) expected += bit ? 1 : 0;
    ASSERT_EQ(set.total(), expected) << "after " << i;
  }
}

TEST(Glob, matchesRunsAndSingleCharacters) {
  EXPECT_TRUE(globMatches("*", ""));
  EXPECT_TRUE(globMatches("c/*.bin", "c/a/b.bin"));
  EXPECT_TRUE(globMatches("c/?", "c/x"));
  EXPECT_TRUE(globMatches("*a*b", "xxaxxaxb"));
  EXPECT_FALSE(globMatches("*a*b", "xxaxx"));
  EXPECT_FALSE(globMatches("c/?", "c/"));
  EXPECT_FALSE(globMatches("", "x"));
}

}  // namespace
}  // namespace forebay::fake
