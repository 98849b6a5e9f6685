#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/chunk_server_fixture.h"

namespace forebay::core {
namespace {

using test::kA, test::kB, test::kC, test::kD, test::kRuns, test::nameOf;
using test::Words;
using testing::ElementsAre;
using testing::IsEmpty;

class ChunkServerTest : public test::ChunkServerTest {};

// The owner.

TEST_F(ChunkServerTest, aPrimaryFillsOnceForAllWhoAsk) {
  be(kA);
  EXPECT_THAT(on(fromPeer(1, kD)), ElementsAre("origin 1 [0,4)"));
  EXPECT_THAT(on(attached(2)), IsEmpty());
  EXPECT_THAT(on(Got{1, 2}), ElementsAre("serve 1 upto 2", "serve 2 upto 2"));
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4", "serve 2 upto 4"));
  EXPECT_THAT(on(OriginDone{1, std::nullopt}), IsEmpty());
  expectIdle();
}

TEST_F(ChunkServerTest, servesWhatItHoldsWhoeverOwnsIt) {
  be(kD);
  Want e = fromPeer(1, kB);
  e.present.add(RunRange{0, 8});
  e.no_fill = true;
  EXPECT_THAT(on(e), ElementsAre("serve 1 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerTest, tellsWhoWaitsThatTheOriginIsSlow) {
  be(kA);
  on(fromPeer(1, kD, {0, 4}));
  on(fromPeer(2, kC, {2, 4}));
  EXPECT_THAT(tick(500ms), ElementsAre("serve 1 upto 0", "serve 2 upto 2")) << "nothing new, but it goes on";
  on(Got{1, 1});
  EXPECT_THAT(tick(500ms), ElementsAre("serve 1 upto 1", "serve 2 upto 2"));
  on(Left{2});
  EXPECT_THAT(tick(500ms), ElementsAre("serve 1 upto 1"));
  on(Got{1, 4});
  expectIdle();
}

TEST_F(ChunkServerTest, anOriginsErrorReachesAllWhoWait) {
  be(kA);
  on(fromPeer(1, kD));
  on(fromPeer(2, kC));
  EXPECT_THAT(on(OriginDone{1, Error{Code::Gone, "", 0}}), ElementsAre("refuse 1 Gone Gone", "refuse 2 Gone Gone"));
  on(fromPeer(3, kD));
  EXPECT_THAT(on(OriginDone{2, Error{Code::Unavailable, "", 0}}), ElementsAre("refuse 3 Failed Unavailable"));
  on(fromPeer(4, kD));
  EXPECT_THAT(on(OriginDone{3, Error{Code::Busy, "", 0}}), ElementsAre("refuse 4 Busy Busy"));
  expectIdle();
}

TEST_F(ChunkServerTest, anOriginThatSendsLessThanItSaysIsAnError) {
  be(kA);
  on(fromPeer(1, kD));
  EXPECT_THAT(on(Got{1, 3}), ElementsAre("serve 1 upto 3"));
  EXPECT_THAT(on(OriginDone{1, std::nullopt}), ElementsAre("refuse 1 Failed Corrupt"));
  expectIdle();
}

TEST_F(ChunkServerTest, whoMustNotFillSaysMiss) {
  be(kA);
  Want e = fromPeer(1, kD);
  e.no_fill = true;
  EXPECT_THAT(on(e), ElementsAre("refuse 1 Miss NotFound"));
  expectIdle();
}

TEST_F(ChunkServerTest, aRangeThatCannotBeIsRefused) {
  be(kA);
  EXPECT_THAT(on(want(1, {4, 4})), ElementsAre("refuse 1 Failed InvalidArgument"));
  EXPECT_THAT(on(want(2, {5, 4})), ElementsAre("refuse 2 Failed InvalidArgument"));
  EXPECT_THAT(on(want(3, {0, kRuns + 1})), ElementsAre("refuse 3 Failed InvalidArgument"));
  Want huge = want(4, {0, 1'000'000'000});
  huge.chunk_runs = 1'000'000'000;
  EXPECT_THAT(on(huge), ElementsAre("refuse 4 Failed InvalidArgument"));
  expectIdle();
}

TEST_F(ChunkServerTest, beyondItsBoundsItIsBusy) {
  limits_.fill.max_fetches = 1;
  be(kA);
  on(fromPeer(1, kD, {0, 1}));
  EXPECT_THAT(on(fromPeer(2, kD, {9, 10})), ElementsAre("refuse 2 Busy Busy"));
  on(Got{1, 1});
  expectIdle();
}

TEST_F(ChunkServerTest, aRequestEndsAtItsDeadlineAndItsFillGoesOn) {
  be(kA);
  Want e = fromPeer(1, kD);
  e.deadline = now_ + 300ms;
  on(e);
  on(fromPeer(2, kD));
  EXPECT_THAT(tick(300ms), ElementsAre("refuse 1 Failed DeadlineExceeded"));
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 2 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerTest, aRequestThatComesAfterItsDeadlineCostsNothing) {
  be(kA);
  Want e = fromPeer(1, kD);
  e.deadline = now_;
  EXPECT_THAT(on(e), ElementsAre("refuse 1 Failed DeadlineExceeded"));
  expectIdle();
}

TEST_F(ChunkServerTest, whoLeftHearsNothingMore) {
  be(kA);
  Want e = fromPeer(1, kD);
  e.deadline = now_ + 300ms;
  on(e);
  on(Left{1});
  EXPECT_THAT(tick(500ms), IsEmpty());
  EXPECT_THAT(on(Got{1, 4}), IsEmpty());
  expectIdle();
}

// Redirects.

TEST_F(ChunkServerTest, redirectsAPeerThatAsksTheWrongNode) {
  for (NodeId self : {kB, kC, kD}) {
    be(self);
    EXPECT_THAT(on(fromPeer(1, self == kD ? kC : kD)), ElementsAre("refuse 1 Moved Unavailable")) << nameOf(self);
    expectIdle();
  }
}

TEST_F(ChunkServerTest, believesAPeerWithANewerMapAndCatchesUp) {
  be(kB);
  Want e = fromPeer(1, kD);
  e.map_version = 2;
  EXPECT_THAT(on(e), ElementsAre("map 2 from d", "origin 1 [0,4)"));
  EXPECT_THAT(on(NewMap{newer_}), IsEmpty());
  EXPECT_EQ(server_->map().version(), 2U);
  on(NewMap{older_});
  EXPECT_EQ(server_->map().version(), 2U) << "maps only grow";
}

TEST_F(ChunkServerTest, aNewerMapsFallbackCountsAsOne) {
  be(kD);
  Want e = fallback(1);
  e.asker = kB;
  e.map_version = 2;
  EXPECT_THAT(on(e), ElementsAre("map 2 from b", "origin 1 [0,4)"));
  EXPECT_EQ(server_->fallbackFills(), 1U);
}

TEST_F(ChunkServerTest, anAttachedClientsNewerMapDoesNotMakeItsNodeTheOwner) {
  be(kD);
  Want e = attached(1);
  e.map_version = 2;
  EXPECT_THAT(on(e), ElementsAre("ask a for 1 [0,4) try 1"));
}

// Fetching for attached clients and relayed requests.

TEST_F(ChunkServerTest, fetchesFromTheOwnerForItsOwnClients) {
  be(kD);
  EXPECT_THAT(on(attached(1)), ElementsAre("ask a for 1 [0,4) try 1"));
  EXPECT_THAT(on(attached(2)), IsEmpty()) << "single flight between this node's clients";
  EXPECT_TRUE(server_->direct(1));
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4", "serve 2 upto 4"));
  EXPECT_THAT(on(PeerSaid{1, 1, Answered{}}), IsEmpty());
  expectIdle();
}

TEST_F(ChunkServerTest, aScanFetchesAhead) {
  be(kD);
  EXPECT_THAT(on(attached(1, {0, 8})), ElementsAre("ask a for 1 [0,32) try 1"));
}

TEST_F(ChunkServerTest, followsARedirectByANewerMap) {
  be(kC);
  on(attached(1));
  EXPECT_THAT(on(PeerSaid{1, 1, Moved{2}}), ElementsAre("map 2 from a"));
  EXPECT_THAT(on(NewMap{newer_}), ElementsAre("ask b for 1 [0,4) try 2"));
  EXPECT_FALSE(server_->direct(1));
  on(Got{1, 4});
  expectIdle();
}

TEST_F(ChunkServerTest, asksAgainWhenTheMapDoesNotCome) {
  be(kC);
  on(attached(1));
  on(PeerSaid{1, 1, Moved{2}});
  EXPECT_THAT(tick(100ms), ElementsAre("ask a for 1 [0,4) try 2"));
}

TEST_F(ChunkServerTest, whoBecomesThePrimaryFillsAsOne) {
  be(kB);
  on(attached(1));
  on(PeerSaid{1, 1, Moved{2}});
  EXPECT_THAT(on(NewMap{newer_}), ElementsAre("ask c for 1 [0,4) try 2 holder keep")) << "who owned it before";
  EXPECT_THAT(on(PeerSaid{1, 2, MissThere{}}), ElementsAre("origin 1 [0,4)"));
  EXPECT_EQ(server_->fallbackFills(), 0U);
}

TEST_F(ChunkServerTest, asksForARelayAfterTwoRedirects) {
  be(kD);
  on(attached(1));
  for (std::uint32_t attempt = 1; attempt <= 2; ++attempt) {
    EXPECT_THAT(on(PeerSaid{1, attempt, Moved{1}}), IsEmpty());
    passUntilTick();
  }
  EXPECT_THAT(on(PeerSaid{1, 3, Moved{1}}), ElementsAre("ask a for 1 [0,4) try 4 relay"));
  EXPECT_FALSE(server_->direct(1));
}

TEST_F(ChunkServerTest, relaysForAPeerButNeverFurther) {
  be(kD);
  Want e = fromPeer(1, kC);
  e.must_answer = e.relayed = true;
  EXPECT_THAT(on(e), ElementsAre("ask a for 1 [0,4) try 1"));
  for (std::uint32_t attempt = 1; attempt <= 4; ++attempt) {
    EXPECT_THAT(on(PeerSaid{1, attempt, Moved{1}}), IsEmpty());
    EXPECT_THAT(passUntilTick(), ElementsAre(fmt::format("ask a for 1 [0,4) try {}", attempt + 1)));
  }
}

TEST_F(ChunkServerTest, waitsWhileTheOwnerIsBusy) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(PeerSaid{1, 1, BusyThere{.retry_after = 50ms}}), IsEmpty());
  EXPECT_GE(server_->wakeAt(), now_ + 50ms);
  EXPECT_THAT(passUntilTick(), ElementsAre("ask a for 1 [0,4) try 2"));
}

TEST_F(ChunkServerTest, asksAgainForWhatIsStillMissing) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(Got{1, 3}), ElementsAre("serve 1 upto 3"));
  EXPECT_THAT(on(PeerSaid{1, 1, BadBytes{}}), ElementsAre("ask a for 1 [3,4) try 2"));
}

TEST_F(ChunkServerTest, aPeerThatSendsLessThanItSaysIsAnError) {
  be(kD);
  on(attached(1));
  on(Got{1, 3});
  EXPECT_THAT(on(PeerSaid{1, 1, Answered{}}), ElementsAre("refuse 1 Failed Unavailable"));
  expectIdle();
}

TEST_F(ChunkServerTest, handsOnAFinalRefusal) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(PeerSaid{1, 1, Refused{{Code::Gone, "", 0}}}), ElementsAre("refuse 1 Gone Gone"));
  expectIdle();
}

// Silence and fallback.

TEST_F(ChunkServerTest, aSilentOwnerIsLeftForItsAlternates) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 2", "ask c for 1 [0,4) try 3 fallback"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 3", "origin 1 [0,4) passing"));
  EXPECT_EQ(server_->fallbackFills(), 1U);
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerTest, bytesAndWordOfThemAreNoSilence) {
  be(kD);
  on(attached(1));
  now_ += 1500ms;
  on(Got{1, 1});
  now_ += 1500ms;
  EXPECT_THAT(on(Got{1, 0}), ElementsAre("serve 1 upto 1")) << "who waits here hears it too";
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [1,4) try 2 fallback"));
}

// A busy machine, a paused process: the peer's words lie in a socket that this node hasn't read.
TEST_F(ChunkServerTest, aNodeThatLookedLateReadsBeforeItTakesAPeerForSilent) {
  be(kD);
  on(attached(1));
  now_ += limits_.silence + 300ms;
  EXPECT_THAT(on(Tick{}), IsEmpty());
  EXPECT_THAT(on(Got{1, 1}), ElementsAre("serve 1 upto 1"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [1,4) try 2 fallback"));
}

TEST_F(ChunkServerTest, aNodeThatLookedLateStillFindsOutWhoIsSilent) {
  be(kD);
  on(attached(1));
  now_ += limits_.silence + 300ms;
  on(Tick{});
  EXPECT_THAT(tick(1s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
  EXPECT_FALSE(server_->peers().usable(now_, kA));
}

// On a busy connection replies wait for each other. Whoever took that for silence made the next owner fill a second
// time, from the origin, what the first was about to send.
TEST_F(ChunkServerTest, aFetchWaitsItsTurnWhileItsOwnerSendsToOthers) {
  be(kD);
  on(attached(1));
  on(attached(2, {0, 4}, {.hi = 7, .lo = 2}));
  now_ += 1500ms;
  on(Got{2, 1});
  EXPECT_THAT(tick(500ms), IsEmpty()) << "the owner is there: fetch 1 waits";
  now_ += 1s;
  on(Got{2, 2});
  EXPECT_THAT(tick(500ms), IsEmpty());
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4"));
}

TEST_F(ChunkServerTest, aTurnThatDoesNotComeIsWaitedForWithinBounds) {
  limits_.turn = 5s;
  be(kD);
  on(attached(1));
  on(attached(2, {0, 32}, {.hi = 7, .lo = 2}));
  const TimePoint start = now_;
  Words last;
  for (std::uint32_t run = 1; last.empty() && run < 32; ++run) {
    now_ += 500ms;
    on(Got{2, run});
    while (last.empty() && server_->wakeAt() <= now_) last = on(Tick{});
  }
  EXPECT_THAT(last, ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
  EXPECT_EQ(toMs(now_ - start), 5000);
  EXPECT_TRUE(server_->peers().usable(now_, kA)) << "it still sends: not lost, but too slow for this one";
}

TEST_F(ChunkServerTest, wordWithoutBytesDoesNotKeepAFetchForEver) {
  limits_.fetch_deadline = 5s;
  be(kD);
  on(attached(1));
  for (int i = 0; i < 4; ++i) {
    now_ += 1s;
    on(Got{1, 0});
  }
  EXPECT_THAT(tick(1s), ElementsAre("stop 1 try 1", "refuse 1 Failed DeadlineExceeded"));
  EXPECT_TRUE(server_->peers().usable(now_, kA)) << "slow isn't lost";
  expectIdle();
}

TEST_F(ChunkServerTest, aPeerThatSendsBytesHasItsRecordCleared) {
  be(kD);
  server_->peers().failed(now_, kA);
  now_ += 1s;
  on(attached(1));
  EXPECT_EQ(server_->peers().resting(), 1U);
  on(Got{1, 4});
  EXPECT_EQ(server_->peers().resting(), 0U);
}
TEST_F(ChunkServerTest, anAlternateFillsForWhoCouldNotReachThePrimary) {
  be(kB);
  EXPECT_THAT(on(fallback(1)), ElementsAre("origin 1 [0,4)"));
  EXPECT_EQ(server_->fallbackFills(), 1U);
  on(Got{1, 4});
  expectIdle();
}

TEST_F(ChunkServerTest, aPrimarysFillIsNoFallbackWhateverItsAskerSays) {
  be(kA);
  EXPECT_THAT(on(fallback(1)), ElementsAre("origin 1 [0,4)"));
  EXPECT_EQ(server_->fallbackFills(), 0U);
}

TEST_F(ChunkServerTest, whoIsNoOwnerFillsForNobodyElse) {
  be(kD);
  Want e = fallback(1);
  e.asker = kC;
  EXPECT_THAT(on(e), ElementsAre("refuse 1 Moved Unavailable"));
}

TEST_F(ChunkServerTest, fallbackFillsKeepToTheirBudgetAndWaitInLine) {
  limits_.max_fallback_fills = 2;
  be(kB);
  const auto chunk = [](std::uint64_t n) { return ChunkId{.hi = n, .lo = 0}; };
  EXPECT_THAT(on(fallback(1, chunk(1))), ElementsAre("origin 1 [0,4)"));
  EXPECT_THAT(on(fallback(2, chunk(2))), ElementsAre("origin 2 [0,4)"));
  EXPECT_THAT(on(fallback(3, chunk(3))), IsEmpty());
  EXPECT_THAT(on(fallback(4, chunk(4))), IsEmpty());
  EXPECT_THAT(on(fallback(5, chunk(5))), IsEmpty());
  EXPECT_EQ(server_->fallbackFills(), 2U);
  EXPECT_THAT(tick(500ms), testing::Contains("serve 3 upto 0")) << "who waits in line hears that it does";
  on(Left{4});
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("origin 3 [0,4)", "serve 1 upto 4"));
  EXPECT_THAT(on(OriginDone{2, Error{Code::Unavailable, "", 0}}),
              ElementsAre("origin 5 [0,4)", "refuse 2 Failed Unavailable"))
      << "nobody waits for the fourth any more";
  EXPECT_EQ(server_->fallbackFills(), 2U);
  on(Got{3, 4});
  on(Got{5, 4});
  expectIdle();
}

TEST_F(ChunkServerTest, thePrimarysFillsDoNotWaitForTheFallbackBudget) {
  limits_.max_fallback_fills = 0;
  be(kA);
  EXPECT_THAT(on(fromPeer(1, kD)), ElementsAre("origin 1 [0,4)"));
}

// What is late or not wanted any more.

TEST_F(ChunkServerTest, whatNobodyWaitsForIsNotAskedForAgain) {
  be(kD);
  on(attached(1));
  on(Left{1});
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1"));
  expectIdle();
}

TEST_F(ChunkServerTest, answersOfOlderAttemptsAreIgnored) {
  be(kD);
  on(attached(1));
  tick(2s);
  for (const WalkEvent& late : std::initializer_list<WalkEvent>{Moved{2}, BusyThere{}, Lost{}, BadBytes{}, Answered{},
                                                                Refused{{Code::Gone, "", 0}}})
    EXPECT_THAT(on(PeerSaid{1, 1, late}), IsEmpty());
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4")) << "late bytes are bytes";
  expectIdle();
}

TEST_F(ChunkServerTest, newsOfWhatIsNotKnownIsIgnored) {
  be(kA);
  EXPECT_THAT(on(Got{9, 4}), IsEmpty());
  EXPECT_THAT(on(OriginDone{9, std::nullopt}), IsEmpty());
  EXPECT_THAT(on(PeerSaid{9, 1, Answered{}}), IsEmpty());
  EXPECT_THAT(on(Left{9}), IsEmpty());
  EXPECT_THAT(on(Tick{}), IsEmpty());
  EXPECT_FALSE(server_->direct(9));
  expectIdle();
}

TEST_F(ChunkServerTest, anOriginsWordAboutAFetchFromAPeerIsIgnored) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(OriginDone{1, std::nullopt}), IsEmpty());
  EXPECT_THAT(on(PeerSaid{1, 1, Moved{1}}), IsEmpty());
  EXPECT_EQ(server_->waiters(), 1U);
}

TEST_F(ChunkServerTest, aNewMapLeavesAloneWhoIsBeingAnswered) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(NewMap{newer_}), IsEmpty());
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4"));
}
TEST_F(ChunkServerTest, manyTimersAtOnceAllFire) {
  be(kA);
  for (WaiterId waiter = 1; waiter <= 100; ++waiter) {
    Want e = want(waiter, {static_cast<std::uint32_t>(waiter % kRuns), static_cast<std::uint32_t>(waiter % kRuns) + 1});
    e.deadline = now_ + 100ms;
    on(e);
  }
  EXPECT_EQ(tick(100ms).size(), 100U);
  EXPECT_EQ(server_->waiters(), 0U);
}

}  // namespace
}  // namespace forebay::core
