// Bytes in view through one node: all of an object that is mapped, else a range that the node pins, else a copy.
//
// The pin goes back when the last user of the view is gone. A view outlives its connection and its client; what can't
// be said to the node then, the node learns from the end of this process.
//
// Threading: made by any thread; start() in the connection's loop, where `done` is told, once.
#pragma once

#include <memory>

#include "client/read_operation.h"
#include "client/shared_memory.h"

namespace forebay::client {

// So much memory of this process, or why not. Never more than a view of the whole object needs.
Result<std::shared_ptr<std::byte[]>> memoryFor(std::uint64_t bytes);

class NodeView : public std::enable_shared_from_this<NodeView> {
 public:
  struct Options {
    TimePoint deadline = kNever;
    CallId call = 0;
  };
  // `shared`: null, or what may be mapped.
  NodeView(NodeConnection& connection, std::shared_ptr<SharedMemory> shared, const core::Plan& plan,
           std::uint64_t offset, std::uint64_t length, const Options& options, Callback<BytesView> done);

  void start();

 private:
  void read();
  void ended(const Wanted& wanted, const PinnedBytes& pinned);

  NodeConnection& connection_;
  const std::shared_ptr<SharedMemory> shared_;
  const core::SharedPlan plan_;
  const std::uint64_t offset_, length_;
  const Options options_;
  Callback<BytesView> done_;
  std::shared_ptr<std::byte[]> copy_;
};

}  // namespace forebay::client
