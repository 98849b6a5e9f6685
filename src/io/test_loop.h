// For tests: a reactor in a thread of its own, and ways to act in it and to wait for it without relying on timing.
#pragma once

#include <future>
#include <gtest/gtest.h>
#include <thread>

#include "io/reactor.h"

namespace forebay::io {

class TestLoop {
 public:
  TestLoop() : reactor_(std::move(*Reactor::create())), thread_([this] { reactor_->run(); }) {}
  ~TestLoop() {
    reactor_->stop();
    thread_.join();
  }

  Reactor& reactor() { return *reactor_; }

  // Runs it in the loop, and waits for it.
  template <class F>
  auto in(F&& action) -> decltype(action()) {
    std::packaged_task<decltype(action())()> task(std::forward<F>(action));
    auto result = task.get_future();
    reactor_->post([&task] { task(); });
    return result.get();
  }

  // Waits until `condition` holds in the loop. The limit only ends a test that would hang.
  template <class F>
  [[nodiscard]] bool until(F condition) {
    const TimePoint limit = Reactor::now() + 30s;
    while (!in([&] { return static_cast<bool>(condition()); })) {
      if (Reactor::now() > limit) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::thread thread_;
};

}  // namespace forebay::io
