#include "core/name_spread.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace forebay::core {
namespace {

TimePoint at(Duration d) {
  return TimePoint{} + d;
}
NameAsker peer(NodeId node) {
  return {.node = node, .may_ask = true};
}
const NameSpread::Answer kPage{.view = NameView::Page, .mount = 1, .path = "d", .page = "", .until = at(100s)};
const NameSpread::Answer kPlan{.view = NameView::Posix, .mount = 1, .path = "d/f", .page = "", .until = at(100s)};

using Nodes = std::vector<NodeId>;

TEST(NameSpread, aPageThatWasSentTwiceIsGivenByThoseWhoHaveIt) {
  NameSpread spread({}, 1);
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(1)), Nodes());
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(2)), Nodes());
  auto named = spread.inMyStead(at(0s), kPage, peer(3));
  std::ranges::sort(named);
  EXPECT_EQ(named, Nodes({1, 2}));
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(1)), Nodes({2})) << "nobody is sent to itself";
  EXPECT_EQ(spread.inMyStead(at(2s), kPage, peer(4)).size(), 3U) << "who was sent to others has it soon";
}

TEST(NameSpread, aPlanIsHotOnlyWhenVeryManyAskForIt) {
  NameSpread spread({}, 1);
  for (NodeId node = 1; node <= 64; ++node) EXPECT_EQ(spread.inMyStead(at(0s), kPlan, peer(node)), Nodes()) << node;
  EXPECT_EQ(spread.inMyStead(at(1s), kPlan, peer(65)).size(), 4U);
  EXPECT_EQ(spread.inMyStead(at(20s), kPlan, peer(66)), Nodes()) << "it was long ago";
}

TEST(NameSpread, clientsAreSentToOthersAndNeverNamed) {
  NameSpread spread({}, 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(kNoNode)), Nodes());
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(7)), Nodes()) << "nobody else has it";
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(kNoNode)), Nodes({7}));
}

TEST(NameSpread, aPageThatAClientTakesInPartsCountsOnce) {
  NameSpread spread({}, 1);
  NameSpread::Answer part = kPage;
  part.part = part.whole = 100;
  EXPECT_EQ(spread.inMyStead(at(0s), part, peer(7)), Nodes());
  part.part = 10;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(spread.inMyStead(at(0s), part, peer(kNoNode)), Nodes()) << i;
  EXPECT_EQ(spread.inMyStead(at(0s), part, peer(kNoNode)), Nodes({7}));
}

TEST(NameSpread, whoCantAskOthersIsAnsweredAndNotNamed) {
  NameSpread spread({}, 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(spread.inMyStead(at(0s), kPage, {.node = 1}), Nodes());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(kNoNode)), Nodes());
}

TEST(NameSpread, whoInsistsIsAnsweredAndTheOthersAreForgotten) {
  NameSpread spread({}, 1);
  for (NodeId node = 1; node <= 3; ++node) (void)spread.inMyStead(at(0s), kPage, peer(node));
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, {.node = 3, .may_ask = true, .insist = true}), Nodes());
  EXPECT_EQ(spread.inMyStead(at(0s), kPage, peer(4)), Nodes({3}));
}

TEST(NameSpread, nobodyIsNamedForLongerThanTheAnswerMayBeUsed) {
  NameSpread spread({}, 1);
  NameSpread::Answer page = kPage;
  page.until = at(3s);
  for (NodeId node = 1; node <= 3; ++node) (void)spread.inMyStead(at(0s), page, peer(node));
  EXPECT_EQ(spread.inMyStead(at(2s), page, peer(4)).size(), 3U);
  EXPECT_EQ(spread.inMyStead(at(3s), page, peer(5)), Nodes());
}

TEST(NameSpread, aNewerAnswerIsAnotherOne) {
  NameSpread spread({}, 1);
  for (NodeId node = 1; node <= 3; ++node) (void)spread.inMyStead(at(0s), kPage, peer(node));
  NameSpread::Answer other = kPage;
  other.until = at(101s);
  EXPECT_EQ(spread.inMyStead(at(1s), other, peer(4)), Nodes());
  for (const auto change :
       {+[](NameSpread::Answer& a) { a.path = "e"; }, +[](NameSpread::Answer& a) { a.page = "x"; },
        +[](NameSpread::Answer& a) { a.mount = 2; }, +[](NameSpread::Answer& a) { a.view = NameView::Object; }}) {
    other = kPage;
    change(other);
    EXPECT_EQ(spread.inMyStead(at(1s), other, peer(4)), Nodes());
  }
  EXPECT_EQ(spread.inMyStead(at(1s), kPage, peer(4)).empty(), false);
}

}  // namespace
}  // namespace forebay::core
