// The life of a connection, and its sending side.
#include "io/connection.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace forebay::io {
namespace {

constexpr std::size_t kIovecs = 256;  // of one sendmsg: dozens of frames, or many small objects of one
constexpr std::size_t kBytesPerSend = 1 * kMiB;
constexpr std::size_t kLongAnswers = 8 * kKiB;  // together, while requests are still being received
constexpr int kSendsPerRound = 2;               // then other connections of the loop get their turn
constexpr std::size_t kKeptBuffer = 64 * kKiB;  // a larger buffer is given back after use
constexpr std::size_t kKeptPieces = 64;         // of a frame's bulk: the same
constexpr Duration kDrainTimeout = 1s;          // for the other side to read our last words and hang up

}  // namespace

ConnectionMetrics::ConnectionMetrics(Metrics& m, std::string_view side_name)
    : opened(m.counter("forebay_connections_opened_total", "Connections that agreed on a version.",
                       {{"side", std::string(side_name)}})),
      closed(m.counter("forebay_connections_closed_total", "Connections that ended, for whatever reason.",
                       {{"side", std::string(side_name)}})),
      bytes_in(m.counter("forebay_connection_received_bytes_total", "Bytes received, headers included.",
                         {{"side", std::string(side_name)}})),
      bytes_out(m.counter("forebay_connection_sent_bytes_total", "Bytes sent, headers included.",
                          {{"side", std::string(side_name)}})),
      frames_in(m.counter("forebay_connection_received_frames_total", "Frames received.",
                          {{"side", std::string(side_name)}})),
      frames_out(m.counter("forebay_connection_sent_frames_total", "Frames sent.", {{"side", std::string(side_name)}})),
      bad_frames(m.counter("forebay_connection_bad_frames_total",
                           "Frames that couldn't be one; each closed its connection.",
                           {{"side", std::string(side_name)}})),
      bad_hellos(m.counter("forebay_connection_bad_hellos_total",
                           "Connections without a Hello in time or a common version.",
                           {{"side", std::string(side_name)}})),
      corrupt_bulk(m.counter("forebay_connection_corrupt_bulk_total", "Frames whose bulk didn't match its checksums.",
                             {{"side", std::string(side_name)}})),
      stalled(m.counter("forebay_connection_stalled_total", "Connections dropped because their peer took nothing.",
                        {{"side", std::string(side_name)}})),
      refused_peers(m.counter("forebay_connection_refused_total", "Connections of a wrong user, or beyond the bound.",
                              {{"side", std::string(side_name)}})),
      open(m.gauge("forebay_connections_open", "Connections that are open now.", {{"side", std::string(side_name)}})) {}

Connection::Connection(Reactor& reactor, Descriptor fd, ConnectionOptions options, ConnectionHandler& handler)
    : reactor_(reactor), fd_(std::move(fd)), options_(std::move(options)), handler_(&handler) {}

Result<std::shared_ptr<Connection>> Connection::connect(Reactor& reactor, Descriptor fd, ConnectionOptions options,
                                                        ConnectionHandler& handler) {
  std::shared_ptr<Connection> connection(new Connection(reactor, std::move(fd), std::move(options), handler));
  TRY(connection->start(State::Connecting));
  return connection;
}

Result<std::shared_ptr<Connection>> Connection::accept(Reactor& reactor, Descriptor fd, ConnectionOptions options,
                                                       ConnectionHandler& handler, std::shared_ptr<const void> ticket) {
  std::shared_ptr<Connection> connection(new Connection(reactor, std::move(fd), std::move(options), handler));
  connection->ticket_ = std::move(ticket);
  TRY(connection->start(State::Greeting));
  return connection;
}

Connection::~Connection() {
  end(nullptr);
}

Status Connection::start(State state) {
  started_ = last_received_ = last_sent_ = Reactor::now();
  remote_.identity = identify(fd_.get());
  tuneStream(fd_.get(), remote_.identity.is_unix);
  interest_ = state == State::Connecting ? EPOLLOUT : EPOLLIN;
  const Status watched = reactor_.watch(fd_.get(), interest_, [this](std::uint32_t events) { onEvents(events); });
  if (!watched) return watched;
  state_ = state;
  connecting_side_ = state == State::Connecting;
  static std::atomic<std::uint64_t> sessions = 0;
  if (!connecting_side_) remote_.session = ++sessions;
  if (options_.metrics != nullptr) options_.metrics->open.add(1);
  armTimer();
  return {};
}

std::string Connection::name() const {
  const std::string where = remote_.identity.text();
  return remote_.name.empty() ? where : fmt::format("{} ({})", remote_.name, where);
}

void Connection::onEvents(std::uint32_t events) {
  const auto self = shared_from_this();  // a handler may let go of the last other reference
  if (failing_) return;
  if (state_ == State::Connecting) return finishConnect();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    if (state_ == State::Draining)
      drainInput();
    else if (!paused_)
      receive();
    else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
      const Error gone{.code = Code::Unavailable, .message = fmt::format("{} hung up", name())};
      return end(&gone);
    }
  }
  if ((events & EPOLLOUT) == 0 || state_ == State::Closed || failing_) return;
  if (const Status flushed = flush(); !flushed) return end(&flushed.error());
  tellWritable();
}

void Connection::updateInterest() {
  if (state_ == State::Closed || state_ == State::Connecting) return;
  std::uint32_t wanted = 0;
  if (!paused_ && (state_ != State::Draining || shut_)) wanted |= EPOLLIN;
  if (queue_count_ > 0 || refused_) wanted |= EPOLLOUT;
  if (wanted == interest_) return;
  interest_ = wanted;
  if (const Status modified = reactor_.modify(fd_.get(), wanted); !modified) failSoon(modified.error());
}

// ---- Time

void Connection::armTimer() {
  Duration delay = 0s;
  if (state_ == State::Connecting || state_ == State::Greeting) {
    delay = options_.handshake_timeout;
  } else if (state_ == State::Draining) {
    delay = kDrainTimeout;
  } else {
    delay = options_.stall_timeout;
    if (options_.idle_timeout > 0s) delay = std::min(delay, options_.idle_timeout);
    delay = std::max<Duration>(delay / 4, 5ms);  // what is due is noticed at most a quarter late
  }
  reactor_.cancel(timer_);
  timer_ = reactor_.after(delay, [this] { onTimer(); });
}

void Connection::onTimer() {
  const auto self = shared_from_this();
  timer_ = 0;
  const TimePoint now = Reactor::now();
  const auto over = [&](Code code, std::string text) {
    const Error error{.code = code, .message = std::move(text)};
    end(&error);
  };
  if (state_ == State::Connecting || state_ == State::Greeting) {
    if (options_.metrics != nullptr) options_.metrics->bad_hellos.add();
    return over(Code::Unavailable,
                fmt::format("{} said no Hello within {} ms", name(), toMs(options_.handshake_timeout)));
  }
  const bool stuck = queue_count_ > 0 && now - last_sent_ >= options_.stall_timeout;
  if (state_ == State::Draining && (shut_ || stuck)) return end(nullptr);
  if (stuck) {
    if (options_.metrics != nullptr) options_.metrics->stalled.add();
    return over(Code::Unavailable,
                fmt::format("{} took none of {} bytes for {} ms", name(), queued_bytes_, toMs(options_.stall_timeout)));
  }
  if (options_.idle_timeout > 0s && queue_count_ == 0 && now - last_received_ >= options_.idle_timeout &&
      now - last_sent_ >= options_.idle_timeout)
    return over(Code::Unavailable, fmt::format("{} was idle for {} ms", name(), toMs(options_.idle_timeout)));
  armTimer();
}

// ---- Sending

bool Connection::full() const {
  return queue_count_ >= options_.max_queued_frames || queued_bytes_ >= options_.max_queued_bytes;
}

void Connection::wantWritable() {
  refused_ = true;
  updateInterest();
}

Status Connection::send(wire::FrameHeader header, Bytes body, std::span<const Bytes> bulk,
                        std::shared_ptr<const void> keep) {
  if (!open()) return fail(Code::Unavailable, "the connection isn't open");
  if (full() && in_receive_) {  // nothing was written yet of what this round of requests brought
    if (Status flushed = flush(); !flushed) {
      failSoon(flushed.error());
      return flushed;
    }
  }
  if (full()) {
    wantWritable();
    return fail(Code::Busy, fmt::format("{} bytes already wait for {}", queued_bytes_, name()));
  }
  TRY(enqueue(header, body, bulk, std::move(keep)));
  flushSoon();
  return {};
}

Status Connection::sendAnyway(wire::FrameHeader header, Bytes body) {
  TRY(enqueueAnyway(header, body));
  flushSoon();
  return {};
}

Status Connection::enqueueAnyway(wire::FrameHeader& header, Bytes body) {
  if (!open()) return fail(Code::Unavailable, "the connection isn't open");
  if (queue_count_ >= 2 * options_.max_queued_frames || queued_bytes_ >= 2 * options_.max_queued_bytes) {
    Error error{.code = Code::Unavailable, .message = fmt::format("{} asks and doesn't read answers", name())};
    if (options_.metrics != nullptr) options_.metrics->stalled.add();
    failSoon(error);
    return fail(std::move(error));
  }
  return enqueue(header, body, {}, {});
}

Status Connection::sendDescriptor(wire::FrameHeader header, Bytes body, Descriptor descriptor) {
  if (!remote_.identity.is_unix)
    return fail(Code::Unsupported, fmt::format("{} isn't at a Unix socket: no descriptor goes there", name()));
  header.flags |= wire::kCarriesDescriptor;
  TRY(enqueueAnyway(header, body));
  lastFrame().descriptor = std::move(descriptor);
  flushSoon();
  return {};
}

Status Connection::enqueue(wire::FrameHeader& header, Bytes body, std::span<const Bytes> bulk,
                           std::shared_ptr<const void> keep) {
  std::size_t bulk_bytes = 0;
  for (const Bytes piece : bulk) bulk_bytes += piece.size();
  if (body.size() > wire::kMaxBody || bulk_bytes > wire::kMaxBulk || bulk.size() > kMaxBulkPieces)
    return fail(Code::InvalidArgument,
                fmt::format("a frame of {} bytes and {} of bulk in {} pieces", body.size(), bulk_bytes, bulk.size()));
  header.version = remote_.version == 0 ? wire::kMinVersion : remote_.version;
  header.bulk_length = static_cast<std::uint32_t>(bulk_bytes);
  wire::describeBody(header, body);
  if (queue_count_ == 0) last_sent_ = Reactor::now();  // from here on the peer may stall

  Outgoing& frame = pushFrame();
  frame.head.resize(wire::kHeaderBytes + body.size());
  wire::encodeHeader(header, wire::HeaderBytes(frame.head.data(), wire::kHeaderBytes));
  if (!body.empty()) std::memcpy(frame.head.data() + wire::kHeaderBytes, body.data(), body.size());
  frame.bulk.assign(bulk.begin(), bulk.end());
  frame.keep = std::move(keep);
  frame.bytes = frame.head.size() + bulk_bytes;
  queued_bytes_ += frame.bytes;
  if (options_.metrics != nullptr) options_.metrics->frames_out.add();
  return {};
}

Connection::Outgoing& Connection::pushFrame() {
  if (queue_count_ == queue_.size()) {
    std::vector<Outgoing> larger(std::max<std::size_t>(16, queue_.size() * 2));
    for (std::size_t i = 0; i < queue_count_; ++i)
      larger[i] = std::move(queue_[(queue_head_ + i) & (queue_.size() - 1)]);
    queue_ = std::move(larger);
    queue_head_ = 0;
  }
  return queue_[(queue_head_ + queue_count_++) & (queue_.size() - 1)];
}

void Connection::flushSoon() {
  // receive() does it, for all answers of its round together. Long ones without bulk go before: whoever asked for them
  // can work on the first while the next is made.
  const bool waits = queued_bytes_ < kLongAnswers || !lastFrame().bulk.empty() || (interest_ & EPOLLOUT) != 0;
  if (in_receive_ && waits) return;
  if (const Status flushed = flush(); !flushed) failSoon(flushed.error());
}

// What comes next, from the first byte that isn't in the socket.
std::size_t Connection::gather(iovec* to, std::size_t max) const {
  std::size_t n = 0, bytes = 0, skip = head_sent_;
  const auto add = [&](Bytes piece) {
    if (skip >= piece.size()) {
      skip -= piece.size();
      return;
    }
    piece = piece.subspan(skip);
    skip = 0;
    to[n++] = {.iov_base = const_cast<std::byte*>(piece.data()), .iov_len = piece.size()};
    bytes += piece.size();
  };
  for (std::size_t i = 0; i < queue_count_ && n < max && bytes < kBytesPerSend; ++i) {
    const Outgoing& frame = queue_[(queue_head_ + i) & (queue_.size() - 1)];
    if (frame.descriptor.valid() && i > 0) break;  // it goes with the first byte of what is sent
    add(frame.head);
    for (auto piece = frame.bulk.begin(); piece != frame.bulk.end() && n < max; ++piece) add(*piece);
  }
  return n;
}

Status Connection::flush() {
  iovec pieces[kIovecs];
  for (int round = 0; round < kSendsPerRound && queue_count_ > 0; ++round) {
    const std::size_t count = gather(pieces, kIovecs);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) wanted += pieces[i].iov_len;
    const ssize_t n = sendPieces(pieces, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
    if (n < 0) return fail(Code::Unavailable, fmt::format("send to {}: {}", name(), std::strerror(errno)));
    sent(static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < wanted) break;  // the socket is full
  }
  if (state_ == State::Draining && queue_count_ == 0 && !shut_) {
    shut_ = true;
    shutdown(fd_.get(), SHUT_WR);
    armTimer();
  }
  updateInterest();
  return {};
}

// With the first frame's descriptor, which has gone once any byte has.
ssize_t Connection::sendPieces(iovec* pieces, std::size_t count) {
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  Descriptor& descriptor = queue_[queue_head_].descriptor;
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor.valid()) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = descriptor.get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  const ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  if (n > 0) descriptor.reset();
  return n;
}

void Connection::sent(std::size_t bytes) {
  last_sent_ = Reactor::now();
  queued_bytes_ -= bytes;
  if (options_.metrics != nullptr) options_.metrics->bytes_out.add(bytes);
  head_sent_ += bytes;
  while (queue_count_ > 0) {
    Outgoing& frame = queue_[queue_head_];
    if (head_sent_ < frame.bytes) return;
    head_sent_ -= frame.bytes;
    if (frame.head.capacity() > kKeptBuffer) frame.head = {};
    frame.bulk.clear();
    if (frame.bulk.capacity() > kKeptPieces) frame.bulk = {};
    frame.descriptor.reset();
    const std::shared_ptr<const void> keep = std::move(frame.keep);  // let go of last: it may run code of others
    queue_head_ = (queue_head_ + 1) & (queue_.size() - 1);
    --queue_count_;
  }
}

void Connection::tellWritable() {
  if (!refused_ || !open() || queued_bytes_ > options_.max_queued_bytes / 2 ||
      queue_count_ > options_.max_queued_frames / 2)
    return;
  refused_ = false;
  handler_->writable();
  updateInterest();
}

// ---- The end

void Connection::failSoon(Error why) {
  if (failing_ || state_ == State::Closed) return;
  failing_ = true;
  reactor_.post([weak = weak_from_this(), why = std::move(why)] {
    if (const auto self = weak.lock()) self->end(&why);
  });
}

void Connection::close() {
  handler_ = nullptr;
  end(nullptr);
}

void Connection::closeWhenSent() {
  handler_ = nullptr;
  if (state_ == State::Connecting || failing_) return end(nullptr);
  if (state_ != State::Closed) drain();
}

void Connection::drain() {
  self_ = shared_from_this();
  target_.reset();
  paused_ = false;
  state_ = State::Draining;
  armTimer();
  if (const Status flushed = flush(); !flushed) end(nullptr);
}

void Connection::end(const Error* why) {
  if (state_ == State::Closed) return;
  state_ = State::Closed;
  const auto self = std::move(self_);
  reactor_.cancel(timer_);
  reactor_.unwatch(fd_.get());
  fd_.reset();
  target_.reset();
  descriptors_.clear();
  descriptor_.reset();
  ticket_.reset();
  const auto dropped = std::move(queue_);
  queue_.clear();
  queue_count_ = queue_head_ = queued_bytes_ = head_sent_ = 0;
  if (options_.metrics != nullptr) {
    options_.metrics->open.add(-1);
    options_.metrics->closed.add();
  }
  ConnectionHandler* const handler = std::exchange(handler_, nullptr);
  if (why != nullptr && handler != nullptr) handler->closed(*why);
}

}  // namespace forebay::io
