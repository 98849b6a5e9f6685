// Brings in ahead what the readers of this node will probably want next (core/readahead.h says what), so that a reader
// that goes on finds it in the arena.
//
//   for each range that a local client asks for:   wide = prefetcher.saw(plan, range)
//   when all of them have been asked for:          prefetcher.bringIn()
//
// In that order, because what comes next must not get the origin's attention, or the arena's room, before what is
// asked now. Nobody waits for what is brought in ahead: an error is no news, and beyond the bounds nothing more is
// asked for. What is running when the prefetcher goes away is left.
// Threading: the node's loop.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "core/readahead.h"
#include "node/chunks.h"

namespace forebay::node {

class Prefetcher {
 public:
  // `max_bytes`: brought in ahead at once, for all readers together.
  Prefetcher(ChunkService& chunks, std::uint64_t max_bytes);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // Whether the range's reader will want the rest of its chunk too.
  bool saw(const SharedPlan& plan, const core::ChunkRange& range);
  void bringIn();

 private:
  class Prefetch;
  struct Due {
    SharedPlan plan;
    core::RunsAhead ahead;
  };
  void start(const Due& due);

  ChunkService& chunks_;
  const std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;  // of what is running
  core::Readahead readahead_;
  std::vector<core::RunsAhead> said_;
  std::vector<Due> due_;
  std::unordered_map<core::WaiterId, std::unique_ptr<Prefetch>> running_;
};

}  // namespace forebay::node
