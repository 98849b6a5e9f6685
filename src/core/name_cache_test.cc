#include "core/name_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

namespace forebay::core {
namespace {

using Cache = NameCache<std::string, std::string>;
constexpr Duration kTtl = 30s;

TimePoint at(Duration d) {
  return TimePoint{} + d;
}
// What came of a call, in words: "1=plan(30s) refused 2 fetch a".
std::string show(const Cache::Outcome& o) {
  std::string text;
  for (const auto& f : o.found) text += fmt::format("{}={}({}ms) ", f.waiter, *f.answer, toMs(f.ttl));
  for (auto waiter : o.refused) text += fmt::format("refused {} ", waiter);
  if (o.fetch) text += fmt::format("fetch {} ", *o.fetch);
  if (!text.empty()) text.pop_back();
  return text;
}

TEST(NameCache, fetchesANameOnceForAllWhoAsk) {
  Cache cache({});
  EXPECT_EQ(show(cache.wanted(at(0s), 1, "a", false)), "fetch a");
  EXPECT_EQ(show(cache.wanted(at(0s), 2, "a", false)), "");
  EXPECT_EQ(show(cache.wanted(at(0s), 3, "b", false)), "fetch b");
  EXPECT_EQ(show(cache.answered(at(1s), "a", "plan", kTtl, 100)), "1=plan(30000ms) 2=plan(30000ms)");
  EXPECT_EQ(cache.waiters(), 1U);
}

TEST(NameCache, answersAtOnceWhileTheAnswerIsFresh) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", false);
  cache.answered(at(0s), "a", "plan", kTtl, 100);
  EXPECT_EQ(show(cache.wanted(at(29s), 2, "a", false)), "2=plan(1000ms)") << "for the rest of its time";
  EXPECT_EQ(show(cache.wanted(at(30s), 3, "a", false)), "fetch a") << "its time is over";
}

TEST(NameCache, peekingAsksForNothing) {
  Cache cache({});
  EXPECT_FALSE(cache.peek(at(0s), "a"));
  EXPECT_EQ(cache.waiters(), 0U);
  cache.put(at(0s), "a", "plan", kTtl, 100);
  EXPECT_EQ(*cache.peek(at(29s), "a")->first, "plan");
  EXPECT_EQ(cache.peek(at(29s), "a")->second, 1s);
  EXPECT_FALSE(cache.peek(at(30s), "a"));
}

TEST(NameCache, saysWhatIsComingForWhoAsksNow) {
  Cache cache({});
  EXPECT_FALSE(cache.coming("a"));
  cache.wanted(at(0s), 1, "a", false);
  EXPECT_TRUE(cache.coming("a"));
  cache.distrustFrom("a", [](const std::string& key) { return key == "a"; });
  EXPECT_FALSE(cache.coming("a")) << "it was forgotten while under way";
  cache.answered(at(0s), "a", "plan", kTtl, 100);
  EXPECT_FALSE(cache.coming("a"));
}

TEST(NameCache, anAnswersTimeEndsAtTheSameMomentWheneverItIsGiven) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", false);
  EXPECT_EQ(cache.answered(at(1s), "a", "plan", kTtl, 100).found.at(0).until, at(31s));
  EXPECT_EQ(cache.wanted(at(20s), 2, "a", false).found.at(0).until, at(31s));
}

TEST(NameCache, forgetsARunOfKeysAndNoOther) {
  Cache cache({});
  for (const char* key : {"a", "b/1", "b/2", "c"}) cache.put(at(0s), key, "plan", kTtl, 100);
  EXPECT_EQ(cache.forgetFrom("b/", [](const std::string& key) { return key.starts_with("b/"); }), 2U);
  EXPECT_EQ(cache.bytes(), 200U);
  EXPECT_EQ(show(cache.wanted(at(1s), 1, "b/1", false)), "fetch b/1");
  EXPECT_EQ(show(cache.wanted(at(1s), 2, "c", false)), "2=plan(29000ms)");
}

TEST(NameCache, whatIsOnItsWayWhileItIsForgottenIsKeptForNobody) {
  Cache cache({});
  const auto same = [](const std::string& key) { return key == "a"; };
  cache.wanted(at(0s), 1, "a", false);
  EXPECT_EQ(cache.forgetFrom("a", same), 0U);
  EXPECT_EQ(show(cache.wanted(at(1s), 2, "a", false)), "") << "the fetch may have begun before: it waits for another";
  EXPECT_EQ(show(cache.answered(at(2s), "a", "old", kTtl, 100)), "1=old(0ms) fetch a");
  EXPECT_EQ(show(cache.wanted(at(3s), 3, "a", false)), "");
  EXPECT_EQ(show(cache.answered(at(4s), "a", "new", kTtl, 100)), "2=new(30000ms) 3=new(30000ms)");
  EXPECT_EQ(show(cache.wanted(at(5s), 4, "a", false)), "4=new(29000ms)");
}

TEST(NameCache, anAnswerWithoutTimeIsForThoseWhoWaitOnly) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", false);
  cache.wanted(at(0s), 2, "a", false);
  EXPECT_EQ(show(cache.answered(at(0s), "a", "plan", Duration{0}, 100)), "1=plan(0ms) 2=plan(0ms)");
  EXPECT_EQ(show(cache.wanted(at(0s), 3, "a", false)), "fetch a");
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(NameCache, aFailureReachesAllWhoWaitAndIsNotKept) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", false);
  cache.wanted(at(0s), 2, "a", false);
  EXPECT_EQ(show(cache.failed("a")), "refused 1 refused 2");
  EXPECT_EQ(show(cache.wanted(at(0s), 3, "a", false)), "fetch a");
}

TEST(NameCache, revalidatingDoesNotTakeAKeptAnswer) {
  Cache cache({});
  cache.put(at(0s), "a", "old", kTtl, 100);
  EXPECT_EQ(show(cache.wanted(at(1s), 1, "a", true)), "fetch a");
  EXPECT_EQ(show(cache.wanted(at(1s), 2, "a", false)), "2=old(29000ms)") << "others still may";
  EXPECT_EQ(show(cache.answered(at(2s), "a", "new", kTtl, 100)), "1=new(30000ms)");
  EXPECT_EQ(show(cache.wanted(at(2s), 3, "a", false)), "3=new(30000ms)");
}

TEST(NameCache, revalidatingWaitsForAFetchThatStartsLater) {
  Cache cache({});
  EXPECT_EQ(show(cache.wanted(at(0s), 1, "a", false)), "fetch a");
  EXPECT_EQ(show(cache.wanted(at(1s), 2, "a", true)), "") << "the fetch under way may have read the name before";
  EXPECT_EQ(show(cache.wanted(at(1s), 3, "a", true)), "");
  EXPECT_EQ(show(cache.answered(at(2s), "a", "old", kTtl, 100)), "1=old(30000ms) fetch a");
  EXPECT_EQ(show(cache.wanted(at(2s), 4, "a", true)), "") << "that one has started too";
  EXPECT_EQ(show(cache.answered(at(3s), "a", "new", kTtl, 100)), "2=new(30000ms) 3=new(30000ms) fetch a");
  EXPECT_EQ(show(cache.failed("a")), "refused 4");
  EXPECT_EQ(cache.waiters(), 0U);
}

TEST(NameCache, aFailureStartsTheFetchThatOthersWaitFor) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", false);
  cache.wanted(at(0s), 2, "a", true);
  EXPECT_EQ(show(cache.failed("a")), "refused 1 fetch a");
  EXPECT_EQ(show(cache.answered(at(1s), "a", "new", kTtl, 100)), "2=new(30000ms)");
}

TEST(NameCache, whatCameWithAnotherAnswerCounts) {
  Cache cache({});
  cache.put(at(0s), "a", "listed", kTtl, 100);
  EXPECT_EQ(show(cache.wanted(at(1s), 1, "a", false)), "1=listed(29000ms)");
}

TEST(NameCache, puttingNeverShortensWhatIsKnown) {
  Cache cache({});
  cache.put(at(0s), "a", "first", kTtl, 100);
  cache.put(at(1s), "a", "shorter", Duration(5s), 100);
  cache.put(at(1s), "a", "no time", Duration{0}, 100);
  EXPECT_EQ(show(cache.wanted(at(2s), 1, "a", false)), "1=first(28000ms)");
  cache.put(at(2s), "a", "younger", kTtl, 100);
  EXPECT_EQ(show(cache.wanted(at(2s), 2, "a", false)), "2=younger(30000ms)");
  EXPECT_EQ(cache.bytes(), 100U);
}

TEST(NameCache, puttingLeavesAFetchUnderWayAsItIs) {
  Cache cache({});
  cache.wanted(at(0s), 1, "a", true);
  cache.put(at(0s), "a", "listed", kTtl, 100);
  EXPECT_EQ(cache.waiters(), 1U);
  EXPECT_EQ(show(cache.answered(at(1s), "a", "asked", kTtl, 100)), "1=asked(30000ms)");
}

TEST(NameCache, anAnswerForEverIsForEver) {
  Cache cache({});
  cache.put(at(100s), "a", "frozen", Duration::max(), 100);
  EXPECT_FALSE(cache.wanted(at(std::chrono::hours(24 * 365 * 100)), 1, "a", false).found.empty());
}

TEST(NameCache, forgets) {
  Cache cache({});
  cache.put(at(0s), "a", "plan", kTtl, 100);
  cache.forget("a");
  cache.forget("never known");
  EXPECT_EQ(show(cache.wanted(at(0s), 1, "a", false)), "fetch a");
}

TEST(NameCache, theLeastRecentlyUsedLeaveWhenBytesAreMany) {
  Cache cache({.max_bytes = 300});
  for (const char* name : {"a", "b", "c"}) cache.put(at(0s), name, name, kTtl, 100);
  cache.wanted(at(1s), 1, "a", false);
  cache.put(at(1s), "d", "d", kTtl, 100);
  EXPECT_EQ(cache.bytes(), 300U);
  EXPECT_EQ(cache.size(), 3U);
  EXPECT_EQ(show(cache.wanted(at(1s), 2, "a", false)), "2=a(29000ms)");
  EXPECT_EQ(show(cache.wanted(at(1s), 3, "b", false)), "fetch b") << "b was used longest ago";
}

TEST(NameCache, whatIsLargerThanAllItsRoomIsNotKept) {
  Cache cache({.max_bytes = 300});
  cache.put(at(0s), "a", "small", kTtl, 100);
  cache.wanted(at(0s), 1, "b", false);
  EXPECT_EQ(show(cache.answered(at(0s), "b", "huge", kTtl, 301)), "1=huge(30000ms)");
  EXPECT_EQ(cache.bytes(), 100U);
}

TEST(NameCache, beyondItsWaitersOneIsTold) {
  Cache cache({.max_bytes = 300, .max_waiters = 2});
  cache.wanted(at(0s), 1, "a", false);
  cache.wanted(at(0s), 2, "a", true);
  EXPECT_EQ(show(cache.wanted(at(0s), 3, "b", false)), "refused 3");
  EXPECT_EQ(show(cache.answered(at(0s), "a", "plan", kTtl, 100)), "1=plan(30000ms) fetch a");
  EXPECT_EQ(show(cache.wanted(at(0s), 4, "b", false)), "fetch b");
}

TEST(NameCache, lateAnswersAreKeptAndLateFailuresIgnored) {
  Cache cache({});
  EXPECT_EQ(show(cache.failed("a")), "");
  EXPECT_EQ(show(cache.answered(at(0s), "a", "plan", kTtl, 100)), "");
  EXPECT_EQ(show(cache.wanted(at(0s), 1, "a", false)), "1=plan(30000ms)");
}

}  // namespace
}  // namespace forebay::core
