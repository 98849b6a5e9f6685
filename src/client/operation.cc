#include "client/operation.h"

#include <algorithm>
#include <utility>

#include "core/backoff.h"

namespace forebay::client {
namespace {

constexpr Duration kDefaultDeadline = 60s;
constexpr core::Backoff kBackoff{.first = 20ms, .most = 1s};

Error shuttingDown() {
  return {Code::Cancelled, "the client is shutting down", 0};
}

}  // namespace

Operation::Operation(OperationLoop& loop, TimePoint deadline, CallId call)
    : deadline_(deadline == kNever ? io::Reactor::now() + kDefaultDeadline : deadline), loop_(loop), call_(call) {}

void Operation::close() {
  if (place_ == kNotOpen) return;
  auto& open = loop_.open_;
  const auto self = std::exchange(open[place_], std::move(open.back()));
  if (open[place_]) open[place_]->place_ = place_;
  open.pop_back();
  place_ = kNotOpen;
}

void Operation::failed(const Error& error) {
  if (error.retryable()) return again(error);
  const auto self = shared_from_this();
  close();
  // Whoever was turned away until the deadline wants to know why, not that time is up.
  finish(error.code == Code::DeadlineExceeded && busy_ ? *busy_ : error);
}

void Operation::again(const Error& error) {
  const auto self = shared_from_this();
  if (error.code == Code::Busy)
    busy_ = error;
  else
    busy_.reset();
  const Duration wait = kBackoff.wait(attempts_++, loop_.random_, std::chrono::milliseconds(error.retry_after_ms));
  if (loop_.closing_ || io::Reactor::now() + wait >= deadline_) {
    close();
    finish(error);
    return;
  }
  timer_ = loop_.reactor_->after(wait, [self] {
    self->timer_ = 0;
    self->attempt();
  });
}

void Operation::abort(const Error& error) {
  const auto self = shared_from_this();
  if (timer_ != 0) loop_.reactor_->cancel(std::exchange(timer_, 0));
  close();
  forget();
  finish(error);
}

OperationLoop::OperationLoop() : random_(systemRandom()) {}

Status OperationLoop::startLoop(std::move_only_function<Status()> make_channels) {
  reactor_ = TRY(io::Reactor::create());
  resolver_ = std::make_unique<io::WorkerPool>(*reactor_, 1, 16);
  TRY(make_channels());
  thread_ = std::thread([this] { reactor_->run(); });
  return {};
}

void OperationLoop::stop() {
  reactor_->post([this] {
    closing_ = true;
    closeChannels();
    const auto waiting = open_;
    for (const auto& operation : waiting)
      if (operation->place_ != Operation::kNotOpen && operation->idle()) operation->abort(shuttingDown());
    // What was posted before is asked for in later rounds of the loop, and refused: stop when all of it was.
    stopWhenIdle();
  });
  thread_.join();
  resolver_.reset();
  freeChannels();
}

bool OperationLoop::enter() {
  if (!reactor_->enter()) return false;
  if (open_.empty() && !closing_) return true;
  reactor_->leave(false);
  return false;
}

void OperationLoop::stepAside() {
  if (open_.empty() && !closing_) reactor_->stepAside();
}

void OperationLoop::stopWhenIdle() {
  if (open_.empty()) return reactor_->stop();
  reactor_->after(1ms, [this] { stopWhenIdle(); });
}

// What a callback starts is open at once, so that cancel() finds the second step of a call as it does the first. The
// tasks are as small as they are so that the loop's queue has room for them without an allocation.
void OperationLoop::run(std::shared_ptr<Operation> operation) {
  if (!reactor_->inLoop()) return reactor_->post([this, operation = std::move(operation)] { begin(operation); });
  open(operation);
  reactor_->post([this, operation = std::move(operation)] {
    if (operation->place_ != Operation::kNotOpen) begin(operation);  // else it was cancelled since
  });
}

void OperationLoop::begin(const std::shared_ptr<Operation>& operation) {
  open(operation);
  if (closing_) return operation->abort(shuttingDown());
  operation->attempt();
}

void OperationLoop::open(const std::shared_ptr<Operation>& operation) {
  if (operation->place_ != Operation::kNotOpen) return;
  operation->place_ = open_.size();
  open_.push_back(operation);
}

void OperationLoop::cancel(CallId call) {
  reactor_->post([this, call] {
    for (;;) {
      const auto found = std::ranges::find_if(open_, [&](const auto& operation) { return operation->call() == call; });
      if (found == open_.end()) return;
      Operation& operation = **found;  // keeps itself until it has ended
      operation.abort({Code::Cancelled, "the caller cancelled it", 0});
    }
  });
}

}  // namespace forebay::client
