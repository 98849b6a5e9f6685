#include "fake_origin/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

namespace forebay::fake {
namespace {

// What one connection sends before the next one has its turn.
constexpr std::uint64_t kTurnBytes = kMiB;
constexpr std::size_t kReadBytes = 256 * kKiB;

std::array<char, kReadBytes>& scratch() {
  static thread_local std::array<char, kReadBytes> buffer;
  return buffer;
}

}  // namespace

Connection::~Connection() {
  if (state_ != State::Closed) ::close(fd_);
}

Status Connection::start() {
  const int yes = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  interest_ = EPOLLIN;
  TRY(server_.reactor_.watch(fd_, interest_,
                             [self = shared_from_this()](std::uint32_t events) { self->onEvents(events); }));
  advance();
  return {};
}

void Connection::close() {
  if (state_ == State::Closed) return;
  state_ = State::Closed;
  server_.reactor_.cancel(timer_);
  server_.reactor_.unwatch(fd_);
  if (exchange_ && exchange_->disruption.reset) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  ::close(fd_);
  if (exchange_) server_.handler_.ended(*exchange_);
  exchange_.reset();
  server_.connections_.erase(fd_);
}

void Connection::want(std::uint32_t events) {
  if (interest_ == events) return;
  interest_ = events;
  if (!server_.reactor_.modify(fd_, events)) close();
}

void Connection::after(Duration delay, void (Connection::*then)()) {
  server_.reactor_.cancel(timer_);
  timer_ = server_.reactor_.after(delay, [weak = weak_from_this(), then] {
    const auto self = weak.lock();
    if (!self || self->state_ == State::Closed) return;
    self->timer_ = 0;
    (self.get()->*then)();
    self->advance();
  });
}

void Connection::onEvents(std::uint32_t events) {
  if (state_ == State::Closed) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 || (events & interest_ & EPOLLRDHUP) != 0) return close();
  if (state_ == State::Sending) {
    send();
    advance();
  } else if (state_ == State::Head || state_ == State::Body) {
    readMore();
  }
}

void Connection::resume() {
  if (state_ != State::Sending) return;
  send();
  advance();
}

void Connection::readMore() {
  auto& buffer = scratch();
  const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n == 0) return close();
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) close();
    return;
  }
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
  if (state_ == State::Body && input_.empty()) {  // the bulk of a large body skips the input buffer
    const std::string_view mine = bytes.substr(0, receiver_.left());
    if (!receiver_.add(mine)) return close();
    bytes.remove_prefix(mine.size());
  }
  input_ += bytes;
  advance();
}

void Connection::advance() {
  while (state_ == State::Head || state_ == State::Body) {
    const bool went_on = state_ == State::Head ? takeHead() : takeBody();
    if (went_on) continue;
    if (state_ != State::Head && state_ != State::Body) break;
    want(EPOLLIN);
    if (state_ == State::Head)
      after(std::chrono::milliseconds(server_.handler_.settings().idle_timeout_ms), &Connection::close);
    return;
  }
}

bool Connection::takeHead() {
  std::size_t consumed = 0;
  auto head = parseHead(input_, consumed);
  if (!head) {
    refuseMalformed(head.error());
    return false;
  }
  if (!*head) return false;
  input_.erase(0, consumed);
  server_.reactor_.cancel(timer_);
  exchange_ = std::make_unique<Exchange>();
  exchange_->head = std::move(**head);
  close_after_ = !exchange_->head.keep_alive;
  const Head& request = exchange_->head;
  const int too_much = request.chunked ? 411 : request.content_length > server_.max_body_bytes_ ? 413 : 0;
  server_.handler_.begin(*exchange_);
  if (too_much != 0) {  // the body can't be skipped either: answer and close
    exchange_->refused = true;
    exchange_->answer = Answer{.status = too_much};
    close_after_ = true;
    receiver_ = BodyReceiver();
    requestComplete();
    return true;
  }
  if (!receiver_.begin(request, !exchange_->refused)) {
    close();
    return false;
  }
  if (request.header("expect") == "100-continue") {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    ::send(fd_, kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
  }
  state_ = State::Body;
  return true;
}

bool Connection::takeBody() {
  const std::string_view mine = std::string_view(input_).substr(0, receiver_.left());
  if (!mine.empty()) {
    if (!receiver_.add(mine)) {
      close();
      return false;
    }
    input_.erase(0, mine.size());
  }
  if (receiver_.left() > 0) return false;
  requestComplete();
  return true;
}

void Connection::refuseMalformed(const Error& error) {
  server_.handler_.malformed();
  const int status = error.code == Code::Busy ? 431 : 400;
  head_ = fmt::format("HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, reason(status));
  close_after_ = true;
  body_left_ = 0;
  state_ = State::Sending;
  send();
}

void Connection::requestComplete() {
  exchange_->body = receiver_.finish();
  server_.handler_.answer(*exchange_);
  if (exchange_->disruption.hang || exchange_->delay > Duration{0}) {
    state_ = State::Waiting;
    want(EPOLLRDHUP);
    if (!exchange_->disruption.hang && state_ == State::Waiting) after(exchange_->delay, &Connection::startAnswer);
    return;
  }
  startAnswer();
}

void Connection::startAnswer() {
  const Answer& answer = exchange_->answer;
  const Disruption& disruption = exchange_->disruption;
  const std::uint64_t length = answer.no_body ? 0 : answer.length;
  body_left_ = std::min(length, disruption.stop_after.value_or(length));
  close_after_ = close_after_ || disruption.stop_after || disruption.claim_delta != 0;
  const std::int64_t claimed = static_cast<std::int64_t>(answer.length) + disruption.claim_delta;
  writeHead(static_cast<std::uint64_t>(std::max<std::int64_t>(claimed, 0)));
  segment_ = 0;
  segment_sent_ = 0;
  drip_left_ = disruption.drip_bytes;
  exchange_->record.length = length;
  state_ = State::Sending;
  send();
}

void Connection::writeHead(std::uint64_t claimed_length) {
  const Answer& answer = exchange_->answer;
  head_ = fmt::format("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
  for (const auto& [name, value] : answer.headers) head_ += fmt::format("{}: {}\r\n", name, value);
  if (answer.status != 204 && answer.status != 304) head_ += fmt::format("Content-Length: {}\r\n", claimed_length);
  // A connection that ends because of a fault doesn't announce it.
  if (!exchange_->head.keep_alive) head_ += "Connection: close\r\n";
  head_ += fmt::format("Date: {}\r\n\r\n", httpDate(io::Reactor::wallNs() / 1'000'000'000));
}

void Connection::send() {
  if (!sendHead()) return;
  std::uint64_t budget = kTurnBytes;
  while (body_left_ > 0) {
    if (budget == 0) return want(EPOLLOUT);  // others first; the socket is likely still writable
    if (!sendBody(budget)) return;
  }
  answerSent();
}

bool Connection::sendHead() {
  while (!head_.empty()) {
    const int more = body_left_ > 0 ? MSG_MORE : 0;
    const ssize_t n = ::send(fd_, head_.data(), head_.size(), MSG_NOSIGNAL | more);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno == EAGAIN)
        want(EPOLLOUT);
      else
        close();
      return false;
    }
    head_.erase(0, static_cast<std::size_t>(n));
  }
  return true;
}

std::uint64_t Connection::allowance(std::uint64_t bytes) {
  if (exchange_->disruption.drip_bytes != 0) {
    bytes = std::min(bytes, drip_left_);
    if (bytes == 0) {
      drip_left_ = exchange_->disruption.drip_bytes;
      want(EPOLLRDHUP);
      if (state_ == State::Sending) after(exchange_->disruption.drip_every, &Connection::send);
      return 0;
    }
  }
  const std::uint64_t rate = server_.handler_.settings().rate_bytes;
  if (rate == 0) return bytes;
  const std::uint64_t granted = server_.bucket_.take(bytes, rate, io::Reactor::now());
  if (granted == 0) {
    want(EPOLLRDHUP);
    server_.throttle(shared_from_this());
  }
  return granted;
}

bool Connection::sendBody(std::uint64_t& budget) {
  const Segment& segment = exchange_->answer.body[segment_];
  const std::uint64_t wanted = std::min({segment.length - segment_sent_, body_left_, budget});
  const std::uint64_t granted = allowance(wanted);
  if (granted == 0) return false;
  const ssize_t n = sendPiece(segment, granted);
  const std::uint64_t sent = n > 0 ? static_cast<std::uint64_t>(n) : 0;
  if (server_.handler_.settings().rate_bytes != 0) server_.bucket_.giveBack(granted - sent);
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && errno == EAGAIN) {
    want(EPOLLOUT);
    return false;
  }
  if (n <= 0) {  // the client is gone, or the file is shorter than it was: the body can't be completed
    close();
    return false;
  }
  budget -= sent;
  moved(sent);
  return true;
}

ssize_t Connection::sendPiece(const Segment& segment, std::uint64_t most) {
  if (segment.text) return ::send(fd_, segment.text->data() + segment.offset + segment_sent_, most, MSG_NOSIGNAL);
  auto from = static_cast<off_t>(segment.offset + segment_sent_);
  return sendfile(fd_, *segment.file, &from, most);
}

void Connection::moved(std::uint64_t bytes) {
  segment_sent_ += bytes;
  body_left_ -= bytes;
  exchange_->record.sent += bytes;
  if (exchange_->disruption.drip_bytes != 0) drip_left_ -= bytes;
  if (segment_sent_ < exchange_->answer.body[segment_].length) return;
  ++segment_;
  segment_sent_ = 0;
}

void Connection::answerSent() {
  if (close_after_) return close();
  server_.handler_.ended(*exchange_);
  exchange_.reset();
  state_ = State::Head;
}

}  // namespace forebay::fake
