// The network between simulated nodes: what they say to each other, and what can go wrong on the way.
//
// A link is one direction between two nodes. It keeps order, as a TCP connection does; links among themselves don't.
// What can go wrong, as a real network and machine do it:
//
//   delay       every message, by a random time; bytes also take their time on the link
//   loss        a message and all that follows on the same call: a connection that hangs. Nobody is told
//   clog        a link holds everything until some time
//   cut         a link loses everything, one way, until healed
//   pause       a node hears nothing until some time, then everything
//   death       what is on its way to the node or from it is gone. Its peers are told (connection reset), or, where
//               the machine died with it (`silent`), they are not
//
// Threading: none. A receiver is called from the world's queue, never from within send().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "core/chunk_server.h"
#include "core/types.h"
#include "sim/world.h"

namespace forebay::sim {

using core::NodeId;
using CallId = std::uint64_t;  // unique in a world
using Token = std::uint64_t;   // stands for the bytes of one run of one version

// A chunk, and what its bytes can be fetched by.
struct Piece {
  std::shared_ptr<const core::Plan> plan;
  std::uint32_t index = 0;

  core::ChunkId id() const { return core::chunkId(plan->key, index); }
  core::Slot slot() const { return core::slotOfChunk(plan->key, plan->first_slot, index); }
  std::uint32_t runs() const { return core::runsOf(0, plan->chunkLength(index)).end; }
};

struct ReadAsked {
  Piece piece;
  core::RunRange runs;
  bool relay = false, fallback = false, no_fill = false, insist = false;
  std::uint64_t map_version = 0;
};
struct ReadBytes {  // without tokens: still filling
  std::uint32_t first = 0;
  std::vector<Token> tokens;
  bool last = false;
  bool spoiled = false;  // its checksum doesn't match
};
struct ReadRefused {
  core::Refusal why;
  Error error;
  std::uint64_t map_version = 0;
  std::vector<NodeId> peers;
};
struct ReadStopped {};
struct CopyAsked {
  Piece piece;
};
struct CopySaid {
  bool done = false;
};
struct PlanAsked {
  std::string path;
  bool relay = false, fallback = false, revalidate = false;
  std::uint64_t map_version = 0;
};
struct PlanSaid {
  std::shared_ptr<const core::Plan> plan;  // or why not:
  core::Refusal why = core::Refusal::Failed;
  Error error;
  std::uint64_t map_version = 0;
};
struct MapAsked {};
struct MapSaid {
  std::shared_ptr<const core::SlotMap> map;
};
using Body = std::variant<ReadAsked, ReadBytes, ReadRefused, ReadStopped, CopyAsked, CopySaid, PlanAsked, PlanSaid,
                          MapAsked, MapSaid>;

struct Message {
  CallId call = 0;
  Body body;
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void receive(NodeId from, const Message& message) = 0;
  virtual void unreachable(NodeId peer) = 0;  // every connection with it broke, or none could be made
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  void attach(NodeId node, Receiver& receiver) { nodes_[node] = {&receiver, TimePoint::min()}; }
  void kill(NodeId node, bool silent);
  bool alive(NodeId node) const { return nodes_.contains(node); }
  void send(NodeId from, NodeId to, Message message);

  struct Faults {
    Duration least_delay = 50us, most_delay = 500us;
    std::uint32_t loss_per_million = 0;   // of messages
    std::uint32_t spoil_per_million = 0;  // of messages with bytes
  };
  void set(Faults faults) { faults_ = faults; }
  void clog(NodeId from, NodeId to, TimePoint until) { links_[{from, to}].clogged_until = until; }
  void cut(NodeId from, NodeId to) { links_[{from, to}].cut = true; }
  void pause(NodeId node, TimePoint until);
  TimePoint pausedUntil(NodeId node) const;
  void heal();  // everything but death

  CallId newCall() { return next_call_++; }

 private:
  struct Attached {
    Receiver* receiver = nullptr;
    TimePoint paused_until;
  };
  struct Link {
    std::deque<Message> on_the_way;
    TimePoint last_arrival{};
    TimePoint clogged_until = TimePoint::min();
    std::uint64_t incarnation = 0;  // grows when one of its ends dies
    bool cut = false;
    std::set<CallId> hanging;  // calls that lost a message on this link
  };
  void deliver(NodeId from, NodeId to, std::uint64_t incarnation);
  void tellUnreachable(NodeId who, NodeId peer);

  World& world_;
  Faults faults_;
  std::map<NodeId, Attached> nodes_;
  std::map<std::pair<NodeId, NodeId>, Link> links_;
  std::set<NodeId> silent_;  // dead with their machines
  CallId next_call_ = 1;
};

}  // namespace forebay::sim
