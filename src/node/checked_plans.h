// The plans that readers brought and whose keys were checked, so that a reader of many small ranges costs one HMAC and
// one copy of a plan for an object, not for each range.
//
// Only checked plans are kept, so nobody can push others out with plans that they made up. Bounded: the oldest of
// `kMost` leaves. Threading: the node's loop.
#pragma once

#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "node/mounts.h"
#include "wire/read.h"

namespace forebay::node {

class CheckedPlans {
 public:
  static constexpr std::size_t kMost = 16'384;  // objects; with paths of 100 bytes about 8 MiB

  struct Checked {
    std::shared_ptr<const core::Plan> plan;  // null: no such mount here, or not a plan of it
    Mount* mount = nullptr;
  };
  Checked check(const wire::ReadObject& object, Mounts& mounts) {
    Mount* mount = mounts.find(object.mount);
    if (mount == nullptr) return {};
    const auto known = plans_.find(object.key);
    if (known != plans_.end() && wire::ReadObject::of(*known->second) == object) return {known->second, mount};
    auto plan = std::make_shared<const core::Plan>(object.plan());
    if (!mount->owns(*plan)) return {};
    keep(plan);
    return {std::move(plan), mount};
  }
  std::size_t size() const { return plans_.size(); }

 private:
  struct Hash {  // keys are HMACs: any of their bits will do
    std::size_t operator()(const core::ObjectKey& key) const {
      std::size_t hash;
      std::memcpy(&hash, key.bytes.data(), sizeof hash);
      return hash;
    }
  };
  void keep(const std::shared_ptr<const core::Plan>& plan) {
    if (!plans_.insert_or_assign(plan->key, plan).second) return;
    if (ring_.size() < kMost) {
      ring_.push_back(plan->key);
      return;
    }
    plans_.erase(std::exchange(ring_[next_], plan->key));
    next_ = (next_ + 1) % kMost;
  }

  std::unordered_map<core::ObjectKey, std::shared_ptr<const core::Plan>, Hash> plans_;
  std::vector<core::ObjectKey> ring_;  // in the order in which they came
  std::size_t next_ = 0;
};

}  // namespace forebay::node
