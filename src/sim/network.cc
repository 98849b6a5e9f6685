#include "sim/network.h"

#include <algorithm>

namespace forebay::sim {
namespace {
constexpr Duration kRunTime = 20us;  // of 256 KiB on a link of about 100 Gbit/s
}

void Network::send(NodeId from, NodeId to, Message message) {
  if (!alive(from)) return;
  Link& link = links_[{from, to}];
  if (!alive(to)) {
    if (!silent_.contains(to) && !link.cut) tellUnreachable(from, to);
    return;
  }
  const bool lost = link.cut || world_.random().chance(faults_.loss_per_million);
  if (lost && message.call != 0) link.hanging.insert(message.call);
  if (lost || link.hanging.contains(message.call)) return;
  Duration on_link{0};
  if (auto* bytes = std::get_if<ReadBytes>(&message.body)) {
    on_link = kRunTime * static_cast<std::int64_t>(bytes->tokens.size());
    bytes->spoiled = !bytes->tokens.empty() && world_.random().chance(faults_.spoil_per_million);
  }
  const TimePoint leaves = std::max({world_.now(), link.clogged_until, link.last_arrival - faults_.least_delay});
  link.last_arrival =
      std::max(link.last_arrival, leaves + on_link + world_.between(faults_.least_delay, faults_.most_delay));
  link.on_the_way.push_back(std::move(message));
  world_.at(link.last_arrival, [this, from, to, incarnation = link.incarnation] { deliver(from, to, incarnation); });
}

void Network::deliver(NodeId from, NodeId to, std::uint64_t incarnation) {
  Link& link = links_[{from, to}];
  if (link.incarnation != incarnation || link.on_the_way.empty()) return;
  const Attached node = nodes_.at(to);
  if (node.paused_until > world_.now()) {
    world_.at(node.paused_until, [this, from, to, incarnation] { deliver(from, to, incarnation); });
    return;
  }
  const Message message = std::move(link.on_the_way.front());
  link.on_the_way.pop_front();
  if (link.cut) {
    link.hanging.insert(message.call);
    return;
  }
  world_.note(message.body.index() + 1, from, to, message.call);
  node.receiver->receive(from, message);
}

void Network::tellUnreachable(NodeId who, NodeId peer) {
  world_.after(world_.between(faults_.least_delay, faults_.most_delay), [this, who, peer] {
    auto node = nodes_.find(who);
    if (node == nodes_.end()) return;
    world_.note(100, who, peer);
    node->second.receiver->unreachable(peer);
  });
}

void Network::kill(NodeId node, bool silent) {
  nodes_.erase(node);
  if (silent)
    silent_.insert(node);
  else
    silent_.erase(node);
  for (auto& [ends, link] : links_) {
    if (ends.first != node && ends.second != node) continue;
    link.on_the_way.clear();
    link.hanging.clear();
    ++link.incarnation;
  }
  if (silent) return;
  for (const auto& [peer, attached] : nodes_)
    if (!links_[{node, peer}].cut) tellUnreachable(peer, node);
}

void Network::pause(NodeId node, TimePoint until) {
  auto known = nodes_.find(node);
  if (known != nodes_.end()) known->second.paused_until = until;
}

TimePoint Network::pausedUntil(NodeId node) const {
  auto known = nodes_.find(node);
  return known == nodes_.end() ? TimePoint::min() : known->second.paused_until;
}

void Network::heal() {
  faults_ = {};
  for (auto& [ends, link] : links_) {
    link.cut = false;
    link.clogged_until = TimePoint::min();
  }
  for (auto& [id, node] : nodes_) node.paused_until = TimePoint::min();
}

}  // namespace forebay::sim
