#include "core/slot_map.h"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <set>

#include "base/hash.h"
#include "core/test_cell.h"

namespace forebay::core {
namespace {

Member member(NodeId id, std::uint32_t weight = 1, std::string domain = {}) {
  return {
      .id = id, .name = fmt::format("n{:x}", id), .address = "host:1", .domain = std::move(domain), .weight = weight};
}

std::vector<Member> equals(std::size_t count) {
  std::vector<Member> members;
  for (std::size_t i = 0; i < count; ++i) members.push_back(member(nodeIdOf(fmt::format("node-{}", i))));
  return members;
}

std::shared_ptr<const SlotMap> mapOf(std::vector<Member> members) {
  return SlotMap::build(1, std::move(members)).value();
}

std::vector<NodeId> owners(const SlotMap& map, Slot slot) {
  const Owners all = map.owners(slot);
  return {all.all().begin(), all.all().end()};
}

std::uint64_t fold(const SlotMap& map) {
  std::uint64_t hash = 0;
  for (std::uint32_t slot = 0; slot < kSlots; ++slot)
    for (NodeId owner : owners(map, static_cast<Slot>(slot))) hash = mix64(hash ^ owner);
  return hash;
}

std::uint32_t movedPrimaries(const SlotMap& from, const SlotMap& to) {
  std::uint32_t moved = 0;
  for (std::uint32_t slot = 0; slot < kSlots; ++slot)
    moved += from.owners(static_cast<Slot>(slot)).primary() != to.owners(static_cast<Slot>(slot)).primary();
  return moved;
}

constexpr NodeId k1 = 0x11111111, k2 = 0x22222222, k3 = 0x33333333, k4 = 0x44444444, k5 = 0x55555555;

std::vector<Member> five() {
  return {member(k1, 1, "r1"), member(k2, 1, "r1"), member(k3, 2, "r2"), member(k4, 1, "r2"), member(k5, 3, "r3")};
}

// The golden tables were computed by another program, from the algorithm as slot_map.h states it.
TEST(SlotMap, ofFiveMembersIsFixed) {
  const auto map = mapOf(five());
  EXPECT_EQ(owners(*map, 0), (std::vector{k3, k5, k1}));
  EXPECT_EQ(owners(*map, 1), (std::vector{k4, k1, k5}));
  EXPECT_EQ(owners(*map, 4095), (std::vector{k3, k1, k5}));
  EXPECT_EQ(owners(*map, 32768), (std::vector{k3, k2, k5}));
  EXPECT_EQ(owners(*map, 65535), (std::vector{k5, k1, k4}));
  EXPECT_EQ(fold(*map), 0x414897e0dea7cd6cU);
}

TEST(SlotMap, ofThreeMembersIsFixed) {
  const auto map = mapOf({member(k1), member(k2), member(k3)});
  EXPECT_EQ(owners(*map, 0), (std::vector{k3, k1, k2}));
  EXPECT_EQ(owners(*map, 65535), (std::vector{k1, k3, k2}));
  EXPECT_EQ(fold(*map), 0xc55d5e48cd6746f5U);
}

TEST(SlotMap, doesNotDependOnTheOrderOfItsMembers) {
  auto reversed = five();
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(fold(*mapOf(reversed)), fold(*mapOf(five())));
}

TEST(SlotMap, givesPrimariesExactlyByWeight) {
  const auto map = mapOf(five());  // weights 1, 1, 2, 1, 3 of 8
  EXPECT_EQ(map->primarySlots(k1), kSlots / 8);
  EXPECT_EQ(map->primarySlots(k2), kSlots / 8);
  EXPECT_EQ(map->primarySlots(k3), kSlots / 4);
  EXPECT_EQ(map->primarySlots(k4), kSlots / 8);
  EXPECT_EQ(map->primarySlots(k5), kSlots / 8 * 3);
  const auto seven = mapOf(equals(7));  // 65,536 = 7 × 9,362 + 2
  std::uint32_t larger = 0;
  for (const Member& m : seven->members()) {
    const std::uint32_t slots = seven->primarySlots(m.id);
    EXPECT_TRUE(slots == 9362 || slots == 9363) << slots;
    larger += slots == 9363;
  }
  EXPECT_EQ(larger, 2U);
}

TEST(SlotMap, movesFewSlotsWhenAMemberComesOrGoes) {
  for (std::size_t n : {3U, 5U, 20U, 100U}) {
    const auto before = mapOf(equals(n));
    const auto after = mapOf(equals(n + 1));
    EXPECT_LE(movedPrimaries(*before, *after) * (n + 1), kSlots * 14 / 10) << n << " members, and one comes";
    EXPECT_LE(movedPrimaries(*after, *before) * (n + 1), kSlots * 14 / 10) << n + 1 << " members, and one goes";
    EXPECT_GE(movedPrimaries(*before, *after) * (n + 1), kSlots * 9 / 10) << "who comes must get its share";
  }
}

TEST(SlotMap, putsOwnersInDistinctDomainsWhereThereAreEnough) {
  const auto map = mapOf(five());
  EXPECT_TRUE(map->domainsSuffice());
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    std::set<std::string> domains;
    for (NodeId owner : owners(*map, static_cast<Slot>(slot))) domains.insert(map->find(owner)->domain);
    ASSERT_EQ(domains.size(), 3U) << slot;
  }
}

TEST(SlotMap, takesDistinctNodesWhereDomainsAreFewAndSaysSo) {
  const auto map = mapOf({member(1, 1, "r1"), member(2, 1, "r1"), member(3, 1, "r1"), member(4, 1, "r2")});
  EXPECT_FALSE(map->domainsSuffice());
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    const auto all = owners(*map, static_cast<Slot>(slot));
    ASSERT_EQ(std::set<NodeId>(all.begin(), all.end()).size(), 3U) << slot;
    ASSERT_TRUE(all[0] == 4 || all[1] == 4) << "the other domain must come before the same one again, slot " << slot;
  }
}

TEST(SlotMap, ofFewMembersHasFewOwners) {
  const auto one = mapOf({member(7)});
  const auto two = mapOf({member(7), member(8)});
  EXPECT_EQ(owners(*one, 12'345), std::vector<NodeId>{7});
  EXPECT_EQ(one->primarySlots(7), kSlots);
  EXPECT_TRUE(one->domainsSuffice());
  EXPECT_EQ(two->owners(0).size(), 2U);
  EXPECT_EQ(two->primarySlots(7), kSlots / 2);
}

TEST(SlotMap, findsMembersById) {
  const auto map = mapOf(five());
  EXPECT_EQ(map->find(k3)->name, "n33333333");
  EXPECT_EQ(map->find(k3 + 1), nullptr);
  EXPECT_EQ(map->find(kNoNode), nullptr);
  EXPECT_EQ(map->version(), 1U);
}

TEST(SlotMap, refusesMembersThatCannotBe) {
  const auto refusal = [](std::vector<Member> members) {
    auto map = SlotMap::build(1, std::move(members));
    return map.has_value() ? std::string("accepted") : map.error().text();
  };
  Member twin = member(9);
  twin.name = "n8";
  EXPECT_EQ(refusal({}), "InvalidArgument: a cell needs at least one member");
  EXPECT_EQ(refusal({member(8), member(8)}),
            "InvalidArgument: members n8 and n8 have the same id: give one another name");
  EXPECT_EQ(refusal({member(8), twin}), "InvalidArgument: two members have the name n8");
  EXPECT_EQ(refusal({member(kNoNode)}), "InvalidArgument: member n0 has no id");
  EXPECT_EQ(refusal({member(8, 0)}), "InvalidArgument: member n8: weight 0 is not from 1 to 1000");
  EXPECT_EQ(refusal({member(8, 1001)}), "InvalidArgument: member n8: weight 1001 is not from 1 to 1000");
  EXPECT_EQ(refusal(equals(kMaxMembers + 1)), "InvalidArgument: a cell has at most 5000 members, not 5001");
}

}  // namespace
}  // namespace forebay::core
