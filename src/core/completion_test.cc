#include "core/completion.h"

#include <gtest/gtest.h>

namespace forebay::core {
namespace {

constexpr TimePoint kStart{std::chrono::seconds(1'000)};

TEST(Inflow, guessesUntilEnoughHasCome) {
  Inflow inflow;
  EXPECT_EQ(inflow.timeFor(kStart, 0), 0ms);
  EXPECT_EQ(inflow.timeFor(kStart, 64 * kMiB), 1s);
  EXPECT_LE(inflow.timeFor(kStart, 6 * kMiB), 100ms) << "a small object is tried";
  EXPECT_GT(inflow.timeFor(kStart, 128 * kMiB), 500ms);
  inflow.began(kStart);
  inflow.came(kStart + 1ms, kMiB);
  inflow.ended(kStart + 1ms);
  EXPECT_EQ(inflow.timeFor(kStart, 64 * kMiB), 1s) << "1 MiB is no measurement";
}

TEST(Inflow, isWhatCameOverTheTimeInWhichAnythingWasOnItsWay) {
  Inflow inflow;
  TimePoint now = kStart;
  // Two fetches at once, 100 MiB in 100 ms together; then nothing for a second, which counts for nothing.
  inflow.began(now);
  inflow.began(now);
  for (int i = 0; i < 100; ++i) inflow.came(now += 1ms, kMiB);
  inflow.ended(now);
  inflow.ended(now);
  EXPECT_EQ(inflow.timeFor(now + 1s, 100 * kMiB), 100ms);
  inflow.began(now += 1s);
  for (int i = 0; i < 100; ++i) inflow.came(now += 1ms, kMiB);
  inflow.ended(now);
  EXPECT_EQ(inflow.timeFor(now, 100 * kMiB), 100ms);
}

TEST(Inflow, followsASourceThatBecomesSlow) {
  Inflow inflow;
  TimePoint now = kStart;
  inflow.began(now);
  for (int i = 0; i < 2'000; ++i) inflow.came(now += 1ms, kMiB);
  EXPECT_LT(inflow.timeFor(now, 128 * kMiB), 130ms);
  for (int i = 0; i < 40; ++i) inflow.came(now += 100ms, kMiB);
  EXPECT_GT(inflow.timeFor(now, 128 * kMiB), 5s) << "10 MiB/s for 4 s";
}

TEST(Inflow, countsAStallThatGoesOn) {
  Inflow inflow;
  inflow.began(kStart);
  inflow.came(kStart + 10ms, 10 * kMiB);
  EXPECT_EQ(inflow.timeFor(kStart + 10ms, 10 * kMiB), 10ms);
  EXPECT_EQ(inflow.timeFor(kStart + 510ms, 10 * kMiB), 510ms);
  inflow.ended(kStart + 510ms);
  EXPECT_EQ(inflow.timeFor(kStart + 100s, 10 * kMiB), 510ms);
}

TEST(Inflow, afterALongTimeNewBytesSoonOutweighTheOld) {
  const auto after_pause = [](Duration pause) {
    Inflow inflow;
    TimePoint now = kStart;
    inflow.began(now);
    for (int i = 0; i < 40; ++i) inflow.came(now += 10ms, kMiB);
    inflow.ended(now);
    inflow.began(now += pause);
    for (int i = 0; i < 40; ++i) inflow.came(now += 1ms, kMiB);
    return inflow.timeFor(now, 100 * kMiB);
  };
  EXPECT_LT(after_pause(60s), after_pause(1s));
}

TEST(Inflow, staysInItsBoundsWithHugeObjects) {
  Inflow inflow;
  EXPECT_GT(inflow.timeFor(kStart, ~std::uint64_t{0}), 1s);
  inflow.began(kStart);
  inflow.came(kStart + 900ms, kGiB);
  EXPECT_GT(inflow.timeFor(kStart + 900ms, ~std::uint64_t{0}), 1s);
  EXPECT_FALSE(inflow.counts(256 * kKiB));
  EXPECT_TRUE(inflow.counts(8 * kMiB));
}

struct UseRow {
  const char* what;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> handles;  // read, size
  bool whole;
};

TEST(DirectoryUse, saysWhetherTheLastHandlesReadHalf) {
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> header(8, {1, 100}), all(8, {100, 100});
  auto turned = header;
  turned.insert(turned.end(), all.begin(), all.end());
  const UseRow rows[] = {
      {"nobody has read yet", {}, true},
      {"three are too few to know", {{1, 100}, {1, 100}, {1, 100}}, true},
      {"four read a hundredth", {{1, 100}, {1, 100}, {1, 100}, {1, 100}}, false},
      {"half is enough", {{50, 100}, {50, 100}, {50, 100}, {50, 100}}, true},
      {"half of them read all", {{100, 100}, {0, 100}, {100, 100}, {1, 100}, {1, 100}}, true},
      {"handles that read nothing say nothing", {{0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}}, true},
      {"what was read twice counts once", {{900, 100}, {1, 100}, {1, 100}, {1, 100}}, false},
      {"the last eight count", turned, true},
      {"headers of huge objects", {4, {~std::uint64_t{0} / 3, ~std::uint64_t{0}}}, false},
  };
  for (const UseRow& row : rows) {
    DirectoryUse use;
    for (const auto& [read, size] : row.handles) use.closed(7, read, size);
    EXPECT_EQ(use.readsWhole(7), row.whole) << row.what;
    EXPECT_TRUE(use.readsWhole(8)) << "another directory";
  }
}

TEST(DirectoryUse, forgetsTheLeastRecentlyUsed) {
  DirectoryUse use;
  const auto headers = [&](std::uint64_t directory) {
    for (int i = 0; i < DirectoryUse::kEnough; ++i) use.closed(directory, 1, 100);
  };
  headers(1);
  headers(2);
  for (std::uint64_t directory = 3; directory <= DirectoryUse::kMost; ++directory) headers(directory);
  headers(1);
  headers(DirectoryUse::kMost + 1);
  EXPECT_EQ(use.size(), DirectoryUse::kMost);
  EXPECT_FALSE(use.readsWhole(1));
  EXPECT_TRUE(use.readsWhole(2)) << "forgotten";
}

}  // namespace
}  // namespace forebay::core
