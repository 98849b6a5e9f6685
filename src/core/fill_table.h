// Single flight: brings each missing run of a chunk to this node once, however many readers ask.
//
// It doesn't know where bytes come from (the origin or a peer: that is the Fetch's business, see chunk_server.h), only
// what is on its way and who waits for it.
//
//   wanted    the first reader of a run starts a fetch of it; later ones wait for the same bytes
//   arrived   bytes are in the arena: every waiter hears how far it can be served (cut-through)
//   failed    every waiter that still needs a run of that fetch is told; the next one to ask tries again
//   left      a reader went away; its fetch goes on, because its bytes are already paid for
//
// Widening. A request that is wide (its reader scans: see readahead.h), or that asks for a quarter of the chunk and
// more, goes on to the next run that is there or on its way, or to the chunk's end. Any other fetches only the runs it
// touches, so a cold random 4 KiB read costs 256 KiB, not 8 MiB. Whether runs beside it are there says nothing about a
// reader: random reads find that by chance as a chunk fills.
//
// Bounds: `max_fetches` at once, `max_waiters` in all; beyond them a reader is told Busy. The last request that is let
// in may have several gaps (128 at most), and exceed `max_fetches` by those.
// Threading: none. The owner calls from one thread at a time. Cost: O(waiters of the chunk) per event.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/result.h"
#include "core/runs.h"

namespace forebay::core {

using WaiterId = std::uint64_t;
using FetchId = std::uint64_t;

struct FillLimits {
  std::size_t max_fetches = 1024;   // 1,024 × 256 KiB at least on their way; the arena's room bounds the bytes
  std::size_t max_waiters = 65536;  // of all chunks; more readers than that at one node is a mistake somewhere
};

class FillTable {
 public:
  struct Start {  // fetch these runs
    FetchId fetch;
    ChunkId chunk;
    RunRange runs;
    bool operator==(const Start&) const = default;
  };
  struct Ready {  // the waiter's runs before `upto` are in the arena
    WaiterId waiter;
    std::uint32_t upto;
    bool operator==(const Ready&) const = default;
  };
  struct Outcome {
    std::vector<Start> starts;
    std::vector<Ready> ready;       // a waiter whose `upto` is its range's end is served whole, and forgotten
    std::vector<WaiterId> refused;  // by arrived/failed: with that event's error; by wanted: Busy
    bool operator==(const Outcome&) const = default;
  };

  explicit FillTable(FillLimits limits) : limits_(limits) {}

  // `present`: the chunk's runs that are in the arena now; `chunk_runs`: how many it has. A waiter's id is new, its
  // range isn't empty and lies in the chunk. `wide`: the rest of the chunk will be wanted too.
  Outcome wanted(WaiterId waiter, ChunkId chunk, RunRange runs, const RunSet& present, std::uint32_t chunk_runs,
                 bool wide = false);
  // Of the fetch's runs, those before `upto` have arrived. It ends with its last run.
  Outcome arrived(FetchId fetch, std::uint32_t upto);
  Outcome failed(FetchId fetch);
  void left(WaiterId waiter);

  // The fetches that bring what isn't present of these runs; none if something isn't on its way.
  std::vector<FetchId> bringing(const ChunkId& chunk, RunRange runs, const RunSet& present) const;
  // Who needs runs of this fetch, and how far each is served.
  std::vector<Ready> waiting(FetchId fetch) const;
  bool busy(const ChunkId& chunk) const { return chunks_.contains(chunk); }
  std::size_t fetches() const { return fetches_.size(); }
  std::size_t waiters() const { return waiters_.size(); }

 private:
  struct Fetch {
    ChunkId chunk;
    RunRange runs;  // that haven't arrived
  };
  struct Waiter {
    ChunkId chunk;
    RunRange runs;  // not served yet
    RunSet there;   // among them: known to be in the arena
    bool needs(RunRange range) const;
  };
  struct Chunk {
    std::map<std::uint32_t, FetchId> coming;  // by run
    std::set<WaiterId> waiters;
  };
  static std::vector<RunRange> missing(const Chunk& chunk, RunRange runs, const RunSet& present,
                                       std::uint32_t chunk_runs, bool wide);
  void advance(WaiterId id, Waiter& waiter, Outcome& out);
  void forget(WaiterId id);
  void dropIfIdle(ChunkId chunk);
  std::vector<WaiterId> whoNeeds(const Fetch& fetch) const;

  FillLimits limits_;
  FetchId next_fetch_ = 1;
  std::map<ChunkId, Chunk> chunks_;  // ordered: its order reaches the simulator's event hash
  std::map<FetchId, Fetch> fetches_;
  std::map<WaiterId, Waiter> waiters_;
};

}  // namespace forebay::core
