#include "io/helper/backings.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

namespace forebay::io::helper {
namespace {

constexpr Duration kBackingPatience = 500ms;  // a round trip is tens of microseconds
constexpr Duration kFirstRetry = 250ms, kLastRetry = 5s;
constexpr std::size_t kMaxToClose = 65'536;

bool isAnswer(Code code) {
  return code != Code::Gone && code != Code::DeadlineExceeded && code != Code::Corrupt && code != Code::Unavailable;
}

}  // namespace

HelperBackings::HelperBackings(std::string path, int device)
    : path_(std::move(path)), device_(device), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  reconnect();
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the program's handlers run on the program's threads
  keeper_ = std::thread([this] { keep(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

HelperBackings::~HelperBackings() {
  stopping_.store(true);
  wake();
  keeper_.join();
}

int HelperBackings::open(int file) {
  if (!available()) return -EAGAIN;
  const std::lock_guard one(asking_);
  const Socket socket = this->socket();
  if (socket == nullptr) return -EAGAIN;
  int error = 0;
  const auto answer =
      ask(socket->get(), {.operation = Operation::OpenBacking}, std::array{device_, file}, kBackingPatience, &error);
  if (answer) return static_cast<int>(answer->reply.number);
  if (error == 0 || !isAnswer(answer.error().code)) {
    lost(socket, answer.error());
    return -EAGAIN;
  }
  const std::lock_guard lock(mutex_);
  refused_ = fmt::format("the helper at {} refused: {}", path_, answer.error().message);
  return -error;
}

void HelperBackings::close(std::uint32_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (to_close_.size() >= kMaxToClose) to_close_.pop_front();  // it ends with the mount
    to_close_.push_back(id);
  }
  wake();
}

std::string HelperBackings::note() const {
  const std::lock_guard lock(mutex_);
  if (!why_away_.empty()) return why_away_;
  return refused_.empty() ? fmt::format("by the helper at {}", path_) : refused_;
}

HelperBackings::Socket HelperBackings::socket() const {
  const std::lock_guard lock(mutex_);
  return socket_;
}

void HelperBackings::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void HelperBackings::lost(const Socket& socket, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (socket_ != socket) return;  // there is a new one already
    socket_.reset();
    why_away_ = fmt::format("the helper at {} can't be asked: {}", path_, error.message);
  }
  if (available_.exchange(false))
    log::warn("fuse",
              "the helper at {} has gone ({}): until it is back, whole objects that are opened come through "
              "this process",
              path_, error.message);
  wake();
}

void HelperBackings::reconnect() {
  auto made = connectTo(path_);
  if (made) {
    const auto hello = ask(made->get(), {.operation = Operation::Hello}, {}, kBackingPatience);
    if (!hello) made = fail(hello.error());
  }
  const std::lock_guard lock(mutex_);
  if (!made) {
    // Said once: the reason for which it is away at first.
    if (why_away_.empty())
      log::warn("fuse", "whole objects that are opened come through this process: the helper at {} can't be asked: {}",
                path_, made.error().message);
    why_away_ = fmt::format("the helper at {} can't be asked: {}", path_, made.error().message);
    return;
  }
  const bool was_away = !why_away_.empty();
  socket_ = std::make_shared<const Descriptor>(std::move(*made));
  why_away_.clear();
  refused_.clear();
  available_.store(true);
  if (was_away) log::info("fuse", "the helper at {} is back", path_);
}

bool HelperBackings::waitForWork(const Socket& socket, Duration at_most) {
  // Without events the kernel tells of a connection that has ended, and of nothing else: answers are for who asked.
  std::array<pollfd, 2> waiting = {{{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = socket == nullptr ? -1 : socket->get(), .events = 0, .revents = 0}}};
  (void)::poll(waiting.data(), waiting.size(), socket == nullptr ? static_cast<int>(toMs(at_most)) : -1);
  std::uint64_t woken = 0;
  (void)!::read(wake_.get(), &woken, sizeof woken);
  if (waiting[1].revents != 0 && this->socket() == socket)
    lost(socket, Error{.code = Code::Gone, .message = "it has closed the connection"});
  return !stopping_.load();
}

void HelperBackings::keep() {
  Duration pause = kFirstRetry;
  TimePoint next = std::chrono::steady_clock::now() + pause;
  for (;;) {
    const Socket socket = this->socket();
    const TimePoint now = std::chrono::steady_clock::now();
    if (!waitForWork(socket, std::max<Duration>(next - now, 1ms))) return;
    if (socket != nullptr) {
      sendCloses();
      pause = kFirstRetry;
      next = std::chrono::steady_clock::now() + pause;
    } else if (std::chrono::steady_clock::now() >= next) {
      reconnect();
      pause = std::min(2 * pause, kLastRetry);
      next = std::chrono::steady_clock::now() + pause;
      if (available()) wake();  // for closes that waited
    }
  }
}

void HelperBackings::sendCloses() {
  while (!stopping_.load()) {
    std::uint32_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      if (to_close_.empty() || socket_ == nullptr) return;
      id = to_close_.front();
      to_close_.pop_front();
    }
    const std::lock_guard one(asking_);
    const Socket socket = this->socket();
    const Request request{.operation = Operation::CloseBacking, .number = id};
    int error = 0;
    const auto answer = socket == nullptr ? Result<Answer>(fail(Code::Gone, "no connection"))
                                          : ask(socket->get(), request, std::array{device_}, kBackingPatience, &error);
    if (answer) continue;
    if (error != 0 && isAnswer(answer.error().code)) {
      log::debug("fuse", "close backing file {}: {}", id, answer.error().message);
      continue;
    }
    if (socket != nullptr) lost(socket, answer.error());
    const std::lock_guard lock(mutex_);
    to_close_.push_front(id);
    return;
  }
}

}  // namespace forebay::io::helper
