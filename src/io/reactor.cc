#include "io/reactor.h"

#include <cerrno>
#include <sys/eventfd.h>
#include <unistd.h>

namespace forebay::io {
namespace {
// Few: timers and posted tasks wait for them, and each may receive a MiB into fresh pages.
constexpr int kEventsPerRound = 16;
}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create() {
  std::unique_ptr<Reactor> reactor(new Reactor);
  reactor->epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (reactor->epoll_fd_ < 0) return failErrno("epoll_create1", errno);
  reactor->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (reactor->wake_fd_ < 0) return failErrno("eventfd", errno);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (epoll_ctl(reactor->epoll_fd_, EPOLL_CTL_ADD, reactor->wake_fd_, &event) != 0)
    return failErrno("epoll_ctl", errno);
  return reactor;
}

Reactor::~Reactor() {
  if (wake_fd_ >= 0) close(wake_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

std::int64_t Reactor::wallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Reactor::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  // Whoever made the queue non-empty has woken the loop, and the loop itself is awake: it looks before it waits.
  if (!first || inLoop()) return;
  const std::uint64_t one = 1;
  while (write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Reactor::stop() {
  stopping_.store(true, std::memory_order_release);
  post([] {});
}

TimerId Reactor::at(TimePoint when, Task task) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair{when, id}, std::move(task));
  timer_times_.emplace(id, when);
  return id;
}

void Reactor::cancel(TimerId id) {
  auto known = timer_times_.find(id);
  if (known == timer_times_.end()) return;
  timers_.erase({known->second, id});
  timer_times_.erase(known);
}

// epoll's user data: the generation in the high half guards against a reused descriptor number.
Status Reactor::watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
  auto watch = std::make_shared<Watch>(std::move(callback), next_generation_++ & 0xffffffffU);
  epoll_event event{.events = events, .data = {.u64 = watch->generation << 32 | static_cast<std::uint32_t>(fd)}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return failErrno("epoll_ctl add", errno);
  watches_[fd] = std::move(watch);
  return {};
}

Status Reactor::modify(int fd, std::uint32_t events) {
  auto known = watches_.find(fd);
  if (known == watches_.end()) return fail(Code::Internal, "modify of a descriptor that nobody watches");
  epoll_event event{.events = events,
                    .data = {.u64 = known->second->generation << 32 | static_cast<std::uint32_t>(fd)}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) != 0) return failErrno("epoll_ctl mod", errno);
  return {};
}

void Reactor::unwatch(int fd) {
  if (watches_.erase(fd) == 0) return;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

int Reactor::pollTimeoutMs() const {
  if (timers_.empty()) return -1;
  const auto wait = timers_.begin()->first.first - now();
  if (wait <= Duration{0}) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return ms > 60'000 ? 60'000 : static_cast<int>(ms);
}

void Reactor::runTimers() {
  const TimePoint time = now();
  while (!timers_.empty() && timers_.begin()->first.first <= time) {
    auto due = timers_.extract(timers_.begin());
    timer_times_.erase(due.key().second);
    due.mapped()();
  }
}

void Reactor::runPosted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void Reactor::run() {
  loop_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  epoll_event events[kEventsPerRound];
  const auto posted = [this] {
    const std::lock_guard lock(posted_mutex_);
    return !posted_.empty();
  };
  while (!stopping_.load(std::memory_order_acquire)) {
    const int n = epoll_wait(epoll_fd_, events, kEventsPerRound, posted() ? 0 : pollTimeoutMs());
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) {
        std::uint64_t ignored;
        while (read(wake_fd_, &ignored, sizeof ignored) < 0 && errno == EINTR) {
        }
        continue;
      }
      auto known = watches_.find(static_cast<int>(events[i].data.u64 & 0xffffffffU));
      if (known == watches_.end() || known->second->generation != events[i].data.u64 >> 32) continue;
      const auto keep = known->second;  // the callback may unwatch itself
      keep->callback(events[i].events);
    }
    runTimers();
    runPosted();
  }
  runPosted();
  loop_thread_.store(std::thread::id{}, std::memory_order_relaxed);
}

}  // namespace forebay::io
