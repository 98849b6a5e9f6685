#include "origin/retry.h"

#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

using io::HttpFailure;
constexpr TimePoint kNow{std::chrono::hours(1)};

struct Row {
  const char* name;
  Attempt attempt;
  Duration left;  // until the deadline
  Decision::What what;
  Duration at_least{}, at_most{};  // of the wait
};

const Row kRows[] = {
    {"an object that isn't there stays away", {.status = 404}, 60s, Decision::Final},
    {"a changed version stays changed", {.status = 412}, 60s, Decision::Final},
    {"bad credentials stay bad", {.status = 403}, 60s, Decision::Final},
    {"what isn't implemented stays so", {.status = 501}, 60s, Decision::Final},
    {"a 400 that the service calls transient", {.status = 400, .transient = true}, 60s, Decision::Again, 100ms, 200ms},
    {"a first 503 waits the base", {.status = 503}, 60s, Decision::Again, 100ms, 200ms},
    {"the third in a row waits four times as long", {.status = 503, .in_a_row = 3}, 60s, Decision::Again, 400ms, 800ms},
    {"429 and 408 too", {.status = 429}, 60s, Decision::Again, 100ms, 200ms},
    {"six in a row are enough", {.status = 500, .in_a_row = 6}, 60s, Decision::Exhausted},
    {"unless bytes arrived",
     {.failure = HttpFailure::Cut, .status = 206, .in_a_row = 6, .progress = true},
     60s,
     Decision::Again,
     100ms,
     200ms},
    {"no answer", {.failure = HttpFailure::Connect}, 60s, Decision::Again, 100ms, 200ms},
    {"silence", {.failure = HttpFailure::Idle}, 60s, Decision::Again, 100ms, 200ms},
    {"a failure counts, whatever the status before it",
     {.failure = HttpFailure::Cut, .status = 404},
     60s,
     Decision::Again,
     100ms,
     200ms},
    {"a host without an address is tried twice only",
     {.failure = HttpFailure::Resolve, .in_a_row = 2},
     60s,
     Decision::Exhausted},
    {"a certificate doesn't get better", {.failure = HttpFailure::Untrusted}, 60s, Decision::Final},
    {"what we refused, we would refuse again", {.failure = HttpFailure::Refused}, 60s, Decision::Final},
    {"Retry-After is waited for, with a spread", {.status = 503, .retry_after = 4s}, 60s, Decision::Again, 4500ms, 5s},
    {"a short Retry-After doesn't shorten the backoff",
     {.status = 503, .in_a_row = 5, .retry_after = 1ms},
     60s,
     Decision::Again,
     1600ms,
     3200ms},
    {"nobody waits beyond the deadline", {.status = 503, .retry_after = 4s}, 3s, Decision::TooLate, 4500ms, 5s},
    {"nor for a backoff that ends after it", {.status = 503}, 50ms, Decision::TooLate, 100ms, 200ms},
};

TEST(Retry, decidesThese) {
  for (const Row& row : kRows) {
    for (std::uint64_t seed = 1; seed < 50; ++seed) {
      RetryBudget budget({}, kNow);
      Random random(seed);
      const Decision d = decide({}, row.attempt, kNow, kNow + row.left, budget, random);
      ASSERT_EQ(d.what, row.what) << row.name;
      EXPECT_GE(d.wait, row.at_least) << row.name;
      EXPECT_LE(d.wait, row.at_most) << row.name;
    }
  }
}

TEST(Retry, backoffIsCappedHoweverLongItGoesOn) {
  RetryBudget budget({.burst = 1000}, kNow);
  Random random(1);
  for (std::uint32_t n = 1; n < 200; ++n) {
    const Attempt attempt{.status = 503, .in_a_row = n};
    EXPECT_LE(decide({.max_attempts = 1000}, attempt, kNow, kNever, budget, random).wait, 10s);
  }
}

TEST(RetryBudget, aSickOriginGetsAFewRetriesPerHundredCalls) {
  RetryBudget budget({.per_mille = 150, .per_second = 1, .burst = 20}, kNow);
  int retries = 0;
  for (int call = 0; call < 1000; ++call) {
    budget.onCall(kNow);
    while (budget.take(kNow)) ++retries;
  }
  EXPECT_EQ(retries, 20 + 149) << "the first call found the bucket full";
}

TEST(RetryBudget, timeBringsSomeBackAndNoMoreThanTheBurst) {
  RetryBudget budget({.per_mille = 150, .per_second = 1, .burst = 5}, kNow);
  while (budget.take(kNow)) {
  }
  EXPECT_FALSE(budget.take(kNow + 900ms));
  EXPECT_TRUE(budget.take(kNow + 1s));
  EXPECT_FALSE(budget.take(kNow + 1s));
  int retries = 0;
  while (budget.take(kNow + 10000s)) ++retries;
  EXPECT_EQ(retries, 5);
  EXPECT_FALSE(budget.take(kNow)) << "a clock that seems to go back earns nothing";
}

io::HttpHeaders headers(std::string name, std::string value) {
  io::HttpHeaders h;
  h.add(std::move(name), std::move(value));
  return h;
}

TEST(RetryAfter, isReadInEveryForm) {
  constexpr std::int64_t kWall = 784'111'777'000'000'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(retryAfter(headers("Retry-After", "3"), kWall), Duration(3s));
  EXPECT_EQ(retryAfter(headers("retry-after-ms", "250"), kWall), Duration(250ms));
  EXPECT_EQ(retryAfter(headers("x-ms-retry-after-ms", "250"), kWall), Duration(250ms));
  EXPECT_EQ(retryAfter(headers("Retry-After", "Sun, 06 Nov 1994 08:49:40 GMT"), kWall), Duration(3s));
  EXPECT_EQ(retryAfter(headers("Retry-After", "Sun, 06 Nov 1994 08:49:00 GMT"), kWall), Duration(0s));
  EXPECT_EQ(retryAfter(headers("Retry-After", "18446744073709551615"), kWall), Duration(3600s));
  for (const char* nonsense : {"", "-3", "soon", "3.5", "18446744073709551616"})
    EXPECT_EQ(retryAfter(headers("Retry-After", nonsense), kWall), std::nullopt) << nonsense;
  io::HttpHeaders both = headers("Retry-After", "1");
  both.add("Retry-After-Ms", "1500");
  EXPECT_EQ(retryAfter(both, kWall), Duration(1500ms)) << "the finer one wins";
}

}  // namespace
}  // namespace forebay::origin
