// What people tell a cell to forget: names (`forebay refresh`) and bytes (`forebay evict`).
//
// The node that is asked does its own part, asks every other member of the map to do theirs, and answers with what each
// said: how much went, or why it can't be known. Names are forgotten in two rounds, because a node that has forgotten
// may ask a name's owner that hasn't yet, and would be told what it had just forgotten; after the first round no owner
// tells it any more. Bytes leave in steps of a few objects, and other work of the loop goes on in between.
//
// Failure: a member that doesn't answer in time, or hasn't the mount, is in the answer with its reason; the others have
// done it. Repeating is harmless. Bounds: wire::kMaxPathsPerForget paths; one question per member is open.
// Threading: the node's loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/chunk_server.h"
#include "io/server.h"
#include "node/mounts.h"
#include "node/names.h"
#include "reader/channels.h"
#include "store/arena.h"
#include "wire/messages.h"

namespace forebay::node {

class CacheControl {
 public:
  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;
    reader::Channels& channels;
    store::Arena& arena;
    Mounts& mounts;
    NameService& names;
    // Hears what this node has forgotten; may be empty.
    std::function<void(const std::string& mount, const std::string& path)> refreshed;
  };
  explicit CacheControl(Deps deps) : deps_(std::move(deps)) {}

  // The body is a RefreshRequest, or an EvictRequest. `reply` is taken only where this is Ok.
  Status refresh(const io::Request& request, Bytes body, io::Reply& reply);
  Status evict(const io::Request& request, Bytes body, io::Reply& reply);

 private:
  struct Refreshing;
  struct Evicting;
  struct Sweeping;

  Result<Mount*> mountOf(const std::string& name);
  const std::string& ownName() const;
  std::uint64_t refreshHere(const Mount& mount, const wire::pb::RefreshRequest& request);
  void refreshRound(const std::shared_ptr<Refreshing>& refreshing);
  void refreshed(const std::shared_ptr<Refreshing>& refreshing);
  void sweep(const std::shared_ptr<Sweeping>& sweeping);
  void evicted(Evicting& evicting);
  TimePoint askUntil(const io::Request& request, Duration most) const;

  Deps deps_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
