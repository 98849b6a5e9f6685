// What NodeClient's questions run on: one channel, to the node.
#pragma once

#include <memory>
#include <string>

#include "base/block_pool.h"
#include "client/operation.h"
#include "client/parts.h"
#include "io/socket.h"
#include "reader/channel.h"

namespace forebay::client {

class NodeConnection : public OperationLoop {
 public:
  explicit NodeConnection(std::string name) : name_(std::move(name)) {}
  Status start(const io::Address& node);
  reader::Channel& channel() { return *channel_; }
  // In the loop, when a connection that worked is over. Before the first use.
  void whenLost(std::function<void()> tell) { lost_ = std::move(tell); }

  // For what is asked next, empty: in the loop, and only until the next one is made.
  RequestBuilder& request() {
    builder_.clear();
    return builder_;
  }
  // Memory of reads.
  const std::shared_ptr<BlockPool>& readBlocks() const { return read_blocks_; }

 private:
  void closeChannels() override { channel_->close(); }
  void freeChannels() override { channel_.reset(); }

  const std::string name_;
  std::function<void()> lost_;
  std::unique_ptr<reader::Channel> channel_;
  RequestBuilder builder_;
  const std::shared_ptr<BlockPool> read_blocks_ = std::make_shared<BlockPool>(256);
};

// One that has at most one request on its way.
class NodeOperation : public Operation {
 public:
  NodeOperation(NodeConnection& connection, TimePoint deadline, CallId call)
      : Operation(connection, deadline, call), connection_(connection) {}

 protected:
  NodeConnection& connection() { return connection_; }
  reader::Channel& channel() { return connection_.channel(); }
  void forget() override {
    if (request_ != 0) channel().cancel(std::exchange(request_, 0));
  }

  reader::RequestId request_ = 0;  // on its way: attempt() sets it

 private:
  NodeConnection& connection_;
};

}  // namespace forebay::client
