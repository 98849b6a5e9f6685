#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/chunk_server_fixture.h"

namespace forebay::core {
namespace {

using test::kA, test::kB, test::kC, test::kD, test::kChunk, test::kRuns;
using test::Words;
using testing::ElementsAre;
using testing::IsEmpty;

class ChunkServerCopiesTest : public test::ChunkServerTest {};

// Copies, and chunks that are hot.

TEST_F(ChunkServerCopiesTest, namesWhoHasAHotChunk) {
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

TEST_F(ChunkServerCopiesTest, whoIsAskedInAnOwnersSteadServesWhatIsOnItsWayFromAnOwner) {
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

TEST_F(ChunkServerCopiesTest, butNotWhatComesFromOneWhoWasNamedItself) {
  be(kD);
  on(attached(1));
  EXPECT_THAT(on(PeerSaid{1, 1, AskThere{{kC}}}), ElementsAre("ask c for 1 [0,4) try 2 holder"));
  Want e = fromPeer(2, kB);
  e.no_fill = true;
  EXPECT_THAT(on(e), ElementsAre("refuse 2 Miss NotFound")) << "they could wait for each other";
  EXPECT_THAT(on(PeerSaid{1, 2, MissThere{}}), ElementsAre("ask a for 1 [0,4) try 3 insist"));
}

TEST_F(ChunkServerCopiesTest, aPrimaryHasItsAlternatesCopyWhatItFilled) {
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

TEST_F(ChunkServerCopiesTest, onlyThePrimaryThinksOfCopies) {
  be(kB);
  EXPECT_THAT(on(Complete{kChunk, slot_, 3}), IsEmpty());
}

TEST_F(ChunkServerCopiesTest, aHotChunkThatOnlyClientsReadIsCopiedToAnAlternate) {
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
TEST_F(ChunkServerCopiesTest, whatComesFromTheAskerItselfIsNoAnswerToIt) {
  be(kB);
  on(attached(1));
  Want e = fromPeer(2, kA);
  e.no_fill = true;
  EXPECT_THAT(on(e), ElementsAre("refuse 2 Miss NotFound")) << "each would wait for the other";
}

TEST_F(ChunkServerCopiesTest, aFormerOwnerThatTakesTooLongIsPassedOverAndNotHeldForLost) {
  be(kB);
  on(NewMap{newer_});
  EXPECT_THAT(on(fromPeer(1, kD)), ElementsAre("ask c for 1 [0,4) try 1 holder keep"));
  EXPECT_THAT(tick(500ms), ElementsAre("stop 1 try 1", "origin 1 [0,4)"));
  EXPECT_TRUE(server_->peers().usable(now_, kC)) << "it had less time than silence takes";
}

// Hedging, and choosing by load.

TEST_F(ChunkServerCopiesTest, anOwnerThatIsSlowIsLeftForOneThatShouldHaveACopy) {
  be(kD);
  EXPECT_THAT(on(copied(attached(1), 2)), ElementsAre("ask a for 1 [0,4) try 1"));
  EXPECT_THAT(tick(200ms), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 holder hedge"));
  EXPECT_THAT(on(Got{1, 4}), ElementsAre("serve 1 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerCopiesTest, whoeverHasNoCopyCostsOneQuestionAndTheOwnerIsAskedAgain) {
  be(kD);
  on(copied(attached(1), 2));
  passUntilTick();
  EXPECT_THAT(on(PeerSaid{1, 2, MissThere{}}), ElementsAre("ask a for 1 [0,4) try 3 insist"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 3", "ask b for 1 [0,4) try 4 fallback insist")) << "once in a fetch";
}

TEST_F(ChunkServerCopiesTest, anOwnerThatSaysSomethingIsNotLeft) {
  be(kD);
  on(copied(attached(1), 2));
  now_ += 100ms;
  EXPECT_THAT(on(Got{1, 0}), ElementsAre("serve 1 upto 0"));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
}

TEST_F(ChunkServerCopiesTest, withoutCopiesNobodyElseShouldHaveIt) {
  be(kD);
  on(copied(attached(1), 1));
  EXPECT_THAT(tick(2s), ElementsAre("stop 1 try 1", "ask b for 1 [0,4) try 2 fallback"));
}

TEST_F(ChunkServerCopiesTest, aCopyIsAskedBeforeABusierOwnerAndLeftForItWhenSlow) {
  be(kD);
  for (WaiterId waiter = 1; waiter <= 4; ++waiter) on(copied(attached(waiter, {0, 4}, {.hi = 7, .lo = waiter}), 2));
  EXPECT_THAT(on(copied(attached(5, {0, 4}, {.hi = 7, .lo = 5}), 2)), ElementsAre("ask b for 5 [0,4) try 1 holder"));
  for (FetchId fetch = 1; fetch <= 4; ++fetch) on(Got{fetch, 4});
  EXPECT_THAT(passUntilTick(), ElementsAre("stop 5 try 1", "ask a for 5 [0,4) try 2 hedge"));
  EXPECT_THAT(on(Got{5, 4}), ElementsAre("serve 5 upto 4"));
  expectIdle();
}

TEST_F(ChunkServerCopiesTest, hedgesKeepToTheirBudget) {
  limits_.walk.copy_lead = 1'000;
  be(kD);
  int hedges = 0;
  for (WaiterId waiter = 1; waiter <= 50; ++waiter) on(copied(attached(waiter, {0, 4}, {.hi = 7, .lo = waiter}), 3));
  for (int i = 0; i < 50; ++i)
    for (const std::string& word : passUntilTick()) hedges += word.ends_with("hedge") ? 1 : 0;
  EXPECT_EQ(hedges, 2) << "one from the start, one for fifty questions";
}

}  // namespace
}  // namespace forebay::core
