#include "core/owner_walk.h"

#include <algorithm>
#include <fmt/format.h>

namespace forebay::core {

WalkAction OwnerWalk::start(TimePoint now, const SlotMap& map, Peers& peers, Random& random) {
  return choose(now, map, peers, random);
}

WalkAction OwnerWalk::ask(NodeId node, bool relay, bool fallback) {
  asked_ = node;
  ++asks_;
  return AskNode{node, relay, fallback};
}

WalkAction OwnerWalk::choose(TimePoint now, const SlotMap& map, Peers& peers, Random& random) {
  waiting_ = false;
  if (now >= question_.deadline) return Failed{{Code::DeadlineExceeded, "no owner answered in time", 0}};
  if (asks_ >= limits_.max_asks)
    return Failed{{Code::Unavailable, fmt::format("asked {} times without an answer", asks_), 0}};
  const Owners owners = map.owners(question_.slot);
  const auto usable = [&](NodeId node) {
    return std::ranges::find(lost_, node) == lost_.end() && peers.usable(now, node);
  };
  if (redirects_ > limits_.max_redirects && question_.may_relay) {
    // The maps of several nodes disagree: any node that answers shall sort it out.
    for (NodeId node : owners.all())
      if (node != question_.self && usable(node)) return ask(node, true, false);
    return HereInstead{};
  }
  bool fallback = false;
  for (NodeId node : owners.all()) {
    if (node == question_.self)
      return HereInstead{};  // owners before this node couldn't be reached: it is next in line
    if (usable(node)) return ask(node, false, fallback);
    fallback = true;
  }
  (void)random;
  return HereInstead{};
}

WalkAction OwnerWalk::moved(TimePoint now, const Moved& e, const SlotMap& map, Peers& peers, Random& random) {
  peers.answered(asked_);
  ++redirects_;
  if (e.map_version > map.version()) {
    waiting_ = true;
    return PullMap{asked_, e.map_version, std::min(now + limits_.map_wait, question_.deadline)};
  }
  // It has no newer map, and still isn't an owner: it is catching up with ours.
  if (redirects_ > limits_.max_redirects) return choose(now, map, peers, random);
  return wait(now, Duration{0}, random);
}

WalkAction OwnerWalk::wait(TimePoint now, Duration at_least, Random& random) {
  waiting_ = true;
  const TimePoint until = now + limits_.backoff.wait(waits_++, random, at_least);
  if (until >= question_.deadline)
    return Failed{{Code::DeadlineExceeded, "the owners stayed busy until the deadline", 0}};
  return WaitUntil{until};
}

WalkAction OwnerWalk::step(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random) {
  return std::visit(
      Overloaded{
          [&](const Moved& e) { return moved(now, e, map, peers, random); },
          [&](const BusyThere& e) {
            peers.answered(asked_);
            return wait(now, e.retry_after, random);
          },
          [&](const Lost&) {
            peers.failed(now, asked_);
            lost_.push_back(asked_);
            return choose(now, map, peers, random);
          },
          [&](const BadBytes&) -> WalkAction {
            peers.answered(asked_);
            if (++corrupt_ > limits_.max_corrupt)
              return Failed{{Code::Corrupt, fmt::format("bytes didn't match their checksum {} times", corrupt_), 0}};
            return choose(now, map, peers, random);
          },
          [&](const Refused& e) -> WalkAction {
            peers.answered(asked_);
            return Failed{e.error};
          },
          [&](const Answered&) -> WalkAction {
            peers.answered(asked_);
            return Finished{};
          },
          [&](const MapArrived&) -> WalkAction {
            if (!waiting_) return Nothing{};
            return choose(now, map, peers, random);
          },
          [&](const WaitOver&) -> WalkAction {
            if (!waiting_) return Nothing{};
            return choose(now, map, peers, random);
          },
      },
      event);
}

}  // namespace forebay::core
