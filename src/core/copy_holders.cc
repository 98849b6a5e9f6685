#include "core/copy_holders.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace forebay::core {

CopyHolders::CopyHolders(std::shared_ptr<const SlotMap> map, const ObjectKey& object, std::uint32_t copies,
                         std::span<const NodeId> without)
    : map_(std::move(map)), without_(without.begin(), without.end()) {
  const std::uint64_t seed = hash64(Bytes(object.bytes));
  std::vector<std::pair<std::uint64_t, NodeId>> scores;
  scores.reserve(map_->members().size());
  for (const Member& member : map_->members()) {
    if (std::ranges::find(without, member.id) == without.end())
      scores.emplace_back(mix64(seed ^ mix64(member.id)), member.id);
  }
  std::ranges::sort(scores, std::greater());
  ranked_.reserve(scores.size());
  for (const auto& [score, node] : scores) ranked_.push_back(node);
  const auto reachable = static_cast<std::uint32_t>(ranked_.size());
  copies_ = copies == 0 ? reachable : std::min(copies, reachable);
}

template <class Take>
bool CopyHolders::walk(Slot slot, Take&& take) const {
  std::uint32_t taken = 0;
  const Owners owners = map_->owners(slot);
  for (const NodeId owner : owners.all()) {
    if (taken == copies_) return false;
    if (std::ranges::find(without_, owner) != without_.end()) continue;
    ++taken;
    if (take(owner)) return true;
  }
  for (auto node = ranked_.begin(); taken < copies_ && node != ranked_.end(); ++node) {
    if (owners.has(*node)) continue;
    ++taken;
    if (take(*node)) return true;
  }
  return false;
}

bool CopyHolders::has(Slot slot, NodeId node) const {
  return walk(slot, [&](NodeId holder) { return holder == node; });
}

std::vector<NodeId> CopyHolders::of(Slot slot) const {
  std::vector<NodeId> holders;
  walk(slot, [&](NodeId holder) {
    holders.push_back(holder);
    return false;
  });
  return holders;
}

}  // namespace forebay::core
