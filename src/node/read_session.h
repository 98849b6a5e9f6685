// One Read request being served: a batch of ranges, each answered from the arena as far as it is there, the rest while
// it arrives (cut-through).
//
//   ReadSessions sessions;
//   sessions.serve(deps, request, read, std::move(reply));
//
// A session keeps itself alive until every item has ended or the client has left; then its memory is the next one's, so
// that a warm read allocates nothing. Bytes go from the arena to the socket without a copy: a frame pins what it sends.
// When the connection's queue is full it waits; meanwhile bytes may leave the arena again and are fetched again, at
// most `kMaxRefetches` times for an item.
//
// A client that has the slabs as a file is told where the bytes are, in place of being sent them, where they are in
// slabs and many enough (wire/read.h, "Places"); what it wants pinned is held for it (node/pins.h).
//
// Threading: the node's loop.
#pragma once

#include <memory>
#include <vector>

#include "base/steady_vector.h"
#include "io/server.h"
#include "node/checked_plans.h"
#include "node/chunks.h"
#include "node/mounts.h"
#include "node/pins.h"
#include "node/prefetch.h"
#include "node/slow_reads.h"
#include "store/arena.h"

namespace forebay::node {

struct ReadDeps {
  io::Reactor& reactor;
  Mounts& mounts;
  store::Arena& arena;
  ChunkService& chunks;
  CheckedPlans& plans;
  Prefetcher* prefetcher;     // for clients of this machine; may be null
  SlowReads* slow = nullptr;  // may be null
  Pins* pins = nullptr;       // null: nobody reads the arena in place
};

class ReadSession;

// Those that are over, to be used again. It outlives all of them.
class ReadSessions {
 public:
  ReadSessions();
  ~ReadSessions();
  ReadSessions(const ReadSessions&) = delete;
  ReadSessions& operator=(const ReadSessions&) = delete;
  void serve(const ReadDeps& deps, const io::Request& request, const wire::ReadView& read, io::Reply reply);

 private:
  friend class ReadSession;
  void over(std::shared_ptr<ReadSession> session);
  std::vector<std::shared_ptr<ReadSession>> free_;
};

class ReadSession {
 public:
  ~ReadSession();
  ReadSession(const ReadSession&) = delete;
  ReadSession& operator=(const ReadSession&) = delete;

 private:
  friend class ReadSessions;
  class Item;
  ReadSession(const ReadDeps& deps, ReadSessions& home);
  void start(const io::Request& request, const wire::ReadView& read, io::Reply reply);
  void add(const io::Request& request, std::uint16_t index, const wire::ReadItem& item);
  void pump();  // sends what is ready until the socket is full or nothing is
  bool lastOpen() const { return open_ == 1; }
  void release();  // the client left, or everything is answered

  const ReadDeps deps_;
  ReadSessions& home_;
  io::Reply reply_;
  std::vector<CheckedPlans::Checked> objects_;  // while it starts
  SteadyVector<Item> items_;
  std::size_t open_ = 0;
  std::size_t next_ = 0;  // items take turns
  bool takes_places_ = false;
  Pins::Who who_;  // if it takes places, and wants any pinned
  bool waiting_for_socket_ = false;
  std::shared_ptr<ReadSession> self_;  // until release()
};

}  // namespace forebay::node
