// Those who wait for an answer about names, each until its own deadline.
//
// Threading: the reactor's loop. Destroying it drops who waits: no callback runs any more.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "io/reactor.h"

namespace forebay::node {

template <class T>
class NameWaiters {
 public:
  using Callback = std::move_only_function<void(Result<T>)>;

  explicit NameWaiters(io::Reactor& reactor) : reactor_(reactor) {}

  // `done` runs once: by tell(), or with DeadlineExceeded.
  std::uint64_t await(TimePoint deadline, Callback done) {
    const std::uint64_t id = next_++;
    io::TimerId timer = 0;
    if (deadline != kNever)
      timer = reactor_.at(deadline, [this, id, alive = std::weak_ptr(alive_)] {
        if (!alive.expired())
          tell(id, fail(Code::DeadlineExceeded, "the name wasn't answered before the request's deadline"));
      });
    waiting_.emplace(id, Waiting{std::move(done), timer});
    return id;
  }

  void tell(std::uint64_t id, Result<T> result) {
    auto known = waiting_.extract(id);
    if (known.empty()) return;  // its deadline passed
    if (known.mapped().timer != 0) reactor_.cancel(known.mapped().timer);
    known.mapped().done(std::move(result));
  }

 private:
  struct Waiting {
    Callback done;
    io::TimerId timer = 0;
  };
  io::Reactor& reactor_;
  std::uint64_t next_ = 1;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
