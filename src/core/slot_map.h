// Which nodes own a slot: one table per cell and version, the same on every node and client that has that version.
//
// A slot has a primary and up to two alternates, distinct nodes, in distinct fault domains where there are enough.
// The table follows from (members, version 1 of the algorithm) alone: no order of arrival, no floating point, no
// standard library's hash or shuffle. slot_map_test.cc holds golden vectors: changing one loses every cached byte of
// every cell at its upgrade.
//
// The algorithm. Each slot ranks the members by mix64(member id, slot): rendezvous hashing, so that a change of members
// moves few slots. Its primary is the best-ranked member that has not yet reached its quota (slots in proportion to
// weight, exactly, by largest remainder); its alternates are the next best-ranked ones in other domains.
// Measured: one of n equal members that joins or leaves moves 1.0/n of the slots' primaries up to 20 members, 1.35/n at
// 100; at 1,000 the exact quotas cost 5/n, which is 0.5% of the slots.
//
// Cost: build is O(slots × members), 65,536 × 2,000 in 0.6 s; owners() is one load of 6 bytes.
// Immutable, so thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/types.h"

namespace forebay::core {

struct Member {
  NodeId id = kNoNode;
  std::string name;
  std::string address;       // host:port
  std::string domain;        // fault domain; empty: the node's own name
  std::uint32_t weight = 1;  // 1 to 1,000; a node's share of primaries is its weight's share
  bool operator==(const Member&) const = default;
};

constexpr std::size_t kMaxMembers = 5'000;
constexpr std::size_t kOwners = 3;

// Primary first. Fewer than three where the cell has fewer nodes.
class Owners {
 public:
  void add(NodeId node) { nodes_[count_++] = node; }
  NodeId primary() const { return count_ == 0 ? kNoNode : nodes_[0]; }
  std::span<const NodeId> all() const { return {nodes_.data(), count_}; }
  std::size_t size() const { return count_; }
  bool has(NodeId node) const {
    for (NodeId owner : all())
      if (owner == node) return true;
    return false;
  }

 private:
  std::array<NodeId, kOwners> nodes_{};
  std::size_t count_ = 0;
};

class SlotMap {
 public:
  // InvalidArgument: no members, too many, one without an id, two of one name or one id, a weight out of bounds.
  static Result<std::shared_ptr<const SlotMap>> build(std::uint64_t version, std::vector<Member> members);

  std::uint64_t version() const { return version_; }
  std::span<const Member> members() const { return members_; }  // by id
  const Member* find(NodeId id) const;
  Owners owners(Slot slot) const;
  std::uint32_t primarySlots(NodeId id) const;
  // Whether every slot's owners are in distinct fault domains. If not, an operator should know.
  bool domainsSuffice() const { return domains_suffice_; }

 private:
  static constexpr std::uint16_t kNobody = 0xffff;
  using Row = std::array<std::uint16_t, kOwners>;
  std::uint64_t version_ = 0;
  std::vector<Member> members_;
  std::vector<Row> table_;  // indices into members_
  bool domains_suffice_ = true;
};

}  // namespace forebay::core
