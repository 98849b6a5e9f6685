#include "io/reactor.h"

#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace forebay::io {
namespace {
// Few: timers and posted tasks wait for them, and each may receive a MiB into fresh pages.
constexpr int kEventsPerRound = 16;
constexpr std::size_t kKeptTasks = 1'024;  // whose places are kept
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
  const bool in_loop = inLoop();
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
    if (!in_loop) others_posted_ = true;
  }
  if (in_loop) return;  // it is awake, and looks before it waits
  if (first) wake();    // who else made the queue non-empty has woken the loop
}

void Reactor::wake() {
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

bool Reactor::runPosted(bool as_guest) {
  {
    const std::lock_guard lock(posted_mutex_);
    if (as_guest && others_posted_) return false;
    running_.swap(posted_);
    others_posted_ = false;
  }
  for (Task& task : running_) task();
  running_.clear();
  if (running_.capacity() > kKeptTasks) std::vector<Task>().swap(running_);
  return true;
}

bool Reactor::anyPosted() {
  const std::lock_guard lock(posted_mutex_);
  return !posted_.empty();
}

// Waits for what happens, and does it.
void Reactor::round() {
  epoll_event events[kEventsPerRound];
  const int n = epoll_wait(epoll_fd_, events, kEventsPerRound, anyPosted() ? 0 : pollTimeoutMs());
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
}

void Reactor::run() {
  std::unique_lock driving(driving_);
  loop_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (!stopping_.load(std::memory_order_acquire)) {
    if (std::exchange(aside_, false)) waitAside(driving);
    round();
    runPosted(false);
  }
  runPosted(false);
  loop_thread_.store(std::thread::id{}, std::memory_order_relaxed);
}

// ---- guests

void Reactor::stepAside() {
  aside_ = true;
  aside_until_ = now() + kAside;
}

// Who posts a task wakes it as ever, and so does a guest that leaves work behind.
void Reactor::waitAside(std::unique_lock<std::mutex>& driving) {
  is_aside_.store(true);
  loop_thread_.store(std::thread::id{}, std::memory_order_relaxed);
  for (bool woken = false; !woken && !stopping_.load() && !anyPosted();) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(aside_until_ - now()).count();
    if (left <= 0) break;
    const timespec time{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    pollfd wake{.fd = wake_fd_, .events = POLLIN, .revents = 0};
    driving.unlock();
    woken = ppoll(&wake, 1, &time, nullptr) > 0;
    driving.lock();
  }
  is_aside_.store(false);
  aside_ = false;
  loop_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

bool Reactor::enter() {
  if (!is_aside_.load() || !driving_.try_lock()) return false;
  if (!is_aside_.load()) {
    driving_.unlock();
    return false;
  }
  loop_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  return true;
}

void Reactor::drive(const std::function<bool()>& done) {
  while (!stopping_.load() && runPosted(true) && !done()) round();
}

// What it touches last is the lock: the loop's own thread may end, and the loop with it, as soon as it has that.
void Reactor::leave(bool all_done) {
  if (all_done && !anyPosted())
    aside_until_ = now() + kAside;
  else
    wake();
  loop_thread_.store(std::thread::id{}, std::memory_order_relaxed);
  driving_.unlock();
}

}  // namespace forebay::io
