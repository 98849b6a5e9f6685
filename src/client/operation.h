// What a client's questions run on: the I/O thread, and the operations that are open.
//
// An Operation asks until it is answered for good. It is open from run() on; what is open is known in the loop, so that
// cancel() and stop() find it wherever it is: not yet asked, on its way, or waiting for another try. Its outcome is
// told once, by whoever closes it.
//
// Threading: run(), cancel() and stop() from any thread, all else in the loop.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/random.h"
#include "client/cell_reader.h"
#include "io/reactor.h"
#include "io/worker_pool.h"

namespace forebay::client {

class OperationLoop;

class Operation : public std::enable_shared_from_this<Operation> {
 public:
  // kNever is taken for a minute.
  Operation(OperationLoop& loop, TimePoint deadline, CallId call);
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  CallId call() const { return call_; }
  // The cell's map is newer than it was; for those that go by one.
  virtual void newMap() {}
  // Ends it with this error, wherever it is. Its requests' memory isn't touched any more.
  void abort(const Error& error);

 protected:
  friend class OperationLoop;
  // Sends what is to be sent, or ends.
  virtual void attempt() = 0;
  // Gives up what is on its way: nobody calls back.
  virtual void forget() = 0;
  // Tells the outcome, for good. Called once, when the operation is no longer open.
  virtual void finish(const Error& error) = 0;
  // Whether nothing of it is on its way, so that nobody tells it when the channels close.
  virtual bool idle() const { return timer_ != 0; }

  // After an attempt that failed: another one, if that can help and there is time, or the end.
  void failed(const Error& error);
  // The same for an error that helps to repeat whatever its code is.
  void again(const Error& error);
  // No longer open: before the outcome is told.
  void close();

  const TimePoint deadline_;

 private:
  OperationLoop& loop_;
  const CallId call_;
  static constexpr std::size_t kNotOpen = SIZE_MAX;
  std::size_t place_ = kNotOpen;  // among the open ones
  std::uint32_t attempts_ = 0;
  std::optional<Error> busy_;  // what the last attempt was told
  io::TimerId timer_ = 0;
};

class OperationLoop {
 public:
  OperationLoop();
  virtual ~OperationLoop() = default;
  OperationLoop(const OperationLoop&) = delete;
  OperationLoop& operator=(const OperationLoop&) = delete;

  // Ends what is open with Cancelled, and joins the thread. Before the destructor of whoever owns channels.
  void stop();

  // `attempt()` runs in the loop, never inside the call.
  void run(std::shared_ptr<Operation> operation);
  bool inLoop() const { return reactor_->inLoop(); }
  void post(std::move_only_function<void()> task) { reactor_->post(std::move(task)); }
  // Also what the ended operations' callbacks start under the same id: the next steps of the same call.
  void cancel(CallId call);

  // For a thread that waits for its call (io/reactor.h): false where the loop has other work, or its own thread.
  bool enter();
  void drive(const std::function<bool()>& done) { reactor_->drive(done); }
  void leave() { reactor_->leave(open_.empty()); }
  // In the loop: a thread that waits got its answer, and may ask again.
  void stepAside();

  io::Reactor& reactor() { return *reactor_; }
  Random& random() { return random_; }
  bool closing() const { return closing_; }
  const std::vector<std::shared_ptr<Operation>>& open() const { return open_; }

 protected:
  Status startLoop(std::move_only_function<Status()> make_channels);
  virtual void closeChannels() = 0;  // in the loop: what is on its way fails
  virtual void freeChannels() = 0;   // after it
  io::WorkerPool& resolver() { return *resolver_; }

 private:
  friend class Operation;
  void begin(const std::shared_ptr<Operation>& operation);
  void open(const std::shared_ptr<Operation>& operation);
  void stopWhenIdle();

  std::unique_ptr<io::Reactor> reactor_;
  std::unique_ptr<io::WorkerPool> resolver_;
  std::thread thread_;
  std::vector<std::shared_ptr<Operation>> open_;
  Random random_;
  bool closing_ = false;
};

}  // namespace forebay::client
