#include "core/chunk_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/test_cell.h"

namespace forebay::core {
namespace {

using test::cell, test::kA, test::kB, test::kC, test::kD, test::nameOf;
using testing::ElementsAre;
using testing::IsEmpty;
using Words = std::vector<std::string>;

constexpr ChunkId kChunk{.hi = 7, .lo = 1};
constexpr std::uint32_t kRuns = 32;

// What must be done, in words: "serve 1 upto 4", "refuse 1 Moved Unavailable", "origin 1 [0,4)", "origin 1 [0,4)
// passing" (not this node's to keep), "ask a for 1 [0,4) try 1 relay", "stop 1 try 1", "map 2 from a".
std::string show(const ServerAction& action) {
  static constexpr const char* kWhy[] = {"Miss", "Moved", "Ask", "Busy", "Gone", "Failed"};
  return std::visit(Overloaded{
                        [](const Serve& a) { return fmt::format("serve {} upto {}", a.waiter, a.upto); },
                        [](const Refuse& a) {
                          std::string peers;
                          for (NodeId peer : a.peers) peers += nameOf(peer);
                          return fmt::format("refuse {} {} {}", a.waiter, kWhy[static_cast<int>(a.why)],
                                             a.peers.empty() ? codeName(a.error.code) : peers);
                        },
                        [](const FetchFromOrigin& a) {
                          return fmt::format("origin {} [{},{}){}", a.fetch, a.runs.first, a.runs.end,
                                             a.keep ? "" : " passing");
                        },
                        [](const FetchFromPeer& a) {
                          return fmt::format("ask {} for {} [{},{}) try {}{}{}{}{}{}{}", nameOf(a.node), a.fetch,
                                             a.runs.first, a.runs.end, a.attempt, a.relay ? " relay" : "",
                                             a.fallback ? " fallback" : "", a.no_fill ? " holder" : "",
                                             a.insist ? " insist" : "", a.keep ? " keep" : "", a.hedge ? " hedge" : "");
                        },
                        [](const CopyTo& a) { return fmt::format("copy to {}", nameOf(a.node)); },
                        [](const StopPeer& a) { return fmt::format("stop {} try {}", a.fetch, a.attempt); },
                        [](const WantMap& a) { return fmt::format("map {} from {}", a.version, nameOf(a.node)); },
                    },
                    action);
}

// A node of the cell a, b, c, d, and a slot that a, b and c own; under `newer_` b, c and d own it.
class ChunkServerTest : public testing::Test {
 protected:
  void be(NodeId self) { server_.emplace(self, older_, limits_, 5); }
  Words on(const ServerEvent& event) {
    Words words;
    for (const auto& action : server_->step(now_, event)) words.push_back(show(action));
    return words;
  }
  // Time passes up to the next timer, which must be due after `in`.
  Words tick(Duration in) {
    EXPECT_EQ(toMs(server_->wakeAt() - now_), toMs(in));
    now_ = server_->wakeAt();
    return on(Tick{});
  }
  Words passUntilTick() {
    now_ = server_->wakeAt();
    return on(Tick{});
  }
  Want want(WaiterId waiter, RunRange runs = {0, 4}, ChunkId chunk = kChunk) const {
    return {.waiter = waiter, .chunk = chunk, .slot = slot_, .chunk_runs = kRuns, .runs = runs, .map_version = 1};
  }
  Want fromPeer(WaiterId waiter, NodeId asker, RunRange runs = {0, 4}) const {
    Want e = want(waiter, runs);
    e.asker = asker;
    return e;
  }
  Want fallback(WaiterId waiter, ChunkId chunk = kChunk) const {
    Want e = want(waiter, {0, 4}, chunk);
    e.asker = kD;
    e.fallback = true;
    return e;
  }
  Want attached(WaiterId waiter, RunRange runs = {0, 4}, ChunkId chunk = kChunk) const {
    Want e = want(waiter, runs, chunk);
    e.must_answer = true;
    return e;
  }
  // Of a mount that has so many copies of each chunk.
  static Want copied(Want e, std::uint32_t copies) {
    e.copies = copies;
    return e;
  }
  void expectIdle() {
    EXPECT_EQ(server_->waiters(), 0U);
    EXPECT_EQ(server_->fetches(), 0U);
    EXPECT_EQ(server_->fallbackFills(), 0U);
    EXPECT_EQ(server_->wakeAt(), kNever);
  }

  std::shared_ptr<const SlotMap> older_ = cell(1, "abcd"), newer_ = cell(2, "bcd");
  Slot slot_ = test::slotOwned({{older_, "abc"}, {newer_, "bcd"}});
  ServerLimits limits_;
  TimePoint now_ = TimePoint{} + 1s;
  std::optional<ChunkServer> server_;
};

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

// Hedging.

TEST_F(ChunkServerTest, anOwnerThatIsSlowIsLeftForOneThatShouldHaveACopy) {
  be(kD);
  EXPECT_THAT(on(copied(attached(1), 2)), ElementsAre("ask a for 1 [0,4) try 1"));
  EXPECT_THAT(tick(200ms), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 holder hedge"));
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerTest, whoeverHasNoCopyCostsOneQuestionAndTheOwnerIsAskedAgain) {
  be(kD);
  on(copied(attached(1), 2));
  passUntilTick();
  EXPECT_THAT(on(PeerSaid{1, 2, MissThere{}}), ElementsAre("ask a for 1 [0,4) try 3 insist"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 3", "ask b for 1 [0,4) try 4 fallback insist")) << "once in a fetch";
}

TEST_F(ChunkServerTest, anOwnerThatSaysSomethingIsNotLeft) {
  be(kD);
  on(copied(attached(1), 2));
  now_ += 100ms;
  EXPECT_THAT(on(Got{1, 0}), ElementsAre("serve 1 upto 0"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
}

TEST_F(ChunkServerTest, withoutCopiesNobodyElseShouldHaveIt) {
  be(kD);
  on(copied(attached(1), 1));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
}

TEST_F(ChunkServerTest, hedgesKeepToTheirBudget) {
  be(kD);
  int hedges = 0;
  for (WaiterId waiter = 1; waiter <= 50; ++waiter) on(copied(attached(waiter, {0, 4}, {.hi = 7, .lo = waiter}), 3));
  for (int i = 0; i < 50; ++i)
    for (const std::string& word : passUntilTick()) hedges += word.ends_with("hedge") ? 1 : 0;
  EXPECT_EQ(hedges, 2) << "one from the start, one for fifty questions";
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

// Copies, and chunks that are hot.

TEST_F(ChunkServerTest, namesWhoHasAHotChunk) {
  limits_.spread.hot_fulls = 2;
  be(kA);
  const auto whole = [&](WaiterId waiter, NodeId asker) {
    Want e = fromPeer(waiter, asker, {0, kRuns});
    e.present.add(RunRange{0, kRuns});
    e.may_ask = true;
    return e;
  };
  EXPECT_THAT(on(whole(1, kB)), ElementsAre("serve 1 upto 32"));
  EXPECT_THAT(on(whole(2, kC)), ElementsAre("serve 2 upto 32"));
  EXPECT_THAT(on(whole(3, kB)), ElementsAre("refuse 3 Ask c")) << "not itself";
  const auto said = on(whole(4, kD));
  EXPECT_TRUE(said == Words{"refuse 4 Ask bc"} || said == Words{"refuse 4 Ask cb"}) << said.front();
  Want insists = whole(5, kD);
  insists.insist = true;
  EXPECT_THAT(on(insists), ElementsAre("serve 5 upto 32"));
  EXPECT_THAT(on(whole(6, kB)), ElementsAre("refuse 6 Ask d")) << "b and c hadn't it";
  Want attached_reader = attached(7, {0, kRuns});
  attached_reader.present.add(RunRange{0, kRuns});
  EXPECT_THAT(on(attached_reader), ElementsAre("serve 7 upto 32"));
  now_ += 11s;
  EXPECT_THAT(on(whole(8, kC)), ElementsAre("serve 8 upto 32")) << "it has cooled down";
  expectIdle();
}

TEST_F(ChunkServerTest, whoIsAskedInAnOwnersSteadServesWhatIsOnItsWayFromAnOwner) {
  be(kD);
  on(attached(1));
  Want e = fromPeer(2, kB);
  e.no_fill = true;
  EXPECT_THAT(on(e), IsEmpty()) << "it waits";
  e.waiter = 3;
  e.runs = {0, 5};
  EXPECT_THAT(on(e), ElementsAre("refuse 3 Miss NotFound")) << "run 4 doesn't come";
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4", "serve 2 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerTest, butNotWhatComesFromOneWhoWasNamedItself) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(PeerSaid{1, 1, AskThere{{kC}}}), ElementsAre("ask c for 1 [0,4) try 2 holder"));
  Want e = fromPeer(2, kB);
  e.no_fill = true;
  EXPECT_THAT(on(e), ElementsAre("refuse 2 Miss NotFound")) << "they could wait for each other";
  EXPECT_THAT(on(PeerSaid{1, 2, MissThere{}}), ElementsAre("ask a for 1 [0,4) try 3 insist"));
}

TEST_F(ChunkServerTest, aPrimaryHasItsAlternatesCopyWhatItFilled) {
  limits_.max_copying = 1;
  be(kA);
  EXPECT_THAT(on(Complete{kChunk, slot_, 3}), ElementsAre("copy to b"));
  EXPECT_EQ(server_->copiesDue(), 2U);
  EXPECT_THAT(on(Complete{kChunk, slot_, 3}), IsEmpty()) << "they are being made";
  EXPECT_THAT(on(Copied{kChunk, kB, true}), ElementsAre("copy to c"));
  EXPECT_THAT(on(Copied{kChunk, kC, false}), IsEmpty());
  EXPECT_EQ(server_->copiesDue(), 0U);
  EXPECT_THAT(server_->holders(now_, kChunk), ElementsAre(kB));
  EXPECT_THAT(on(Complete{kChunk, slot_, 1}), IsEmpty()) << "one copy is this node's";
}

TEST_F(ChunkServerTest, onlyThePrimaryThinksOfCopies) {
  be(kB);
  EXPECT_THAT(on(Complete{kChunk, slot_, 3}), IsEmpty());
}

TEST_F(ChunkServerTest, aHotChunkThatOnlyClientsReadIsCopiedToAnAlternate) {
  limits_.spread.hot_fulls = 2;
  be(kA);
  Want e = want(1, {0, kRuns});
  e.present.add(RunRange{0, kRuns});
  e.may_ask = true;
  EXPECT_THAT(on(e), ElementsAre("serve 1 upto 32"));
  e.waiter = 2;
  EXPECT_THAT(on(e), ElementsAre("serve 2 upto 32"));
  e.waiter = 3;
  EXPECT_THAT(on(e), ElementsAre("copy to b", "copy to c", "serve 3 upto 32"));
  on(Copied{kChunk, kC, true});
  e.waiter = 4;
  EXPECT_THAT(on(e), ElementsAre("refuse 4 Ask c"));
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
