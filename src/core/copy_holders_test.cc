#include "core/copy_holders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "core/test_cell.h"

namespace forebay::core {
namespace {

using test::cell;
using test::kA;
using test::kC;
using testing::Each;
using testing::ElementsAre;

constexpr ObjectKey kObject{{std::byte{1}, std::byte{2}, std::byte{3}}};
const auto kEight = cell(1, "abcdefgh");

std::string names(const std::vector<NodeId>& nodes) {
  std::string text;
  for (NodeId node : nodes) text += test::nameOf(node);
  return text;
}

TEST(CopyHolders, areTheOwnersInTheirOrderFirst) {
  for (Slot slot : {Slot{0}, Slot{777}, Slot{65'535}}) {
    const std::string owners = test::ownersOf(*kEight, slot);
    EXPECT_EQ(names(CopyHolders(kEight, kObject, 1, {}).of(slot)), owners.substr(0, 1));
    EXPECT_EQ(names(CopyHolders(kEight, kObject, 3, {}).of(slot)), owners);
    EXPECT_THAT(names(CopyHolders(kEight, kObject, 5, {}).of(slot)), testing::StartsWith(owners));
  }
}

// Computed by another program, from what the header says.
TEST(CopyHolders, beyondTheOwnersAreFixed) {
  EXPECT_EQ(names(CopyHolders(kEight, kObject, 8, {}).of(0)), "ecgbahdf");
  EXPECT_EQ(names(CopyHolders(kEight, ObjectKey{}, 6, {}).of(40'000)), "abfdgc");
}

TEST(CopyHolders, ofAllNodesAreAllNodes) {
  const CopyHolders all(kEight, kObject, 0, {});
  EXPECT_EQ(all.copies(), 8U);
  EXPECT_TRUE(all.everywhere());
  for (NodeId node = 1; node <= 8; ++node) EXPECT_TRUE(all.has(123, node));
  EXPECT_FALSE(all.has(123, 9));
}

TEST(CopyHolders, ofManySlotsHaveEachCopyOnANodeOfItsOwn) {
  const CopyHolders four(kEight, kObject, 4, {});
  for (std::uint32_t slot = 0; slot < kSlots; slot += 97) {
    const auto holders = four.of(static_cast<Slot>(slot));
    EXPECT_EQ(std::set(holders.begin(), holders.end()).size(), 4U);
    for (NodeId node = 1; node <= 8; ++node)
      EXPECT_EQ(four.has(static_cast<Slot>(slot), node), std::ranges::find(holders, node) != holders.end());
  }
}

TEST(CopyHolders, standInForNodesThatCannotBeReached) {
  const Slot slot = test::slotOwned({{kEight, "abc"}});
  const NodeId silent[] = {kA, kC};
  EXPECT_EQ(names(CopyHolders(kEight, kObject, 1, silent).of(slot)), "b");
  const auto three = CopyHolders(kEight, kObject, 3, silent).of(slot);
  EXPECT_EQ(three.size(), 3U);
  EXPECT_EQ(three.front(), test::kB);
  EXPECT_THAT(three, Each(testing::AllOf(testing::Ne(kA), testing::Ne(kC))));
  EXPECT_EQ(CopyHolders(kEight, kObject, 0, silent).copies(), 6U);
}

TEST(CopyHolders, areNobodyWhereNobodyCanBeReached) {
  const auto one = cell(1, "a");
  const NodeId silent[] = {kA};
  const CopyHolders nobody(one, kObject, 2, silent);
  EXPECT_EQ(nobody.copies(), 0U);
  EXPECT_FALSE(nobody.has(0, kA));
  EXPECT_THAT(nobody.of(0), ElementsAre());
}

}  // namespace
}  // namespace forebay::core
