// Objects opened by their first ranged GET: what they are and, if they are small, their bytes, for one request to the
// origin instead of two.
//
// The bytes go straight into the arena, as runs of chunk 0 of the plan that the answer makes: whoever then reads the
// plan finds them. They are there when the callback runs, unless the arena had no room, or they were on their way
// already (somebody knew the plan and asked first): then a reader fills them as ever. Of an object larger than was
// asked for, whole runs are kept.
//
// A version that leaves while its bytes come is asked for anew, `kTries` times in all. Bounds: `kMaxAtOrigin` calls of
// a mount are with its origin; others wait here in order, so that a batch of thousands neither fills the origin's queue
// nor spends its time limit there.
//
// Threading: the node's loop. Callbacks run in it, never inside the call, and not after this is destroyed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/chunk_server.h"
#include "io/reactor.h"
#include "node/mounts.h"
#include "store/arena.h"

namespace forebay::node {

struct Opened {
  origin::ObjectInfo info;
  TimePoint asked;  // when the origin was: from then on its answer ages
};

class Openings {
 public:
  static constexpr std::uint32_t kMaxBytes = kMiB;  // of one object: no chunk is smaller
  static constexpr std::size_t kMaxAtOrigin = 256;
  static constexpr int kTries = 3;
  using Callback = std::move_only_function<void(Result<Opened>)>;

  Openings(core::NodeId self, core::ChunkServer& cell, store::Arena& arena) : self_(self), cell_(cell), arena_(arena) {}
  ~Openings();
  Openings(const Openings&) = delete;
  Openings& operator=(const Openings&) = delete;

  // Of an object of more than `most` bytes (1 to kMaxBytes), the runs that the first `most` are in.
  void open(Mount& mount, std::string path, std::uint32_t most, Callback done);

  std::size_t atOrigin() const { return running_.size(); }

 private:
  class Opening;
  struct Line {  // of one mount
    std::size_t running = 0;
    std::deque<std::shared_ptr<Opening>> waiting;
  };
  void startWaiting(core::MountId mount);
  void start(const std::shared_ptr<Opening>& opening);
  void ended(const std::shared_ptr<Opening>& opening, Result<origin::ObjectInfo> info);

  const core::NodeId self_;
  core::ChunkServer& cell_;
  store::Arena& arena_;
  std::map<core::MountId, Line> lines_;
  std::set<std::shared_ptr<Opening>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
