// Threads for what blocks (files of a directory origin): work runs there, its continuation in a reactor's loop.
//
// Bounded: `max_queued` pieces of work wait; one more is refused with Busy. Destruction finishes what runs, drops what
// waits (its `done` never runs) and joins: destroy the pool before whatever `done` refers to, or make `done` check.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "io/reactor.h"

namespace forebay::io {

class WorkerPool {
 public:
  WorkerPool(Reactor& reactor, unsigned threads, std::size_t max_queued);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // From any thread. `work` runs on a thread of the pool, then `done` in the reactor's loop.
  Status submit(Task work, Task done);

 private:
  void serve();
  Reactor& reactor_;
  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::pair<Task, Task>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace forebay::io
