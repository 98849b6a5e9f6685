// For tests of the core: small cells whose nodes are called a, b, c, ..., and slots that have the owners a story needs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/slot_map.h"

namespace forebay::core::test {

constexpr NodeId kA = 1, kB = 2, kC = 3, kD = 4, kE = 5;

inline std::string nameOf(NodeId node) {
  return node == kNoNode ? "nobody" : std::string(1, static_cast<char>('a' + node - 1));
}

// cell(3, "abd") is version 3, with the members a, b and d.
inline std::shared_ptr<const SlotMap> cell(std::uint64_t version, std::string_view names) {
  std::vector<Member> members;
  for (char name : names)
    members.push_back({.id = static_cast<NodeId>(name - 'a' + 1),
                       .name = std::string(1, name),
                       .address = "host:1",
                       .domain = {},
                       .weight = 1});
  return SlotMap::build(version, std::move(members)).value();
}

inline std::string ownersOf(const SlotMap& map, Slot slot) {
  std::string names;
  const Owners owners = map.owners(slot);
  for (NodeId owner : owners.all()) names += nameOf(owner);
  return names;
}

// A slot whose owners are, in order, `owners` under each of these maps.
inline Slot slotOwned(const std::vector<std::pair<std::shared_ptr<const SlotMap>, std::string>>& by) {
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    bool fits = true;
    for (const auto& [map, owners] : by) fits = fits && ownersOf(*map, static_cast<Slot>(slot)) == owners;
    if (fits) return static_cast<Slot>(slot);
  }
  std::abort();  // the story can't happen in such a cell
}

}  // namespace forebay::core::test
