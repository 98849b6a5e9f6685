#include "core/spread.h"

#include <algorithm>

namespace forebay::core {

Spread::Chunk& Spread::touch(TimePoint now, const ChunkId& id) {
  if (const auto known = chunks_.find(id); known != chunks_.end()) {
    used_.splice(used_.begin(), used_, known->second.used);
    return known->second;
  }
  if (chunks_.size() >= limits_.max_chunks) {
    chunks_.erase(used_.back());
    used_.pop_back();
  }
  used_.push_front(id);
  Chunk& chunk = chunks_[id];
  chunk.since = now;
  chunk.used = used_.begin();
  return chunk;
}

void Spread::add(Chunk& chunk, const Holder& holder) {
  const auto known = std::ranges::find(chunk.holders, holder.node, &Holder::node);
  if (known != chunk.holders.end()) {
    known->from = std::min(known->from, holder.from);
    known->until = std::max(known->until, holder.until);
    return;
  }
  if (chunk.holders.size() >= limits_.max_holders) chunk.holders.erase(chunk.holders.begin());
  chunk.holders.push_back(holder);
}

void Spread::sent(TimePoint now, const Sent& s) {
  Chunk& chunk = touch(now, s.chunk);
  if (now - chunk.since > limits_.window) {
    chunk.since = now;
    chunk.runs_sent = 0;
  }
  chunk.runs_sent += s.runs;
  chunk.all_runs = s.all_runs;
  if (s.to != kNoNode && s.runs == s.all_runs) add(chunk, {s.to, now, now + std::min(limits_.holds_for, s.lives_for)});
}

void Spread::named(TimePoint now, const ChunkId& chunk, NodeId node, Duration lives_for) {
  const TimePoint until = now + std::min(limits_.holds_for, lives_for);
  if (node != kNoNode) add(touch(now, chunk), {node, now + limits_.receives_for, until});
}

void Spread::keeps(TimePoint now, const ChunkId& chunk, NodeId node) {
  add(touch(now, chunk), {node, now, now + limits_.kept_for});
}

void Spread::wrong(const ChunkId& chunk) {
  if (const auto known = chunks_.find(chunk); known != chunks_.end()) known->second.holders.clear();
}

bool Spread::hot(TimePoint now, const ChunkId& id) const {
  const auto known = chunks_.find(id);
  if (known == chunks_.end()) return false;
  const Chunk& chunk = known->second;
  return now - chunk.since <= limits_.window && chunk.all_runs != 0 &&
         chunk.runs_sent >= std::uint64_t{limits_.hot_fulls} * chunk.all_runs;
}

std::vector<NodeId> Spread::holders(TimePoint now, const ChunkId& id) const {
  std::vector<NodeId> nodes;
  const auto known = chunks_.find(id);
  if (known == chunks_.end()) return nodes;
  for (const Holder& holder : known->second.holders)
    if (holder.from <= now && now < holder.until && nodes.size() < limits_.max_named) nodes.push_back(holder.node);
  return nodes;
}

std::vector<NodeId> Spread::others(TimePoint now, const ChunkId& id, NodeId asker, Random& random) {
  std::vector<NodeId> nodes;
  if (!hot(now, id)) return nodes;
  for (const Holder& holder : chunks_.at(id).holders)
    if (holder.from <= now && now < holder.until && holder.node != asker) nodes.push_back(holder.node);
  // The first `max_named` of a random order.
  for (std::size_t i = 0; i < nodes.size() && i < limits_.max_named; ++i)
    std::swap(nodes[i], nodes[i + random.below(nodes.size() - i)]);
  if (nodes.size() > limits_.max_named) nodes.resize(limits_.max_named);
  return nodes;
}

}  // namespace forebay::core
