#include "io/worker_pool.h"

namespace forebay::io {

WorkerPool::WorkerPool(Reactor& reactor, unsigned threads, std::size_t max_queued)
    : reactor_(reactor), max_queued_(max_queued) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
}

Status WorkerPool::submit(Task work, Task done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(Code::Cancelled, "the worker pool is shutting down");
    if (queue_.size() >= max_queued_) return fail(Code::Busy, "too much file work is waiting; try again", 20);
    queue_.emplace_back(std::move(work), std::move(done));
  }
  ready_.notify_one();
  return {};
}

void WorkerPool::serve() {
  while (true) {
    std::pair<Task, Task> job;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job.first();
    reactor_.post(std::move(job.second));
  }
}

}  // namespace forebay::io
