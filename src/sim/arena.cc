#include "sim/arena.h"

namespace forebay::sim {

core::RunSet SimArena::present(const core::ChunkId& id) const {
  core::RunSet set;
  if (auto chunk = chunks_.find(id); chunk != chunks_.end())
    for (const auto& [run, token] : chunk->second.runs) set.add(run);
  return set;
}

std::optional<Token> SimArena::get(const core::ChunkId& id, std::uint32_t run) const {
  auto chunk = chunks_.find(id);
  if (chunk == chunks_.end()) return std::nullopt;
  auto token = chunk->second.runs.find(run);
  return token == chunk->second.runs.end() ? std::nullopt : std::optional(token->second);
}

bool SimArena::put(const core::ChunkId& id, std::uint32_t run, Token token) {
  if (get(id, run)) return true;
  if (runs_ >= max_runs_ && !makeRoom()) return false;
  auto [chunk, made] = chunks_.try_emplace(id);
  if (made) {
    chunk->second.age = next_age_++;
    by_age_[chunk->second.age] = id;
  }
  chunk->second.runs[run] = token;
  ++runs_;
  return true;
}

bool SimArena::makeRoom() {
  for (auto oldest = by_age_.begin(); oldest != by_age_.end(); ++oldest) {
    if (holds_.contains(oldest->second)) continue;
    auto chunk = chunks_.find(oldest->second);
    runs_ -= chunk->second.runs.size();
    evicted_ += chunk->second.runs.size();
    chunks_.erase(chunk);
    by_age_.erase(oldest);
    return true;
  }
  return false;
}

void SimArena::release(const core::ChunkId& id) {
  auto known = holds_.find(id);
  if (--known->second == 0) holds_.erase(known);
}

}  // namespace forebay::sim
