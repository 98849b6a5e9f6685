#include "core/owner_walk.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/test_cell.h"

namespace forebay::core {
namespace {

using test::cell, test::kA, test::kB, test::kC, test::kD, test::nameOf;

// What to do next, in words: "ask a", "ask b relay", "pull 2 from a until 100ms", "here", "done", "failed Busy".
std::string show(const WalkAction& action, TimePoint now) {
  return std::visit(
      Overloaded{
          [](const Nothing&) -> std::string { return "nothing"; },
          [](const AskNode& a) {
            return fmt::format("ask {}{}{}{}{}", nameOf(a.node), a.relay ? " relay" : "", a.fallback ? " fallback" : "",
                               a.no_fill ? " holder" : "", a.insist ? " insist" : "");
          },
          [&](const PullMap& a) {
            return fmt::format("pull {} from {} within {}ms", a.version, nameOf(a.node), toMs(a.until - now));
          },
          [](const WaitUntil&) -> std::string { return "wait"; },
          [](const HereInstead&) -> std::string { return "here"; },
          [](const Finished&) -> std::string { return "done"; },
          [](const Failed& a) { return fmt::format("failed {}", codeName(a.error.code)); },
      },
      action);
}

// One question about a slot that a, b and c own (in that order) in a cell of a, b, c and d; under `newer_` its owners
// are b, c, d.
class OwnerWalkTest : public testing::Test {
 protected:
  std::string start(NodeId self = kD, bool may_relay = true, TimePoint deadline = kNever) {
    walk_.emplace(
        OwnerWalk::Question{
            .slot = slot_, .self = self, .may_relay = may_relay, .copies = copies_, .deadline = deadline},
        limits_);
    return show(walk_->start(now_, *map_, peers_, random_), now_);
  }
  std::string on(const WalkEvent& event) {
    const WalkAction action = walk_->step(now_, event, *map_, peers_, random_);
    if (const auto* wait = std::get_if<WaitUntil>(&action)) wait_ = wait->until - now_;
    return show(action, now_);
  }
  void pass(Duration time) { now_ += time; }

  std::shared_ptr<const SlotMap> older_ = cell(1, "abcd"), newer_ = cell(2, "bcd");
  Slot slot_ = test::slotOwned({{older_, "abc"}, {newer_, "bcd"}});
  std::shared_ptr<const SlotMap> map_ = older_;
  WalkLimits limits_;
  Peers peers_{1};
  Random random_{2};
  TimePoint now_ = TimePoint{} + 1s;
  Duration wait_{0};
  std::uint32_t copies_ = 1;
  std::optional<OwnerWalk> walk_;
};

TEST_F(OwnerWalkTest, asksThePrimaryAndIsDoneWhenItAnswers) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(walk_->asked(), kA);
  EXPECT_EQ(on(Answered{}), "done");
  EXPECT_FALSE(walk_->redirected());
}

TEST_F(OwnerWalkTest, asksAlternatesInOrderWhileOwnersAreLost) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(Lost{}), "ask b fallback");
  EXPECT_EQ(on(Lost{}), "ask c fallback");
  EXPECT_EQ(on(Lost{}), "here") << "no owner can be reached: the reader's own node fills";
}

TEST_F(OwnerWalkTest, leavesOutWhoRestsAndComesBackToItAfterwards) {
  peers_.failed(now_, kA);
  EXPECT_EQ(start(), "ask b fallback");
  pass(1s);
  EXPECT_EQ(start(), "ask a") << "the probe";
  EXPECT_EQ(start(), "ask b fallback") << "others wait for what the probe finds";
  EXPECT_EQ(start(), "ask b fallback");
}

TEST_F(OwnerWalkTest, neverAsksAgainWhomItLostItself) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(Lost{}), "ask b fallback");
  pass(10s);  // a's rest is over
  EXPECT_EQ(on(BadBytes{}), "ask b fallback");
}

TEST_F(OwnerWalkTest, leavesASlowNodeAloneWithoutTellingOthers) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(TooSlow{}), "ask b fallback");
  EXPECT_TRUE(peers_.usable(now_, kA));
  EXPECT_EQ(on(BadBytes{}), "ask b fallback") << "not a again in this walk";
}

TEST_F(OwnerWalkTest, pullsANewerMapAndChoosesByIt) {
  EXPECT_EQ(start(kC), "ask a");
  EXPECT_EQ(on(Moved{2}), "pull 2 from a within 100ms");
  map_ = newer_;
  EXPECT_EQ(on(MapArrived{}), "ask b");
  EXPECT_TRUE(walk_->redirected());
  EXPECT_EQ(on(Answered{}), "done");
}

TEST_F(OwnerWalkTest, choosesAgainWhenTheMapDoesNotCome) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(Moved{2}), "pull 2 from a within 100ms");
  pass(100ms);
  EXPECT_EQ(on(WaitOver{}), "ask a");
}

TEST_F(OwnerWalkTest, waitsForANodeThatIsBehindItsMap) {
  map_ = newer_;
  EXPECT_EQ(start(kC), "ask b");
  EXPECT_EQ(on(Moved{1}), "wait");
  EXPECT_EQ(on(WaitOver{}), "ask b");
  EXPECT_EQ(on(Moved{2}), "wait") << "of the same version, and says no: it is catching up";
}

TEST_F(OwnerWalkTest, asksForARelayAfterTwoRedirects) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(Moved{1}), "wait");
  EXPECT_EQ(on(WaitOver{}), "ask a");
  EXPECT_EQ(on(Moved{1}), "wait");
  EXPECT_EQ(on(WaitOver{}), "ask a");
  EXPECT_EQ(on(Moved{1}), "ask a relay");
  EXPECT_EQ(on(Lost{}), "ask b relay") << "not as a fallback: the relay finds out who answers";
  EXPECT_EQ(on(Answered{}), "done");
}

TEST_F(OwnerWalkTest, relaysDoNotChain) {
  EXPECT_EQ(start(kD, false), "ask a");
  for (int redirects = 0; redirects < 5; ++redirects) {
    EXPECT_EQ(on(Moved{1}), "wait");
    EXPECT_EQ(on(WaitOver{}), "ask a");
  }
}

TEST_F(OwnerWalkTest, aRelayNeverComesBackToTheNodeThatAsksForIt) {
  EXPECT_EQ(start(kB), "ask a");
  for (int redirects = 0; redirects < 2; ++redirects) {
    EXPECT_EQ(on(Moved{1}), "wait");
    EXPECT_EQ(on(WaitOver{}), "ask a");
  }
  EXPECT_EQ(on(Moved{1}), "ask a relay");
  EXPECT_EQ(on(Lost{}), "here") << "c would relay to b";
}

TEST_F(OwnerWalkTest, anOwnerIsNextInLineItself) {
  EXPECT_EQ(start(kA), "here");
  EXPECT_EQ(start(kB), "ask a");
  EXPECT_EQ(on(Lost{}), "here");
}

TEST_F(OwnerWalkTest, becomesTheOwnerByANewMap) {
  EXPECT_EQ(start(kB), "ask a");
  EXPECT_EQ(on(Moved{2}), "pull 2 from a within 100ms");
  map_ = newer_;
  EXPECT_EQ(on(MapArrived{}), "here");
}

TEST_F(OwnerWalkTest, backsOffWhileTheOwnerIsBusy) {
  EXPECT_EQ(start(), "ask a");
  Duration before{0};
  for (int attempt = 0; attempt < 6; ++attempt) {
    EXPECT_EQ(on(BusyThere{}), "wait");
    EXPECT_GE(wait_, before);
    EXPECT_GE(wait_, 5ms * (1 << attempt));
    EXPECT_LE(wait_, 10ms * (1 << attempt));
    before = wait_;
    EXPECT_EQ(on(WaitOver{}), "ask a");
  }
  EXPECT_EQ(on(BusyThere{.retry_after = 3s}), "wait");
  EXPECT_GE(wait_, 3s);
}

TEST_F(OwnerWalkTest, leavesAloneWhoSendsBadBytesTwice) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(BadBytes{}), "ask a") << "may have been the network";
  EXPECT_EQ(on(BadBytes{}), "ask b fallback");
  EXPECT_FALSE(peers_.usable(now_, kA)) << "others stay away from it too";
  EXPECT_EQ(on(BadBytes{}), "ask c fallback");
  EXPECT_EQ(on(BadBytes{}), "failed Corrupt");
}

TEST_F(OwnerWalkTest, asksTheLessBusyOfTwoWhomTheOwnerNames) {
  EXPECT_EQ(start(), "ask a");
  for (int i = 0; i < 9; ++i) peers_.began(kC);
  EXPECT_EQ(on(AskThere{{kB, kC, kD, 99}}), "ask b holder") << "c is busy, d is the asker, 99 is nobody";
  EXPECT_TRUE(walk_->asksHolder());
  EXPECT_EQ(on(Answered{}), "done");
}

TEST_F(OwnerWalkTest, choosesACopyWhereThePrimaryIsMuchBusier) {
  copies_ = 3;
  for (int i = 0; i < 3; ++i) peers_.began(kA);
  EXPECT_EQ(start(), "ask a") << "the owner has it for certain";
  for (int i = 0; i < 3; ++i) peers_.began(kA);
  for (int i = 0; i < 2; ++i) peers_.began(kB);
  EXPECT_EQ(start(), "ask c holder");
  EXPECT_TRUE(walk_->choseCopy());
  EXPECT_EQ(on(Answered{}), "done");
  peers_.failed(now_, kC);
  EXPECT_EQ(start(), "ask b holder");
  copies_ = 1;
  EXPECT_EQ(start(), "ask a");
  copies_ = 2;
  EXPECT_EQ(start(kB), "ask a") << "never itself";
}

TEST_F(OwnerWalkTest, asksTheOwnerWhereTheCopyIsMissingSlowOrLost) {
  copies_ = 2;
  for (int i = 0; i < 9; ++i) peers_.began(kA);
  const std::vector<WalkEvent> in_vain = {MissThere{}, BusyThere{}, Slow{}, Moved{2}, Refused{}, TooSlow{}, Lost{}};
  for (const WalkEvent& event : in_vain) {
    peers_.copyWas(true);
    EXPECT_EQ(start(), "ask b holder");
    EXPECT_EQ(on(event), "ask a");
    EXPECT_FALSE(walk_->choseCopy());
    EXPECT_EQ(on(Answered{}), "done");
  }
}

TEST_F(OwnerWalkTest, triesCopiesLessOftenWhileTheyAreNotThere) {
  copies_ = 2;
  for (int i = 0; i < 9; ++i) peers_.began(kA);
  int tried = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (start() != "ask b holder") continue;
    ++tried;
    on(MissThere{});
  }
  EXPECT_EQ(tried, 10);  // after 0, 1, 3, ... 255, and then one in 256
  while (start() != "ask b holder") continue;
  on(Answered{});
  EXPECT_EQ(start(), "ask b holder");
}

TEST_F(OwnerWalkTest, goesBackToTheOwnerWhereTheNamedOneHasNothing) {
  const std::vector<WalkEvent> in_vain = {MissThere{}, BusyThere{}, BadBytes{}, Refused{}, Moved{2}, Lost{}, TooSlow{}};
  for (const WalkEvent& event : in_vain) {
    Peers fresh(1);
    peers_ = fresh;
    EXPECT_EQ(start(), "ask a");
    EXPECT_EQ(on(AskThere{{kB}}), "ask b holder");
    EXPECT_EQ(on(event), "ask a insist");
    EXPECT_EQ(on(AskThere{{kC}}), "wait") << "once is enough";
    EXPECT_EQ(on(WaitOver{}), "ask a insist");
  }
}

TEST_F(OwnerWalkTest, insistsWhereNobodyWhoWasNamedCanBeAsked) {
  peers_.failed(now_, kB);
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(AskThere{{kB, kD}}), "ask a insist");
}

TEST_F(OwnerWalkTest, handsOnAFinalRefusal) {
  EXPECT_EQ(start(), "ask a");
  EXPECT_EQ(on(Refused{{Code::Gone, "that version is no longer there", 0}}), "failed Gone");
}

TEST_F(OwnerWalkTest, endsAtItsDeadline) {
  const TimePoint deadline = now_ + 1s;
  EXPECT_EQ(start(kD, true, deadline), "ask a");
  pass(1s);
  EXPECT_EQ(on(Lost{}), "failed DeadlineExceeded");
  EXPECT_EQ(start(kD, true, deadline), "failed DeadlineExceeded");
}

TEST_F(OwnerWalkTest, doesNotWaitBeyondItsDeadline) {
  EXPECT_EQ(start(kD, true, now_ + 50ms), "ask a");
  EXPECT_EQ(on(Moved{2}), "pull 2 from a within 50ms");
  EXPECT_EQ(on(WaitOver{}), "ask a");
  EXPECT_EQ(on(BusyThere{.retry_after = 60ms}), "failed DeadlineExceeded");
}

TEST_F(OwnerWalkTest, asksABoundedNumberOfTimes) {
  limits_.max_asks = 5;
  EXPECT_EQ(start(), "ask a");
  for (int asks = 1; asks < 5; ++asks) {
    EXPECT_EQ(on(BusyThere{}), "wait");
    EXPECT_EQ(on(WaitOver{}), "ask a");
  }
  EXPECT_EQ(on(BusyThere{}), "wait");
  EXPECT_EQ(on(WaitOver{}), "failed Unavailable");
}

TEST_F(OwnerWalkTest, ignoresWhatItDoesNotWaitFor) {
  const WalkEvent answers[] = {Moved{2}, BusyThere{}, Lost{}, TooSlow{}, BadBytes{}, Refused{}, Answered{}};
  const WalkEvent ends_of_waits[] = {MapArrived{}, WaitOver{}};
  EXPECT_EQ(start(), "ask a");
  for (const auto& event : ends_of_waits) EXPECT_EQ(on(event), "nothing") << "while it asks";
  EXPECT_EQ(on(BusyThere{}), "wait");
  for (const auto& event : answers) EXPECT_EQ(on(event), "nothing") << "while it waits";
  EXPECT_EQ(on(MapArrived{}), "ask a") << "a new map ends a wait early";
  EXPECT_EQ(on(Answered{}), "done");
  for (const auto& event : answers) EXPECT_EQ(on(event), "nothing") << "after the end";
  for (const auto& event : ends_of_waits) EXPECT_EQ(on(event), "nothing") << "after the end";
}

TEST_F(OwnerWalkTest, tellsPeersWhoAnsweredAndWhoDidNot) {
  EXPECT_EQ(start(), "ask a");
  on(Lost{});
  EXPECT_FALSE(peers_.usable(now_, kA));
  EXPECT_TRUE(peers_.usable(now_, kB));
  pass(700ms);
  for (const WalkEvent& answer :
       std::initializer_list<WalkEvent>{Moved{2}, BusyThere{}, BadBytes{}, AskThere{}, Refused{}}) {
    peers_.failed(now_, kA);
    pass(40s);
    EXPECT_EQ(start(), "ask a");
    on(answer);
    EXPECT_EQ(peers_.resting(), 0U) << "any answer shows that it can be reached";
  }
}

TEST_F(OwnerWalkTest, aCellOfOneNodeAnswersItself) {
  map_ = cell(3, "d");
  EXPECT_EQ(start(kD), "here");
}

}  // namespace
}  // namespace forebay::core
