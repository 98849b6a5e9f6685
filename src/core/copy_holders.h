// Which nodes shall hold a chunk of which the cell is to have a given number of copies.
//
// Its slot's owners, in their order, because they are asked first; then the object's own ranking of all nodes: by
// mix64(object, node), so that the further copies of different objects are on different nodes. Nodes in `without`
// (those that can't be reached) are passed over, and the next ones stand in for them: whoever knows the same nodes
// agrees. Pure; golden vectors in the test. Cost: O(members · log members) once, O(copies) per chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/slot_map.h"
#include "core/types.h"

namespace forebay::core {

class CopyHolders {
 public:
  // `copies` = 0: all nodes.
  CopyHolders(std::shared_ptr<const SlotMap> map, const ObjectKey& object, std::uint32_t copies,
              std::span<const NodeId> without);

  bool has(Slot slot, NodeId node) const;
  std::vector<NodeId> of(Slot slot) const;
  // How many copies of each chunk there will be: no more than nodes that can be reached.
  std::uint32_t copies() const { return copies_; }
  bool everywhere() const { return copies_ == ranked_.size(); }

 private:
  // Calls `take(node)` for the holders in order until it says true.
  template <class Take>
  bool walk(Slot slot, Take&& take) const;

  std::shared_ptr<const SlotMap> map_;
  std::vector<NodeId> without_;
  std::vector<NodeId> ranked_;  // all others
  std::uint32_t copies_;
};

}  // namespace forebay::core
