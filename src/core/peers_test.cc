#include "core/peers.h"

#include <gtest/gtest.h>
#include <set>

#include "core/backoff.h"

namespace forebay::core {
namespace {

constexpr NodeId kDead = 1, kWell = 2;
TimePoint at(Duration d) {
  return TimePoint{} + d;
}

TEST(Peers, aNodeThatFailedRestsForAWhile) {
  Peers peers(7);
  EXPECT_TRUE(peers.usable(at(0s), kDead));
  peers.failed(at(0s), kDead);
  EXPECT_FALSE(peers.usable(at(499ms), kDead));
  EXPECT_TRUE(peers.usable(at(499ms), kWell));
  EXPECT_TRUE(peers.usable(at(625ms), kDead)) << "half a second and a quarter of jitter at most";
}

TEST(Peers, theRestDoublesUpToHalfAMinute) {
  Peers peers(7);
  TimePoint now = at(0s);
  for (const Duration rest : {Duration(500ms), Duration(1s), Duration(2s), Duration(4s), Duration(8s), Duration(16s),
                              Duration(30s), Duration(30s)}) {
    peers.failed(now, kDead);
    EXPECT_FALSE(peers.usable(now + rest - 1ms, kDead)) << toMs(rest);
    now += rest + rest / 4;
    EXPECT_TRUE(peers.usable(now, kDead)) << toMs(rest);
  }
}

TEST(Peers, requestsThatFailTogetherAreOneFailure) {
  Peers peers(7);
  for (int i = 0; i < 1000; ++i) peers.failed(at(i * 100us), kDead);
  EXPECT_TRUE(peers.usable(at(700ms), kDead));
}

TEST(Peers, oneProbeGoesFirstAfterTheRest) {
  Peers peers(7);
  peers.failed(at(0s), kDead);
  ASSERT_TRUE(peers.usable(at(1s), kDead));
  peers.asked(at(1s), kDead);
  EXPECT_FALSE(peers.usable(at(1s), kDead)) << "the others wait for what the probe finds";
  peers.failed(at(2s), kDead);
  EXPECT_FALSE(peers.usable(at(2999ms), kDead)) << "the second rest takes a second, from the probe's end";
  EXPECT_TRUE(peers.usable(at(3250ms), kDead));
}

TEST(Peers, aProbeThatIsNeverHeardOfAgainIsFollowedByAnother) {
  Peers peers(7);
  peers.failed(at(0s), kDead);
  peers.asked(at(1s), kDead);
  EXPECT_FALSE(peers.usable(at(2999ms), kDead));
  EXPECT_TRUE(peers.usable(at(3s), kDead));
}

TEST(Peers, askingAHealthyOrARestingNodeChangesNothing) {
  Peers peers(7);
  peers.asked(at(0s), kWell);
  EXPECT_TRUE(peers.usable(at(0s), kWell));
  peers.failed(at(0s), kDead);
  peers.asked(at(100ms), kDead);  // by one that had no other choice
  EXPECT_TRUE(peers.usable(at(625ms), kDead));
}

TEST(Peers, anyReplyClearsTheRecord) {
  Peers peers(7);
  for (Duration when : {Duration(0s), Duration(1s), Duration(3s)}) peers.failed(at(when), kDead);
  peers.answered(kDead);
  EXPECT_TRUE(peers.usable(at(3s), kDead));
  EXPECT_EQ(peers.resting(), 0U);
  peers.failed(at(4s), kDead);
  EXPECT_TRUE(peers.usable(at(4625ms), kDead)) << "the next rest is a first one";
}

TEST(Backoff, doublesUpToItsBoundWithJitterOverTheUpperHalf) {
  const Backoff backoff{.first = 10ms, .most = 1s};
  Random random(3);
  const auto expect = [&](std::uint32_t attempt, Duration full) {
    Duration least = kNever - TimePoint{}, most{0};
    for (int i = 0; i < 1000; ++i) {
      const Duration wait = backoff.wait(attempt, random);
      least = std::min(least, wait);
      most = std::max(most, wait);
    }
    EXPECT_GE(least, full / 2);
    EXPECT_LE(least, full / 2 + full / 20) << "the jitter uses its room";
    EXPECT_LE(most, full);
    EXPECT_GE(most, full - full / 20);
  };
  expect(0, 10ms);
  expect(1, 20ms);
  expect(3, 80ms);
  expect(7, 1s);
  expect(4'000'000'000U, 1s);
}

TEST(Backoff, whoIsToldALongerTimeWaitsThatAndItsJitter) {
  const Backoff backoff{.first = 10ms, .most = 1s};
  Random random(3);
  std::set<Duration> waits;
  for (int i = 0; i < 100; ++i) {
    const Duration wait = backoff.wait(2, random, 50ms);
    EXPECT_GE(wait, 50ms);
    EXPECT_LE(wait, 70ms);
    waits.insert(wait);
  }
  EXPECT_GT(waits.size(), 90U) << "a herd that was told the same time must not come back together";
}

}  // namespace
}  // namespace forebay::core
