// What this node believes of its peers: who can't be reached, and when to try them again.
//
// A hint, never a verdict: it only orders whom to ask. A peer that failed rests for 0.5 s, doubling to 30 s, with
// jitter, so that thousands of readers don't probe a dead node together. The first request after the rest is the probe:
// while it waits for an answer (2 s at most) the others still stay away, so that a silent node costs one request its
// time, not all of them. A reply of any kind clears it.
//
// Copies of what somebody else owns are made in the background: whether they are there shows when one is asked for.
// Each that isn't halves how often that is tried, to one in 256; one that is there ends that.
//
// Pure; one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "base/random.h"
#include "base/time.h"
#include "core/types.h"

namespace forebay::core {

class Peers {
 public:
  explicit Peers(std::uint64_t seed) : random_(seed) {}

  // Whether to ask this node now.
  bool usable(TimePoint now, NodeId node) const {
    auto known = resting_.find(node);
    return known == resting_.end() || known->second.until <= now;
  }
  void asked(TimePoint now, NodeId node) {
    auto known = resting_.find(node);
    if (known == resting_.end() || known->second.until > now) return;
    known->second.probing = true;
    known->second.until = now + Duration(2s);
  }
  void answered(NodeId node) { resting_.erase(node); }
  void failed(TimePoint now, NodeId node) {
    Rest& rest = resting_[node];
    if (rest.until > now && !rest.probing) return;  // several requests failed together: one failure
    rest.probing = false;
    rest.length = rest.length == Duration{0} ? Duration(500ms) : std::min(rest.length * 2, Duration(30s));
    const auto jitter = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(rest.length.count()) / 4));
    rest.until = now + rest.length + Duration(jitter);
  }

  // How many questions of ours wait for an answer there. `began` and `ended` come in pairs.
  void began(NodeId node) { ++waiting_[node]; }
  void ended(NodeId node) {
    const auto known = waiting_.find(node);
    if (known != waiting_.end() && --known->second == 0) waiting_.erase(known);
  }
  std::size_t waiting(NodeId node) const {
    const auto known = waiting_.find(node);
    return known == waiting_.end() ? 0 : known->second;
  }

  // Whether to ask for a copy rather than its owner, where both could do; copyWas() says what came of it.
  bool tryCopy() {
    if (copies_to_skip_ == 0) return true;
    --copies_to_skip_;
    return false;
  }
  void copyWas(bool there) {
    skip_copies_ = there ? 0 : std::min(skip_copies_ * 2 + 1, 255U);
    copies_to_skip_ = skip_copies_;
  }

  std::size_t resting() const { return resting_.size(); }

 private:
  struct Rest {
    Duration length{0};
    TimePoint until = TimePoint::min();
    bool probing = false;  // `until` is the end of a probe, not of a rest
  };
  std::map<NodeId, Rest> resting_;  // at most the cell's members
  std::map<NodeId, std::size_t> waiting_;
  std::uint32_t skip_copies_ = 0, copies_to_skip_ = 0;
  Random random_;
};

}  // namespace forebay::core
