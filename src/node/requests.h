// What a node answers: each message of the wire, handed to the service that knows. No state of its own but what a
// running request needs, and the plans that readers have brought.
//
// Threading: the node's loop.
#pragma once

#include <functional>
#include <memory>

#include "core/chunk_server.h"
#include "io/server.h"
#include "node/cache_control.h"
#include "node/chunks.h"
#include "node/completions.h"
#include "node/load_requests.h"
#include "node/loads.h"
#include "node/mounts.h"
#include "node/names.h"
#include "node/pins.h"
#include "node/prefetch.h"
#include "node/read_session.h"
#include "node/slow_reads.h"
#include "reader/channels.h"
#include "store/arena.h"
#include "wire/messages.h"

namespace forebay::node {

class Requests : public io::RequestHandler {
 public:
  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;
    reader::Channels& channels;
    store::Arena& arena;
    Mounts& mounts;
    NameService& names;
    ChunkService& chunks;
    std::function<wire::pb::NodeStatus()> status;
    std::function<void(const wire::pb::AddMountRequest&, std::move_only_function<void(Result<std::string>)>)> add_mount;
    std::function<void(core::NodeId, std::uint64_t)> pull_map;
    std::function<bool()> overloaded;                                                  // max_requests are open
    Duration slow_read{0};                                                             // 0: none is logged
    std::function<void(const std::string& mount, const std::string& path)> refreshed;  // may be empty
  };
  explicit Requests(Deps deps);
  ~Requests() override;

  void request(const io::Request& request, Bytes body, io::Reply reply) override;
  void read(const io::Request& request, const wire::ReadView& read, io::Reply reply) override;
  void newerMap(const io::RemoteInfo& from, std::uint64_t version) override;
  void left(const io::RemoteInfo& from) override { pins_.left(from); }
  const Pins& pins() const { return pins_; }

 private:
  struct Resolving;
  struct Where;
  struct CellStatus;

  Status handle(const io::Request& request, Bytes body, io::Reply& reply);
  Status resolve(const io::Request& request, Bytes body, io::Reply& reply);
  void noteIfSlow(const Resolving& resolving);
  Status list(const io::Request& request, Bytes body, io::Reply& reply);
  Status have(Bytes body, io::Reply& reply);
  Status where(const io::Request& request, Bytes body, io::Reply& reply);
  void askHolders(const std::shared_ptr<Where>& where);
  void answerWhere(Where& where);
  Status status(const io::Request& request, Bytes body, io::Reply& reply);
  Status addMount(const io::Request& request, Bytes body, io::Reply& reply);
  Status region(const io::Request& request, Bytes body, io::Reply& reply);
  void noteReads(Mount& mount, const wire::pb::RegionRequest& message) const;
  void noteReport(const wire::pb::MountReport& report) const;
  Status answerRegion(const core::Plan& plan, io::Reply& reply);
  Status slab(const io::Request& request, io::Reply& reply);
  bool takesPlaces(const io::Request& request, std::uint32_t slab) const;
  Status unpin(const io::Request& request, Bytes body, io::Reply& reply);
  Result<Mount*> mountOf(const std::string& name);

  Deps deps_;
  CheckedPlans plans_;
  Prefetcher prefetcher_;
  SlowReads slow_reads_;
  CacheControl cache_control_;
  Loads loads_;
  Completions completions_;
  Pins pins_;
  LoadRequests load_requests_;
  ReadSessions read_sessions_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
