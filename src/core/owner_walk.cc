#include "core/owner_walk.h"

#include <algorithm>
#include <fmt/format.h>

namespace forebay::core {

WalkAction OwnerWalk::start(TimePoint now, const SlotMap& map, Peers& peers, Random&) {
  return choose(now, map, peers);
}

WalkAction OwnerWalk::ask(TimePoint now, NodeId node, bool relay, bool fallback, Peers& peers) {
  state_ = State::Asking;
  asked_ = node;
  ++asks_;
  peers.asked(now, node);
  return AskNode{node, relay, fallback};
}

WalkAction OwnerWalk::finish(WalkAction last) {
  state_ = State::Over;
  return last;
}

WalkAction OwnerWalk::choose(TimePoint now, const SlotMap& map, Peers& peers) {
  if (now >= question_.deadline)
    return finish(Failed{{Code::DeadlineExceeded, "no owner answered before the deadline", 0}});
  if (asks_ >= limits_.max_asks)
    return finish(Failed{{Code::Unavailable, fmt::format("asked {} times without an answer", asks_), 0}});
  // Beyond the redirects the maps of several nodes disagree: an owner that answers shall sort it out.
  const bool relay = redirects_ > limits_.max_redirects && question_.may_relay;
  bool fallback = false;
  for (NodeId node : map.owners(question_.slot).all()) {
    // The owners before this node couldn't be reached, or there are none: it is next in line. Also instead of a relay,
    // which would come back here.
    if (node == question_.self) return finish(HereInstead{});
    const bool lost = std::ranges::find(lost_, node) != lost_.end();
    if (!lost && peers.usable(now, node)) return ask(now, node, relay, fallback && !relay, peers);
    fallback = true;
  }
  return finish(HereInstead{});
}

WalkAction OwnerWalk::moved(TimePoint now, const Moved& e, const SlotMap& map, Peers& peers, Random& random) {
  ++redirects_;
  if (e.map_version > map.version()) {
    state_ = State::Waiting;
    return PullMap{asked_, e.map_version, std::min(now + limits_.map_wait, question_.deadline)};
  }
  // It has no newer map, and still isn't an owner: it is catching up with ours.
  if (redirects_ > limits_.max_redirects && question_.may_relay) return choose(now, map, peers);
  return wait(now, Duration{0}, random);
}

WalkAction OwnerWalk::wait(TimePoint now, Duration at_least, Random& random) {
  const TimePoint until = now + limits_.backoff.wait(waits_++, random, at_least);
  if (until >= question_.deadline)
    return finish(Failed{{Code::DeadlineExceeded, "the owners stayed busy until the deadline", 0}});
  state_ = State::Waiting;
  return WaitUntil{until};
}

WalkAction OwnerWalk::step(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random) {
  const bool ends_wait = std::holds_alternative<MapArrived>(event) || std::holds_alternative<WaitOver>(event);
  if (state_ != (ends_wait ? State::Waiting : State::Asking)) return Nothing{};
  if (ends_wait) return choose(now, map, peers);
  const bool lost = std::holds_alternative<Lost>(event);
  if (lost || std::holds_alternative<TooSlow>(event)) {
    if (lost) peers.failed(now, asked_);
    lost_.push_back(asked_);
    return choose(now, map, peers);
  }
  peers.answered(asked_);
  return answer(now, event, map, peers, random);
}

// Of a node that can be reached.
WalkAction OwnerWalk::answer(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random) {
  return std::visit(
      Overloaded{
          [&](const Moved& e) { return moved(now, e, map, peers, random); },
          [&](const BusyThere& e) { return wait(now, e.retry_after, random); },
          [&](const BadBytes&) {
            if (++corrupt_ > limits_.max_corrupt)
              return finish(
                  Failed{{Code::Corrupt, fmt::format("bytes didn't match their checksum {} times", corrupt_), 0}});
            return choose(now, map, peers);
          },
          [&](const Refused& e) { return finish(Failed{e.error}); },
          [&](const Answered&) { return finish(Finished{}); },
          [](const auto&) -> WalkAction { return Nothing{}; },
      },
      event);
}

}  // namespace forebay::core
