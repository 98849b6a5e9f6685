#include "core/types.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "core/runs.h"

namespace forebay::core {
namespace {

// The vectors below were computed by another program, from the definitions in types.h. A change of any loses every
// cached byte of every cell at its upgrade, and every client of another version asks the wrong nodes.

TEST(Placement, ofPathsIsFixed) {
  EXPECT_EQ(slotOfPath("data", "a/b.bin"), 0x9b3d);
  EXPECT_EQ(slotOfPath("data", ""), 0x8eb6);
  EXPECT_EQ(slotOfPath("models", "ünï %2F .."), 0x0513);
  EXPECT_EQ(slotOfPath("data", std::string(1024, 'x')), 0xeea0);
}

TEST(Placement, tellsTheMountFromThePath) {
  EXPECT_NE(slotOfPath("data", "a/b"), slotOfPath("dat", "aa/b"));
}

TEST(Placement, ofNodesIsFixedAndNeverNobody) {
  EXPECT_EQ(nodeIdOf("node-a"), 0xdadea24aU);
  EXPECT_EQ(nodeIdOf("node-b"), 0x69e4375fU);
  EXPECT_EQ(mountIdOf("node-c"), 0x5c16aa5eU);
  for (int i = 0; i < 10'000; ++i) ASSERT_NE(nodeIdOf(fmt::format("n{}", i)), kNoNode);
}

ObjectKey sample() {
  return objectKey(bytesOf("secret"), "data", "a/b.bin", "\"v1\"", 20 * kMiB, 23);
}

TEST(Keys, ofObjectsAreFixed) {
  EXPECT_EQ(hex(sample().bytes), "fa97f5bdc91880b42a3b924593f68c38");
  EXPECT_EQ(hex(objectKey({}, "", "", "", 0, 20).bytes), "049fd59af432499b9c278566372e40ca");
}

TEST(Keys, differWhereverTheObjectDoes) {
  const auto key = [](std::string_view secret, std::string_view mount, std::string_view path, std::string_view version,
                      std::uint64_t size,
                      std::uint32_t bits) { return objectKey(bytesOf(secret), mount, path, version, size, bits); };
  const ObjectKey one = key("s", "m", "path", "v", 1, 23);
  EXPECT_NE(one, key("t", "m", "path", "v", 1, 23));
  EXPECT_NE(one, key("s", "n", "path", "v", 1, 23));
  EXPECT_NE(one, key("s", "mp", "ath", "v", 1, 23)) << "a border between fields moved";
  EXPECT_NE(one, key("s", "m", "pathv", "", 1, 23)) << "a border between fields moved";
  EXPECT_NE(one, key("s", "m", "path", "w", 1, 23));
  EXPECT_NE(one, key("s", "m", "path", "v", 2, 23));
  EXPECT_NE(one, key("s", "m", "path", "v", 1, 22));
  EXPECT_EQ(one, key("s", "m", "path", "v", 1, 23));
}

TEST(Chunks, haveFixedIdsAndSlots) {
  const ObjectKey key = sample();
  EXPECT_EQ(chunkId(key, 0), (ChunkId{0x51fbc8f2ede3a782, 0x732292ce0f9135bc}));
  EXPECT_EQ(chunkId(key, 1), (ChunkId{0x247fb2f465b2226d, 0x403953a7f38a8b87}));
  EXPECT_EQ(chunkId(key, 4095), (ChunkId{0xa546d19eaaf95b71, 0x33b0882b77063285}));
  EXPECT_EQ(slotOfChunk(key, 0x1234, 0), 0x1234) << "the first chunk lives where its name does";
  EXPECT_EQ(slotOfChunk(key, 0x1234, 1), 0x247f);
  EXPECT_EQ(slotOfChunk(key, 0x1234, 2), 0xd546);
}

TEST(Plan, countsChunksAndTheirLengths) {
  struct {
    std::uint64_t size;
    std::uint32_t chunks, last;
  } const cases[] = {{0, 0, 0},
                     {1, 1, 1},
                     {8 * kMiB - 1, 1, 8 * kMiB - 1},
                     {8 * kMiB, 1, 8 * kMiB},
                     {8 * kMiB + 1, 2, 1},
                     {20 * kGiB, 2560, 8 * kMiB}};
  for (const auto& c : cases) {
    const Plan plan{.size = c.size};
    EXPECT_EQ(plan.chunks(), c.chunks) << c.size;
    if (c.chunks > 0) EXPECT_EQ(plan.chunkLength(c.chunks - 1), c.last) << c.size;
    EXPECT_EQ(plan.chunkLength(c.chunks), 0U) << "there is nothing behind the end of " << c.size;
  }
}

TEST(Runs, coverTheBytesOfARange) {
  EXPECT_EQ(runsOf(0, 1), (RunRange{0, 1}));
  EXPECT_EQ(runsOf(0, kRun), (RunRange{0, 1}));
  EXPECT_EQ(runsOf(0, kRun + 1), (RunRange{0, 2}));
  EXPECT_EQ(runsOf(kRun - 1, 2), (RunRange{0, 2}));
  EXPECT_EQ(runsOf((1U << kMaxChunkBits) - 1, 1), (RunRange{kMaxRuns - 1, kMaxRuns}));
}

TEST(Runs, areASet) {
  RunSet set;
  set.add(RunRange{62, 66});
  set.add(kMaxRuns - 1);
  set.remove(63);
  EXPECT_EQ(set.count(), 4U);
  EXPECT_TRUE(set.has(62) && set.has(64) && set.has(65) && set.has(kMaxRuns - 1));
  EXPECT_FALSE(set.has(61) || set.has(63) || set.has(66) || set.has(0));
}

}  // namespace
}  // namespace forebay::core
