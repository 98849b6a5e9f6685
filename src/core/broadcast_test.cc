#include "core/broadcast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <set>

namespace forebay::core {
namespace {

using testing::ElementsAre;

std::vector<std::uint32_t> chunks(std::uint32_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

std::vector<std::uint32_t> orderOf(Broadcast& broadcast) {
  std::vector<std::uint32_t> order;
  while (auto chunk = broadcast.next()) {
    order.push_back(*chunk);
    broadcast.finished(*chunk, true);
  }
  return order;
}

TEST(Broadcast, bringsEachChunkOnceInAnOrderOfItsOwn) {
  Broadcast one(chunks(100), {}, 1), other(chunks(100), {}, 2);
  const auto order = orderOf(one), other_order = orderOf(other);
  EXPECT_EQ(std::set(order.begin(), order.end()).size(), 100U);
  EXPECT_NE(order, other_order);
  EXPECT_TRUE(one.over());
  EXPECT_EQ(one.done(), 100U);
  EXPECT_EQ(one.failed(), 0U);
}

TEST(Broadcast, staysInsideItsWindow) {
  Broadcast broadcast(chunks(200), {.window = 16, .at_once = 4}, 3);
  std::set<std::uint32_t> running, missing;
  for (std::uint32_t i = 0; i < 200; ++i) missing.insert(i);
  Random random(4);
  while (!missing.empty()) {
    while (auto chunk = broadcast.next()) {
      EXPECT_LT(*chunk, *missing.begin() + 16);
      running.insert(*chunk);
    }
    EXPECT_LE(running.size(), 4U);
    auto ends = running.begin();
    std::advance(ends, static_cast<std::ptrdiff_t>(random.below(running.size())));
    missing.erase(*ends);
    broadcast.finished(*ends, true);
    running.erase(ends);
  }
  EXPECT_TRUE(broadcast.over());
}

TEST(Broadcast, doesNotRunAheadOfASlowChunk) {
  Broadcast broadcast(chunks(100), {.window = 4, .at_once = 4}, 5);
  std::set<std::uint32_t> first;
  for (int i = 0; i < 4; ++i) first.insert(*broadcast.next());
  EXPECT_THAT(first, ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(broadcast.next());
  broadcast.finished(3, true);
  EXPECT_FALSE(broadcast.next());
  broadcast.finished(0, true);
  EXPECT_EQ(broadcast.next(), 4U);
  EXPECT_FALSE(broadcast.next());
}

TEST(Broadcast, triesAgainWhatFailedAndThenGivesItUp) {
  Broadcast broadcast(chunks(3), {.window = 16, .at_once = 1, .max_tries = 3}, 6);
  int tries = 0;
  while (auto chunk = broadcast.next()) {
    tries += *chunk == 1 ? 1 : 0;
    broadcast.finished(*chunk, *chunk != 1);
  }
  EXPECT_EQ(tries, 3);
  EXPECT_TRUE(broadcast.over());
  EXPECT_EQ(broadcast.done(), 2U);
  EXPECT_EQ(broadcast.failed(), 1U);
}

TEST(Broadcast, ofNothingIsOver) {
  Broadcast broadcast({}, {}, 7);
  EXPECT_FALSE(broadcast.next());
  EXPECT_TRUE(broadcast.over());
}

}  // namespace
}  // namespace forebay::core
