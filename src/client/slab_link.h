// The node's slabs on a connection to it: asked for once, forgotten when the connection is over, and what was pinned
// there given back.
//
// Pins are numbers of this process's own choice, so that what was asked for and is no longer wanted can be given back
// whether or not an answer came. They go back over whichever connection there is: a node that lost one goes on holding
// what was pinned over it, another node doesn't know them.
//
// Threading: unpin() and close() from any thread, the rest in the connection's loop.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "client/node_connection.h"
#include "client/shared_slab.h"
#include "wire/messages.h"

namespace forebay::client {

class SlabLink : public std::enable_shared_from_this<SlabLink> {
 public:
  explicit SlabLink(NodeConnection& connection);
  SlabLink(const SlabLink&) = delete;
  SlabLink& operator=(const SlabLink&) = delete;

  // Null: not here, or not yet; then it is asked for in the background, where that can help.
  std::shared_ptr<const SharedSlab> slab();
  // After the answer, also that there is none.
  void whenKnown(std::move_only_function<void()> then);
  // The connection is over: another has another slab, perhaps.
  void lost();

  std::uint64_t newPin() { return next_pin_++; }
  void unpin(std::uint64_t pin);
  // Nothing is said to the node any more: its connection goes.
  void close();

 private:
  enum class State { Unknown, Asked, Known };
  void ask();
  void answered(const Result<reader::Answer>& answer);
  void sendUnpins();
  void sendAgain(const wire::pb::UnpinRequest& request, const Error& error);

  NodeConnection& connection_;
  State state_ = State::Unknown;
  std::shared_ptr<const SharedSlab> slab_;
  TimePoint ask_after_{};
  std::vector<std::move_only_function<void()>> waiting_;
  std::uint64_t next_pin_;
  int failures_ = 0;  // of unpins, in a row

  std::mutex mutex_;  // of what follows
  bool closed_ = false, sends_ = false;
  std::vector<std::uint64_t> unpins_;
};

}  // namespace forebay::client
