// A node as the daemon wires one, on simulated I/O: core::ChunkServer decides about bytes, core::NameCache and
// core::OwnerWalk about plans; this class does what they say over the Network, the Origin and a SimArena.
//
//   open()   an attached client's plan: from the cache, or from the name owner, or (if it is that) from the origin
//   read()   an attached client's range of a chunk
//
// Callbacks run from the world's queue, never inside the call. A node that is destroyed is a process that died: nothing
// of it runs any more.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/chunk_server.h"
#include "core/name_cache.h"
#include "sim/arena.h"
#include "sim/checkers.h"
#include "sim/network.h"
#include "sim/origin.h"
#include "sim/world.h"

namespace forebay::sim {

using core::SharedPlan;
using SharedMap = std::shared_ptr<const core::SlotMap>;
using PlanDone = std::move_only_function<void(Result<SharedPlan>)>;
using BytesDone = std::move_only_function<void(Result<std::vector<Token>>)>;

struct NodeSetup {
  NodeId id = core::kNoNode;
  SharedMap map;
  std::vector<SharedMap> every_map;  // of the run: a fill of a slot that none of them gives this node is a fallback
  core::ServerLimits limits;
  std::size_t arena_runs = 1 << 20;
  std::uint32_t read_copies = 1;
  Duration plan_ttl = 30s;
  Duration plan_try = 5s;  // of one owner; it isn't lost for that, its origin may be slow
  Duration plan_deadline = 10s;
  std::uint64_t seed = 0;
};

class Node final : public Receiver {
 public:
  Node(World& world, Network& network, Origin& origin, Checkers& checkers, NodeSetup setup);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void open(const std::string& path, bool revalidate, PlanDone done);
  void read(const Piece& piece, core::RunRange runs, TimePoint deadline, BytesDone done);
  void learn(const SharedMap& map);

  void receive(NodeId from, const Message& message) override;
  void unreachable(NodeId peer) override;

  NodeId id() const { return setup_.id; }
  const core::SlotMap& map() const { return server_.map(); }
  std::uint64_t evicted() const { return arena_.evicted(); }
  // Reports what still waits, where nothing should.
  void expectIdle();

 private:
  struct Reader {  // one who waits for runs: an attached client (done) or a peer (from, call)
    Piece piece;
    core::RunRange runs;
    std::uint32_t served = 0;  // runs before
    NodeId from = core::kNoNode;
    CallId call = 0;
    std::vector<Token> tokens;
    BytesDone done;
  };
  struct PeerRead {  // a chunk that this node asked a peer for
    NodeId node = core::kNoNode;
    core::FetchId fetch = 0;
    std::uint32_t attempt = 0;
    core::ChunkId chunk;
    std::uint32_t next = 0;
  };
  struct PlanFetch {
    core::OwnerWalk walk;
    std::uint32_t attempt = 0;
    std::uint32_t waits = 0;
    CallId call = 0;  // 0: asks nobody now
    NodeId node = core::kNoNode;
    bool revalidate = false;
  };
  using Names = core::NameCache<std::string, SharedPlan>;

  // Runs `task` at that time on this node: later if it is paused, never if it is dead.
  void later(TimePoint when, Task task);
  void step(const core::ServerEvent& event);
  void act(const core::ServerAction& action);
  void armTimer();

  void startRead(core::Want want, Reader reader);
  void serve(const core::Serve& a);
  void refuse(const core::Refuse& a);
  void endReader(core::WaiterId waiter);
  void fetchFromOrigin(const core::FetchFromOrigin& a);
  void fetchFromPeer(const core::FetchFromPeer& a);
  void copyTo(const core::CopyTo& a);
  void endCopy(CallId call, bool done);
  void wantMap(NodeId node, std::uint64_t version);
  bool isFallback(const core::FetchFromOrigin& a) const;

  void on(NodeId from, CallId call, const ReadAsked& m);
  void on(NodeId from, CallId call, const ReadBytes& m);
  void on(NodeId from, CallId call, const ReadRefused& m);
  void on(NodeId from, CallId call, const ReadStopped& m);
  void on(NodeId from, CallId call, const CopyAsked& m);
  void on(NodeId from, CallId call, const CopySaid& m);
  void on(NodeId from, CallId call, const PlanAsked& m);
  void on(NodeId from, CallId call, const PlanSaid& m);
  void on(NodeId from, CallId call, const MapAsked& m);
  void on(NodeId from, CallId call, const MapSaid& m);

  enum class Whence : std::uint8_t { Owner, Here };  // ask the owner, or do as if this node were it
  void wantPlan(const std::string& path, bool revalidate, Whence whence, bool may_relay, PlanDone done);
  void settle(const Names::Outcome& outcome, const Error& error);
  void startPlan(const std::string& path, Whence whence, bool may_relay, bool revalidate);
  void followPlan(const std::string& path, const core::WalkAction& action);
  void stepPlan(const std::string& path, const core::WalkEvent& event);
  void askForPlan(const std::string& path, const core::AskNode& ask);
  void planWaits(const std::string& path, TimePoint until);
  void headHere(const std::string& path);
  void endPlan(const std::string& path, Result<SharedPlan> plan);

  World& world_;
  Network& network_;
  Origin& origin_;
  Checkers& checkers_;
  NodeSetup setup_;
  core::ChunkServer server_;
  SimArena arena_;
  Random random_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  TimePoint timer_ = kNever;

  std::map<core::ChunkId, Piece> pieces_;
  core::WaiterId next_waiter_ = 1;
  std::map<core::WaiterId, Reader> readers_;
  std::map<CallId, PeerRead> peer_reads_;
  std::map<CallId, core::CopyTo> copies_;
  std::set<core::FetchId> from_origin_, as_fallback_;
  std::map<NodeId, std::uint64_t> maps_asked_;

  Names names_;
  std::map<Names::Waiter, PlanDone> plan_waiters_;
  std::map<std::string, PlanFetch> plan_fetches_;
};

}  // namespace forebay::sim
