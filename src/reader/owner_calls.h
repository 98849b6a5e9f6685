// Questions to the owners of a slot (not reads of chunks): core's OwnerWalk on real channels.
//
//   calls.ask({.slot = slot, .type = ResolveRequest, .message = request, .deadline = deadline},
//             [](OwnerAnswer answer) { ... });
//
// The callback runs in the loop, possibly inside ask(): with an owner's answer; with AskHere when no owner before this
// node can be reached (the caller does it itself); or with the final error. It runs once, but for an answer which it
// calls TooSlow: the node lives, and doesn't know yet (its origin is slow). Then the next owner is asked, and nobody
// else stays away from that node. A node that is silent for `try_timeout` counts as lost.
// Threading: the reactor's loop. Destroying it drops what is open: no callback runs any more.
#pragma once

#include <functional>
#include <google/protobuf/message_lite.h>
#include <memory>
#include <variant>

#include "core/chunk_server.h"
#include "core/owner_walk.h"
#include "io/reactor.h"
#include "reader/channels.h"

namespace forebay::reader {

struct OwnerQuestion {
  core::Slot slot = 0;
  wire::MessageType type{};
  std::shared_ptr<const google::protobuf::MessageLite> message;
  TimePoint deadline = kNever;
  Duration try_timeout = 5s;  // of one node; then another is asked
};
struct AskHere {};
using OwnerAnswer = std::variant<Answer, AskHere, Error>;
enum class Verdict : std::uint8_t { Taken, TooSlow };
using OwnerCallback = std::move_only_function<Verdict(OwnerAnswer)>;  // what it returns matters for an Answer only

class OwnerCalls {
 public:
  // `cell`: the map, and what is known of peers. Both must outlive this.
  OwnerCalls(io::Reactor& reactor, core::NodeId self, core::ChunkServer& cell, Channels& channels, std::uint64_t seed)
      : reactor_(reactor), self_(self), cell_(cell), channels_(channels), random_(seed) {}

  void ask(OwnerQuestion question, OwnerCallback done);

 private:
  struct Open {
    OwnerQuestion question;
    OwnerCallback done;
    core::OwnerWalk walk;
  };
  void follow(const std::shared_ptr<Open>& open, const core::WalkAction& action);
  void send(const std::shared_ptr<Open>& open, core::NodeId node);
  void step(const std::shared_ptr<Open>& open, const core::WalkEvent& event);
  void wait(const std::shared_ptr<Open>& open, TimePoint until);

  io::Reactor& reactor_;
  core::NodeId self_;
  core::ChunkServer& cell_;
  Channels& channels_;
  Random random_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// What a request that failed as a whole means to a walk: the connection (Unavailable), time, or the node's refusal.
// What a node answers about one name or range is not this.
core::WalkEvent walkEventOf(const Error& error);

}  // namespace forebay::reader
