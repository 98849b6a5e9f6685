#include "origin/refresh_policy.h"

#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};
using std::chrono::hours;
using std::chrono::minutes;

RefreshPolicy fetchedAt(TimePoint now, Duration life, std::optional<Duration> hint = {}, std::uint64_t seed = 1) {
  RefreshPolicy policy({}, seed);
  policy.want(now);
  policy.began(now);
  policy.fetched(now, life, hint);
  return policy;
}

TEST(RefreshPolicy, fetchesNothingThatNobodyWants) {
  RefreshPolicy policy({}, 1);
  EXPECT_EQ(policy.nextFetch(), kNever);
  policy.want(kStart);
  EXPECT_TRUE(policy.due(kStart));
  policy.began(kStart);
  EXPECT_FALSE(policy.due(kStart + hours(1))) << "one at a time";
}

TEST(RefreshPolicy, renewsAheadOfTheEndWithJitter) {
  bool differs = false;
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    const RefreshPolicy policy = fetchedAt(kStart, hours(1), {}, seed);
    EXPECT_GE(policy.nextFetch(), kStart + minutes(50));
    EXPECT_LE(policy.nextFetch(), kStart + minutes(55));
    differs = differs || policy.nextFetch() != fetchedAt(kStart, hours(1), {}, seed + 1).nextFetch();
  }
  EXPECT_TRUE(differs);
}

TEST(RefreshPolicy, renewsLongLivesAtTheirHalfAndWhenTheIssuerSays) {
  EXPECT_LE(fetchedAt(kStart, hours(24)).nextFetch(), kStart + hours(12));
  EXPECT_GE(fetchedAt(kStart, hours(24)).nextFetch(), kStart + hours(12) - minutes(5));
  EXPECT_LE(fetchedAt(kStart, hours(24), hours(2)).nextFetch(), kStart + hours(2));
  EXPECT_LE(fetchedAt(kStart, hours(1), hours(9)).nextFetch(), kStart + minutes(55)) << "a hint beyond its end is none";
}

TEST(RefreshPolicy, isUsedUntilShortlyBeforeItsEndWhichCountsFromTheQuestion) {
  RefreshPolicy policy({}, 1);
  policy.want(kStart);
  policy.began(kStart);
  policy.fetched(kStart + 10s, minutes(10), {});
  EXPECT_TRUE(policy.usable(kStart + minutes(10) - 6s));
  EXPECT_FALSE(policy.usable(kStart + minutes(10) - 4s));
}

TEST(RefreshPolicy, aFailedRenewalLeavesTheOldOneInUseAndWaitsLongerEachTime) {
  RefreshPolicy policy = fetchedAt(kStart, hours(1));
  TimePoint now = policy.nextFetch();
  Duration longest{};
  for (int i = 0; i < 12; ++i) {
    policy.began(now);
    policy.failed(now, false, {});
    const Duration wait = policy.nextFetch() - now;
    EXPECT_GE(wait, 500ms);
    EXPECT_LE(wait, 60s);
    longest = std::max(longest, wait);
    if (i == 0) EXPECT_TRUE(policy.usable(now));
    now = policy.nextFetch();
  }
  EXPECT_GE(longest, 30s);
}

TEST(RefreshPolicy, waitsAtLeastAsLongAsItIsAskedToWithinBounds) {
  RefreshPolicy policy({}, 1);
  policy.began(kStart);
  policy.failed(kStart, false, 40s);
  EXPECT_GE(policy.nextFetch(), kStart + 40s);
  policy.began(kStart);
  policy.failed(kStart, false, hours(100));
  EXPECT_LE(policy.nextFetch(), kStart + minutes(7));
}

TEST(RefreshPolicy, oneThatTheStoreRefusesIsReplacedSoonButNeverInAHurry) {
  RefreshPolicy policy = fetchedAt(kStart, hours(1));
  policy.refusedByStore(kStart + 100ms);
  EXPECT_FALSE(policy.usable(kStart + 100ms));
  EXPECT_EQ(policy.nextFetch(), kStart + 1s);
  RefreshPolicy older = fetchedAt(kStart, hours(1));
  older.refusedByStore(kStart + minutes(5));
  EXPECT_TRUE(older.due(kStart + minutes(5)));
}

TEST(RefreshPolicy, livesOfAnyLengthAreRenewedAtMostOnceASecond) {
  for (const Duration life : {Duration{1}, Duration(1ms), Duration(3s), Duration(hours(24 * 4000)), Duration::max()}) {
    const RefreshPolicy policy = fetchedAt(kStart, life, life / 2);
    EXPECT_GE(policy.nextFetch(), kStart + 1s);
    EXPECT_NE(policy.nextFetch(), kNever);
  }
}

}  // namespace
}  // namespace forebay::origin
