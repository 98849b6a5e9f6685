// Questions to the owners of a slot (not reads of chunks): core's OwnerWalk on real channels.
//
//   calls.ask({.slot = slot, .type = ResolveRequest, .message = request, .deadline = deadline},
//             [](OwnerAnswer answer) { ... });
//
// The callback runs in the loop, possibly inside ask(): with a node's answer; with AskHere when no owner before this
// node can be reached (the caller does it itself); or with the final error. Of an answer it says what it means to the
// walk, and runs again unless that is Answered:
//
//   TooSlow    the node lives, and doesn't know yet (its origin is slow): the next owner is asked, and nobody else
//   stays
//              away from that node
//   AskThere   an owner named others who know: one of them is asked. Only of a question with `prepare`, which is told
//              before each asking how that is meant
//   MissThere  that one doesn't know it after all: its owner is asked again
//
// A node that is silent for `try_timeout` counts as lost, one that was named after 2 s.
// Threading: the reactor's loop. Destroying it drops what is open: no callback runs any more.
#pragma once

#include <functional>
#include <google/protobuf/message_lite.h>
#include <memory>
#include <optional>
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
  std::function<void(const core::AskNode&)> prepare;  // `message`, for the node that is asked next; may be null
  TimePoint deadline = kNever;
  Duration try_timeout = 5s;                // of one node; then another is asked
  std::shared_ptr<BulkReceiver> bulk = {};  // for what comes with the answer; may be null
};
struct AskHere {};
using OwnerAnswer = std::variant<Answer, AskHere, Error>;
using OwnerCallback = std::move_only_function<core::WalkEvent(OwnerAnswer)>;  // it matters of an Answer only

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
  void send(const std::shared_ptr<Open>& open, const core::AskNode& ask);
  void step(const std::shared_ptr<Open>& open, const core::WalkEvent& event);
  void wait(const std::shared_ptr<Open>& open, TimePoint until);

  io::Reactor& reactor_;
  core::NodeId self_;
  core::ChunkServer& cell_;
  Channels& channels_;
  Random random_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// Says in a request how the node that is asked next is meant: may it name others, was it named, did they not know it.
template <class Request>
void sayHow(Request& request, const core::AskNode& ask) {
  request.set_may_ask(!ask.relay && !ask.no_fill);
  request.set_no_fetch(ask.no_fill);
  request.set_insist(ask.insist);
}
// What an answer says of where the answer is, if it isn't one itself.
template <class Reply>
std::optional<core::WalkEvent> elsewhere(const Reply& reply) {
  if (reply.ask_size() > 0) return core::AskThere{{reply.ask().begin(), reply.ask().end()}};
  if (reply.miss()) return core::MissThere{};
  return std::nullopt;
}

// What a request that failed as a whole means to a walk: the connection (Unavailable), time, or the node's refusal.
// What a node answers about one name or range is not this.
core::WalkEvent walkEventOf(const Error& error);

}  // namespace forebay::reader
