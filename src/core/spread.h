// What an owner remembers of who else has its chunks, so that a hot one is sent by many instead of by it alone.
//
// A chunk is hot once `hot_fulls` times its bytes were asked for within `window`. From then on who asks is told whom to
// ask instead (ASK): nodes that were sent the whole chunk lately, or that keep a copy. That is also the broadcast: the
// owner is its tracker, receivers serve what they got. Below that the owner sends: it has the bytes for certain.
//
//   sent       runs of a chunk went to a node
//   named      a node was told to ask others: it will have the chunk soon
//   keeps      a node has made a copy that it keeps
//   wrong      somebody that was named hadn't it
//   others     whom to name now; nobody: send it
//
// Bounded: `max_chunks` (the least lately asked for are forgotten), `max_holders` of each. Pure; one thread at a time.
// Cost: O(log chunks + holders).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "core/types.h"

namespace forebay::core {

struct SpreadLimits {
  std::size_t max_chunks = 16'384;
  std::size_t max_holders = 16;
  std::size_t max_named = 4;  // 4 holders to try: 94-95% of the bound in simulations of broadcasts up to 100,000 nodes
  // A broadcast waits for the owners that happen to have more chunks than others, unless they spread early. Onto 8
  // nodes (bench row broadcast.time, three and five runs) 68-83% of the bound with 4, 76-87% with 2.
  std::uint32_t hot_fulls = 2;
  Duration window = 10s;
  Duration holds_for = 30s;  // a transit copy is believed to last that long
  Duration kept_for = std::chrono::minutes(30);
  Duration receives_for = 1s;  // from being named to having it
};

class Spread {
 public:
  explicit Spread(SpreadLimits limits) : limits_(limits) {}

  struct Sent {
    ChunkId chunk;
    NodeId to = kNoNode;                   // kNoNode: a client, which serves nobody
    std::uint32_t runs = 0;                // of it, that were sent
    std::uint32_t all_runs = 0;            // that the chunk has
    Duration lives_for = Duration::max();  // it is of no use afterwards
  };
  void sent(TimePoint now, const Sent& s);
  void named(TimePoint now, const ChunkId& chunk, NodeId node, Duration lives_for = Duration::max());
  void keeps(TimePoint now, const ChunkId& chunk, NodeId node);
  void wrong(const ChunkId& chunk);

  bool hot(TimePoint now, const ChunkId& chunk) const;
  std::vector<NodeId> others(TimePoint now, const ChunkId& chunk, NodeId asker, Random& random);
  // Nodes that are believed to have it now, hot or not: at most `max_named`.
  std::vector<NodeId> holders(TimePoint now, const ChunkId& chunk) const;
  std::size_t size() const { return chunks_.size(); }

 private:
  struct Holder {
    NodeId node = kNoNode;
    TimePoint from, until;
  };
  struct Chunk {
    TimePoint since;  // of what is counted
    std::uint64_t runs_sent = 0;
    std::uint32_t all_runs = 0;
    std::vector<Holder> holders;  // the latest at the end
    std::list<ChunkId>::iterator used;
  };
  Chunk& touch(TimePoint now, const ChunkId& id);
  void add(Chunk& chunk, const Holder& holder);

  SpreadLimits limits_;
  std::map<ChunkId, Chunk> chunks_;
  std::list<ChunkId> used_;  // the latest first
};

}  // namespace forebay::core
