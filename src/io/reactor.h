// One thread's event loop: file descriptors (epoll), timers, and work posted from other threads.
//
//   auto reactor = TRY(Reactor::create());
//   TRY(reactor->watch(fd, EPOLLIN, [&](std::uint32_t events) { ... }));
//   reactor->after(50ms, [] { ... });
//   reactor->run();                      // until stop()
//
// Threading: everything but post(), stop() and now() is for the loop's own thread (or before run()). A callback may
// watch, unwatch, cancel and post freely, also itself. Callbacks never block: files go to a WorkerPool.
//
// Guests: a thread that waits for an answer can do the loop's work meanwhile, which saves it two wake-ups.
//   stepAside()   in the loop, for an answer that a thread waits for: the loop's own thread leaves the loop alone for
//                 kAside, because that thread may ask again
//   enter()       true: the loop was left alone, and the calling thread is the loop until leave()
//   drive()       rounds of the loop until `done`, or until another thread posts something: what that is runs in the
//                 loop's own thread, so that a guest meets nobody's callbacks but its own
//   leave()       `all_done`: nothing is on its way, and the loop is left alone once more
// Bounds: what is posted is bounded by whoever posts (requests in flight), not here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sys/epoll.h>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace forebay::io {

using Task = std::move_only_function<void()>;
using TimerId = std::uint64_t;  // 0 is never given out

class Reactor {
 public:
  static Result<std::unique_ptr<Reactor>> create();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  void run();
  void stop();           // from any thread; run() returns after the callbacks of this round
  void post(Task task);  // from any thread; runs in the loop, in order
  bool inLoop() const { return loop_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

  static constexpr Duration kAside = 10ms;
  void stepAside();
  bool enter();
  void drive(const std::function<bool()>& done);
  void leave(bool all_done);

  // The monotonic clock. Cheap enough for every event (a vDSO call).
  static TimePoint now() { return std::chrono::steady_clock::now(); }
  // Nanoseconds since 1970, for what is shown or signed.
  static std::int64_t wallNs();

  TimerId at(TimePoint when, Task task);
  TimerId after(Duration delay, Task task) { return at(now() + delay, std::move(task)); }
  void cancel(TimerId id);  // unknown and past ids are fine

  // `events` as for epoll (level-triggered). The descriptor stays the caller's; unwatch it before closing it.
  Status watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback);
  Status modify(int fd, std::uint32_t events);
  void unwatch(int fd);

 private:
  struct Watch {
    std::function<void(std::uint32_t)> callback;
    std::uint64_t generation;  // an event of an old watch of the same fd number must not reach a new one
  };
  Reactor() = default;
  int pollTimeoutMs() const;
  void round();
  void waitAside(std::unique_lock<std::mutex>& driving);
  bool anyPosted();
  void wake();
  void runTimers();
  bool runPosted(bool as_guest);  // false: a guest found tasks of others, and ran none

  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  std::atomic<std::thread::id> loop_thread_{};
  std::atomic<bool> stopping_{false};
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::uint64_t next_generation_ = 1;
  std::map<std::pair<TimePoint, TimerId>, Task> timers_;
  std::unordered_map<TimerId, TimePoint> timer_times_;
  TimerId next_timer_ = 1;
  std::mutex posted_mutex_;
  std::vector<Task> posted_;
  std::vector<Task> running_;   // of the loop: what was posted, while it runs
  bool others_posted_ = false;  // some of them are not the loop's own

  std::mutex driving_;     // whoever has it is the loop
  bool aside_ = false;     // stepAside() was called
  TimePoint aside_until_;  // under driving_
  std::atomic<bool> is_aside_{false};
};

}  // namespace forebay::io
