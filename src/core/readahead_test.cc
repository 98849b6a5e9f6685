#include "core/readahead.h"

#include <gtest/gtest.h>

namespace forebay::core {
namespace {

Plan planOf(std::uint64_t size) {
  Plan plan;
  plan.size = size;
  plan.chunk_bits = kMinChunkBits;  // 1 MiB
  return plan;
}

TEST(Readahead, aScanBringsTheNextChunksOnce) {
  Readahead readahead({.max_objects = 4, .ahead = 2, .near = 64 * kKiB, .scan = 3});
  const Plan plan = planOf(10 * kMiB);
  EXPECT_TRUE(readahead.read(plan, 0, 128 * kKiB).empty());
  EXPECT_TRUE(readahead.read(plan, 128 * kKiB, 128 * kKiB).empty());
  EXPECT_EQ(readahead.read(plan, 256 * kKiB, 128 * kKiB), (ChunkSpan{1, 3}));
  EXPECT_TRUE(readahead.read(plan, 384 * kKiB, 128 * kKiB).empty());
  EXPECT_TRUE(readahead.read(plan, 512 * kKiB, 512 * kKiB).empty());
  EXPECT_EQ(readahead.read(plan, kMiB, 128 * kKiB), (ChunkSpan{3, 4}));
}

TEST(Readahead, readsThatArriveOutOfOrderAreStillAScan) {
  Readahead readahead({.max_objects = 4, .ahead = 1, .near = 512 * kKiB, .scan = 3});
  const Plan plan = planOf(10 * kMiB);
  readahead.read(plan, 128 * kKiB, 128 * kKiB);
  readahead.read(plan, 0, 128 * kKiB);
  EXPECT_EQ(readahead.read(plan, 256 * kKiB, 128 * kKiB), (ChunkSpan{1, 2}));
}

TEST(Readahead, randomReadsSayNothing) {
  Readahead readahead({.max_objects = 4, .ahead = 2, .near = 64 * kKiB, .scan = 3});
  const Plan plan = planOf(100 * kMiB);
  for (std::uint64_t at : {50, 3, 77, 20, 91, 8, 64, 33})
    EXPECT_TRUE(readahead.read(plan, at * kMiB, 4096).empty()) << at;
}

TEST(Readahead, theEndOfTheObjectIsTheEnd) {
  Readahead readahead({.max_objects = 4, .ahead = 8, .near = 64 * kKiB, .scan = 1});
  EXPECT_EQ(readahead.read(planOf(3 * kMiB), 0, kMiB), (ChunkSpan{1, 3}));
  EXPECT_TRUE(readahead.read(planOf(3 * kMiB), 2 * kMiB, kMiB).empty());
}

TEST(Readahead, forgetsTheLeastRecentlyRead) {
  Readahead readahead({.max_objects = 2, .ahead = 2, .near = 64 * kKiB, .scan = 2});
  Plan a = planOf(9 * kMiB), b = a, c = a;
  b.key.bytes[0] = std::byte{1};
  c.key.bytes[0] = std::byte{2};
  readahead.read(a, 0, 1);
  readahead.read(b, 0, 1);
  readahead.read(c, 0, 1);
  EXPECT_EQ(readahead.size(), 2U);
  EXPECT_TRUE(readahead.read(a, 1, 1).empty());
}

}  // namespace
}  // namespace forebay::core
