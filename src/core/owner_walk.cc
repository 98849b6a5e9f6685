#include "core/owner_walk.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace forebay::core {

WalkAction OwnerWalk::start(TimePoint now, const SlotMap& map, Peers& peers, Random&) {
  const NodeId copy = lessBusyCopy(now, map, peers);
  if (copy == kNoNode) return choose(now, map, peers);
  at_copy_ = true;
  return ask(now, {.node = copy, .no_fill = true}, peers);
}

// kNoNode: the primary is as good.
NodeId OwnerWalk::lessBusyCopy(TimePoint now, const SlotMap& map, Peers& peers) const {
  const Owners owners = map.owners(question_.slot);
  const std::size_t copies = std::min<std::size_t>(question_.copies, owners.size());
  if (copies < 2 || owners.primary() == question_.self || !peers.usable(now, owners.primary())) return kNoNode;
  const std::size_t at_primary = peers.waiting(owners.primary());
  NodeId best = kNoNode;
  for (const NodeId node : owners.all().subspan(1, copies - 1)) {
    if (node == question_.self || !peers.usable(now, node)) continue;
    if (best == kNoNode || peers.waiting(node) < peers.waiting(best)) best = node;
  }
  if (best == kNoNode || peers.waiting(best) + limits_.copy_lead > at_primary || !peers.tryCopy()) return kNoNode;
  return best;
}

WalkAction OwnerWalk::ask(TimePoint now, AskNode question, Peers& peers) {
  state_ = State::Asking;
  asked_ = question.node;
  at_holder_ = question.no_fill;
  ++asks_;
  peers.asked(now, question.node);
  return question;
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
    if (!lost && peers.usable(now, node))
      return ask(now, {.node = node, .relay = relay, .fallback = fallback && !relay, .insist = insist_}, peers);
    fallback = true;
  }
  return finish(HereInstead{});
}

WalkAction OwnerWalk::moved(TimePoint now, const Moved& e, const SlotMap& map, Peers& peers, Random& random) {
  if (at_holder_) return choose(now, map, peers);
  ++redirects_;
  if (e.map_version > map.version()) {
    state_ = State::Waiting;
    return PullMap{asked_, e.map_version, std::min(now + limits_.map_wait, question_.deadline)};
  }
  // It has no newer map, and still isn't an owner: it is catching up with ours.
  if (redirects_ > limits_.max_redirects && question_.may_relay) return choose(now, map, peers);
  return wait(now, Duration{0}, random);
}

// Once in a walk: holders that turn out to have nothing must cost one request, not one each.
WalkAction OwnerWalk::askHolder(TimePoint now, const std::vector<NodeId>& holders, const SlotMap& map, Peers& peers,
                                Random& random) {
  if (insist_) return wait(now, Duration{0}, random);  // it was told, and names others nevertheless
  insist_ = true;
  std::vector<NodeId> fit;
  for (NodeId node : holders)
    if (node != question_.self && node != asked_ && map.find(node) != nullptr && peers.usable(now, node))
      fit.push_back(node);
  if (fit.empty()) return choose(now, map, peers);
  std::swap(fit.front(), fit[random.below(fit.size())]);
  if (fit.size() > 1) std::swap(fit[1], fit[1 + random.below(fit.size() - 1)]);
  const NodeId one = fit.front(), other = fit[fit.size() > 1 ? 1 : 0];
  return ask(now, {.node = peers.waiting(other) < peers.waiting(one) ? other : one, .no_fill = true}, peers);
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
    at_copy_ = false;
    if (lost) peers.failed(now, asked_);
    lost_.push_back(asked_);
    return choose(now, map, peers);
  }
  const bool from_copy = std::exchange(at_copy_, false);
  if (const auto* slow = std::get_if<Slow>(&event))
    return from_copy ? choose(now, map, peers) : askHolder(now, slow->holders, map, peers, random);
  peers.answered(asked_);
  if (from_copy) peers.copyWas(std::holds_alternative<Answered>(event));
  return answer(now, event, map, peers, random);
}

// Of a node that can be reached.
WalkAction OwnerWalk::answer(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random) {
  return std::visit(
      Overloaded{
          [&](const Moved& e) { return moved(now, e, map, peers, random); },
          [&](const AskThere& e) { return askHolder(now, e.peers, map, peers, random); },
          [&](const MissThere&) { return at_holder_ ? choose(now, map, peers) : wait(now, Duration{0}, random); },
          [&](const BusyThere& e) { return at_holder_ ? choose(now, map, peers) : wait(now, e.retry_after, random); },
          [&](const BadBytes&) {
            if (++corrupt_ > limits_.max_corrupt)
              return finish(
                  Failed{{Code::Corrupt, fmt::format("bytes didn't match their checksum {} times", corrupt_), 0}});
            // Once may be the network's doing. Whoever does it again, or isn't an owner, is left alone for a while.
            if (at_holder_ || corrupt_ > 1) {
              peers.failed(now, asked_);
              lost_.push_back(asked_);
            }
            return choose(now, map, peers);
          },
          // Only an owner's word about the version is final.
          [&](const Refused& e) { return at_holder_ ? choose(now, map, peers) : finish(Failed{e.error}); },
          [&](const Answered&) { return finish(Finished{}); },
          [](const auto&) -> WalkAction { return Nothing{}; },
      },
      event);
}

}  // namespace forebay::core
