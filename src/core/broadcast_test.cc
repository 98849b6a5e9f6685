#include "core/broadcast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace forebay::core {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

bool all(std::uint32_t) {
  return true;
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
  Broadcast one(100, all, {}, 1), other(100, all, {}, 2);
  const auto order = orderOf(one), other_order = orderOf(other);
  EXPECT_EQ(std::set(order.begin(), order.end()).size(), 100U);
  EXPECT_NE(order, other_order);
  EXPECT_TRUE(one.over());
  EXPECT_EQ(one.done(), 100U);
  EXPECT_EQ(one.failed(), 0U);
}

TEST(Broadcast, staysInsideItsWindow) {
  Broadcast broadcast(200, all, {.window = 16, .at_once = 4}, 3);
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
  Broadcast broadcast(100, all, {.window = 4, .at_once = 4}, 5);
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
  Broadcast broadcast(3, all, {.window = 16, .at_once = 1, .max_tries = 3}, 6);
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

TEST(Broadcast, bringsOnlyThisReceiversChunks) {
  Broadcast broadcast(20, [](std::uint32_t chunk) { return chunk % 5 == 2; }, {.window = 2}, 7);
  EXPECT_THAT(orderOf(broadcast), UnorderedElementsAre(2, 7, 12, 17));
  EXPECT_TRUE(broadcast.over());
}

TEST(Broadcast, looksForThemABoundedTimePerCall) {
  Broadcast broadcast(10, [](std::uint32_t chunk) { return chunk == 9; }, {.most_looked_at = 4}, 8);
  EXPECT_FALSE(broadcast.next());
  EXPECT_FALSE(broadcast.over());
  EXPECT_FALSE(broadcast.next());
  EXPECT_EQ(broadcast.next(), 9U);
}

TEST(Broadcast, thatIsGivenUpCountsWhatItDidNotBegin) {
  Broadcast broadcast(100, all, {.window = 8, .at_once = 2}, 9);
  const auto first = *broadcast.next();
  broadcast.giveUp();
  EXPECT_FALSE(broadcast.next());
  EXPECT_FALSE(broadcast.over());
  broadcast.finished(first, true);
  EXPECT_TRUE(broadcast.over());
  EXPECT_EQ(broadcast.failed(), 7U);
}

TEST(Broadcast, ofNothingIsOver) {
  Broadcast broadcast(0, all, {}, 7);
  EXPECT_FALSE(broadcast.next());
  EXPECT_TRUE(broadcast.over());
}

}  // namespace
}  // namespace forebay::core
