#include "frontend/fuse/ring_shape.h"

#include <gtest/gtest.h>

namespace forebay::fuse {
namespace {

TEST(RingShapeTest, depthFallsWithCpusAndThenTheLargestAnswer) {
  struct Row {
    unsigned cpus, online, depth;
    std::uint64_t payload;
  };
  constexpr Row kRows[] = {
      {1, 1, 32, kMiB},      {2, 2, 32, kMiB},      {8, 8, 8, kMiB},         {16, 16, 4, kMiB},
      {32, 32, 4, kMiB / 2}, {64, 64, 4, kMiB / 4}, {128, 128, 4, kMiB / 8}, {256, 256, 2, kMiB / 8},
      {240, 2, 9, kMiB / 4}, {64, 4, 17, kMiB / 2},
  };
  for (const Row& row : kRows) {
    const auto shape = RingShape::within(64 * kMiB, row.cpus, row.online);
    ASSERT_TRUE(shape) << row.cpus;
    EXPECT_EQ(shape->depth, row.depth) << row.cpus;
    EXPECT_EQ(shape->payload, row.payload) << row.cpus;
    EXPECT_LE(shape->bytes(), 64 * kMiB) << row.cpus;
    EXPECT_LE(shape->threads, RingShape::kMostThreads);
    unsigned places = 0;
    for (unsigned queue = 0; queue < row.cpus; ++queue) {
      EXPECT_GE(shape->depthOf(queue), 1U) << "the kernel waits for a place in every queue";
      places += shape->depthOf(queue);
    }
    EXPECT_EQ(places, shape->places());
  }
}

TEST(RingShapeTest, tooManyCpusForTheMemoryAreSaidSo) {
  const auto shape = RingShape::within(64 * kMiB, 1024, 1024);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, Code::Unsupported);
  EXPECT_EQ(shape.error().message, "1024 CPUs need more memory for replies than 64 MiB");
}

TEST(RingShapeTest, listsOfCpusAreRead) {
  EXPECT_EQ(cpusIn("0-1\n"), 2U);
  EXPECT_EQ(cpusIn("0\n"), 1U);
  EXPECT_EQ(cpusIn("0-3,8-11"), 12U);
  EXPECT_EQ(cpusIn("0,2"), 3U);
  for (const char* wrong : {"", "\n", "x", "0-", "0-99999999999", "-", "0-65535"})
    EXPECT_EQ(cpusIn(wrong), 0U) << wrong;
}

}  // namespace
}  // namespace forebay::fuse
