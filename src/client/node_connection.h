// What NodeClient's questions run on: a channel to the node, the I/O thread, and the operations that are open.
//
// An Operation asks until it is answered for good. It is open from run() on; what is open is known in the loop, so that
// cancel() and stop() find it wherever it is: not yet asked, on its way, or waiting for another try. Its outcome is
// told once, by whoever closes it.
//
// Threading: run(), cancel() and stop() from any thread, all else in the loop.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <thread>

#include "base/random.h"
#include "client/node_client.h"
#include "io/reactor.h"
#include "io/worker_pool.h"
#include "reader/channel.h"

namespace forebay::client {

class NodeConnection;

class Operation : public std::enable_shared_from_this<Operation> {
 public:
  // kNever is taken for a minute.
  Operation(NodeConnection& connection, TimePoint deadline, CallId call);
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  CallId call() const { return call_; }
  bool waiting() const { return timer_ != 0; }  // for another try
  // Ends it with this error, wherever it is. Its request's memory isn't touched any more.
  void abort(const Error& error);

 protected:
  friend class NodeConnection;
  // Sends the request: sets request_, or ends.
  virtual void attempt() = 0;
  // The request was cancelled: nobody calls back.
  virtual void forget() {}
  // Tells the outcome, for good. Called once, when the operation is no longer open.
  virtual void finish(const Error& error) = 0;

  reader::Channel& channel();
  // After an attempt that failed: another one, if that can help and there is time, or the end.
  void failed(const Error& error);
  // The same for an error that helps to repeat whatever its code is.
  void again(const Error& error);
  // No longer open: before the outcome is told.
  void close();

  const TimePoint deadline_;
  reader::RequestId request_ = 0;  // on its way

 private:
  NodeConnection& connection_;
  const CallId call_;
  std::uint32_t attempts_ = 0;
  io::TimerId timer_ = 0;
};

class NodeConnection {
 public:
  explicit NodeConnection(std::string name);
  Status start(const io::Address& node);
  // Ends what is open with Cancelled, and joins the thread.
  void stop();

  // `attempt()` runs in the loop, never inside the call.
  void run(std::shared_ptr<Operation> operation);
  bool inLoop() const { return reactor_->inLoop(); }
  void post(std::move_only_function<void()> task) { reactor_->post(std::move(task)); }
  // Also what the ended operations' callbacks start under the same id: the next steps of the same call.
  void cancel(CallId call);

 private:
  friend class Operation;
  void stopWhenIdle();

  const std::string name_;
  std::unique_ptr<io::Reactor> reactor_;
  std::unique_ptr<io::WorkerPool> resolver_;
  std::unique_ptr<reader::Channel> channel_;
  std::thread thread_;
  std::set<std::shared_ptr<Operation>> open_;
  Random random_;
  bool closing_ = false;
};

}  // namespace forebay::client
