// One Read request being served: a batch of ranges, each answered from the arena as far as it is there, the rest while
// it arrives (cut-through).
//
//   ReadSession::serve(deps, request, read, std::move(reply));
//
// The session keeps itself alive until every item has ended or the client has left. Bytes go from the arena to the
// socket without a copy: a frame pins what it sends. When the connection's queue is full it waits; meanwhile bytes may
// leave the arena again and are fetched again, at most `kMaxRefetches` times for an item.
//
// A client that has the slabs as a file is told where the bytes are, in place of being sent them, where they are in
// slabs and many enough (wire/read.h, "Places"); what it wants pinned is held for it (node/pins.h).
//
// Threading: the node's loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

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

class ReadSession : public std::enable_shared_from_this<ReadSession> {
 public:
  ~ReadSession();
  static void serve(const ReadDeps& deps, const io::Request& request, const wire::ReadView& read, io::Reply reply);

 private:
  class Item;
  ReadSession(const ReadDeps& deps, io::Reply reply);
  void start(const io::Request& request, const wire::ReadView& read);
  void pump();  // sends what is ready until the socket is full or nothing is
  bool lastOpen() const { return open_ == 1; }
  void release();  // the client left, or everything is answered

  ReadDeps deps_;
  io::Reply reply_;
  std::vector<std::unique_ptr<Item>> items_;
  std::size_t open_ = 0;
  std::size_t next_ = 0;  // items take turns
  bool takes_places_ = false;
  Pins::Who who_;  // if it takes places
  bool waiting_for_socket_ = false;
  std::shared_ptr<ReadSession> self_;  // until release()
};

}  // namespace forebay::node
