// Brings in ahead what the readers of this node will probably want next (core/readahead.h says what), so that a reader
// that goes on finds it in the arena.
//
// Nobody waits for what is brought in ahead: an error is no news, and beyond `kMaxPrefetches` at once nothing more is
// asked for. What is running when the prefetcher goes away is left.
// Threading: the node's loop.
#pragma once

#include <memory>
#include <unordered_map>

#include "core/readahead.h"
#include "node/chunks.h"

namespace forebay::node {

class Prefetcher {
 public:
  explicit Prefetcher(ChunkService& chunks);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // A local reader asked for a range of a chunk.
  void read(const SharedPlan& plan, const core::ChunkRange& range);

 private:
  class Prefetch;
  static constexpr std::size_t kMaxPrefetches = 16;

  ChunkService& chunks_;
  core::Readahead readahead_;
  std::unordered_map<core::WaiterId, std::unique_ptr<Prefetch>> running_;
};

}  // namespace forebay::node
