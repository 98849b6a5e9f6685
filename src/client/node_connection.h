// What NodeClient's questions run on: one channel, to the node.
#pragma once

#include <memory>
#include <string>

#include "client/operation.h"
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

 private:
  void closeChannels() override { channel_->close(); }
  void freeChannels() override { channel_.reset(); }

  const std::string name_;
  std::function<void()> lost_;
  std::unique_ptr<reader::Channel> channel_;
};

// One that has at most one request on its way.
class NodeOperation : public Operation {
 public:
  NodeOperation(NodeConnection& connection, TimePoint deadline, CallId call)
      : Operation(connection, deadline, call), connection_(connection) {}

 protected:
  reader::Channel& channel() { return connection_.channel(); }
  void forget() override {
    if (request_ != 0) channel().cancel(std::exchange(request_, 0));
  }

  reader::RequestId request_ = 0;  // on its way: attempt() sets it

 private:
  NodeConnection& connection_;
};

}  // namespace forebay::client
