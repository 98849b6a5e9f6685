// The arena of a simulated node: which runs of which chunks it holds, with bounded room, oldest chunk first out.
//
// A chunk that somebody waits for or is being served from is held (hold/release), and doesn't leave.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "core/runs.h"
#include "sim/network.h"

namespace forebay::sim {

class SimArena {
 public:
  explicit SimArena(std::size_t max_runs) : max_runs_(max_runs) {}

  core::RunSet present(const core::ChunkId& id) const;
  // False where there is no room and nothing that may leave.
  bool put(const core::ChunkId& id, std::uint32_t run, Token token);
  std::optional<Token> get(const core::ChunkId& id, std::uint32_t run) const;
  void hold(const core::ChunkId& id) { ++holds_[id]; }
  void release(const core::ChunkId& id);
  std::size_t held() const { return holds_.size(); }
  std::size_t runs() const { return runs_; }
  std::uint64_t evicted() const { return evicted_; }

 private:
  struct Chunk {
    std::uint64_t age = 0;
    std::map<std::uint32_t, Token> runs;
  };
  bool makeRoom();

  std::size_t max_runs_, runs_ = 0;
  std::uint64_t next_age_ = 0, evicted_ = 0;
  std::map<core::ChunkId, Chunk> chunks_;
  std::map<std::uint64_t, core::ChunkId> by_age_;
  std::map<core::ChunkId, std::uint32_t> holds_;
};

}  // namespace forebay::sim
