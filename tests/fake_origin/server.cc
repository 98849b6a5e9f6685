#include "fake_origin/server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "fake_origin/connection.h"

namespace forebay::fake {
namespace {

// Below a piece, waiting costs less than the system call. Slow rates have small pieces, so that they still flow.
std::uint64_t pieceOf(std::uint64_t rate) {
  return std::clamp<std::uint64_t>(rate / 100, kKiB, 64 * kKiB);
}
double burstOf(std::uint64_t rate) {
  return static_cast<double>(std::max(rate / 200, 4 * pieceOf(rate)));
}

}  // namespace

std::uint64_t TokenBucket::take(std::uint64_t want, std::uint64_t rate, TimePoint now) {
  const double elapsed = std::chrono::duration<double>(now - filled_).count();
  tokens_ = std::min(burstOf(rate), tokens_ + elapsed * static_cast<double>(rate));
  filled_ = now;
  const std::uint64_t least = std::min(want, pieceOf(rate));
  if (tokens_ < static_cast<double>(least)) return 0;
  const std::uint64_t granted = std::min(want, static_cast<std::uint64_t>(tokens_));
  tokens_ -= static_cast<double>(granted);
  return granted;
}

TimePoint TokenBucket::readyAt(std::uint64_t rate, TimePoint now) const {
  const double missing = static_cast<double>(pieceOf(rate)) - tokens_;
  if (missing <= 0 || rate == 0) return now;
  return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(missing / static_cast<double>(rate)));
}

Server::~Server() {
  reactor_.cancel(throttle_timer_);
  while (!connections_.empty()) {
    const auto connection = connections_.begin()->second;
    connection->close();
  }
  if (listener_ < 0) return;
  reactor_.unwatch(listener_);
  ::close(listener_);
}

Result<std::uint16_t> Server::listen(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);  // sendfile knows no MSG_NOSIGNAL
  max_body_bytes_ = options.max_body_bytes;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1)
    return fail(Code::InvalidArgument, fmt::format("'{}' is no IPv4 address to listen on", options.host));
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener_ < 0) return failErrno("socket", errno);
  const int yes = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const std::string place = fmt::format("{}:{}", options.host, options.port);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failErrno("bind " + place, errno);
  if (::listen(listener_, 1024) != 0) return failErrno("listen on " + place, errno);
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  TRY(reactor_.watch(listener_, EPOLLIN, [this](std::uint32_t) { acceptAll(); }));
  return ntohs(address.sin_port);
}

void Server::acceptAll() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) log::warn("fake_origin", "accept: errno {}", errno);
      return;
    }
    if (connections_.size() == kMaxConnections) {
      ::close(fd);
      continue;
    }
    auto connection = std::make_shared<Connection>(*this, fd);
    connections_.emplace(fd, connection);
    handler_.connected();
    if (!connection->start()) connection->close();
  }
}

void Server::throttle(const std::shared_ptr<Connection>& connection) {
  throttled_.push_back(connection);
  if (throttle_timer_ != 0) return;
  const TimePoint now = io::Reactor::now();
  throttle_timer_ = reactor_.at(std::max(bucket_.readyAt(handler_.settings().rate_bytes, now), now + 1ms),
                                [this] { wakeThrottled(); });
}

void Server::wakeThrottled() {
  throttle_timer_ = 0;
  std::deque<std::weak_ptr<Connection>> waiting;
  waiting.swap(throttled_);
  while (!waiting.empty()) {
    const std::uint64_t rate = handler_.settings().rate_bytes;
    const TimePoint now = io::Reactor::now();
    bucket_.giveBack(bucket_.take(0, rate == 0 ? 1 : rate, now));  // refills
    if (rate != 0 && bucket_.readyAt(rate, now) > now) break;
    const auto connection = waiting.front().lock();
    waiting.pop_front();
    if (connection) connection->resume();
  }
  // Who got nothing keeps its place before those that have just been served.
  throttled_.insert(throttled_.begin(), waiting.begin(), waiting.end());
  if (throttled_.empty() || throttle_timer_ != 0) return;
  const TimePoint now = io::Reactor::now();
  throttle_timer_ = reactor_.at(std::max(bucket_.readyAt(handler_.settings().rate_bytes, now), now + 1ms),
                                [this] { wakeThrottled(); });
}

}  // namespace forebay::fake
