#include "reader/channel.h"

#include <algorithm>
#include <fmt/format.h>

#include "reader/channel_impl.h"
#include "wire/messages.h"

namespace forebay::reader {
namespace {

constexpr Duration kDeadlineSlack = 5ms;        // deadlines that end within it share one pass over the requests
constexpr std::size_t kKeptBuffer = 64 * kKiB;  // larger buffers are given back after use

std::uint32_t msLeft(TimePoint deadline, TimePoint now) {
  if (deadline == kNever) return 0;
  const std::int64_t left = std::max<std::int64_t>(1, toMs(deadline - now));
  return static_cast<std::uint32_t>(std::min<std::int64_t>(left, 0xffffffff));
}

}  // namespace

// ---- Requests

Channel::Impl::Pending* Channel::Impl::slotOf(RequestId id) {
  const auto slot = static_cast<std::uint32_t>(id);
  if (slot >= slots_.size()) return nullptr;
  Pending& pending = slots_[slot];
  return pending.used && pending.generation == id >> 32 ? &pending : nullptr;
}

Channel::Impl::Pending* Channel::Impl::find(RequestId id) {
  Pending* const pending = slotOf(id);
  return pending != nullptr && !pending->failing ? pending : nullptr;
}

Channel::Impl::Pending& Channel::Impl::claim(wire::MessageType type, TimePoint deadline) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  Pending& pending = slots_[slot];
  pending.used = true;
  pending.sent = pending.answered = pending.failing = false;
  pending.deadline = deadline;
  pending.items.clear();
  pending.items_left = 0;
  pending.bytes_left = 0;
  pending.header = {};
  pending.header.type = type;
  pending.header.request_id = std::uint64_t{pending.generation} << 32 | slot;
  ++open_;
  ++stats_.requests;
  return pending;
}

void Channel::Impl::release(Pending& pending) {
  stats_.outstanding_bytes -= pending.bytes_left;
  if (receiving_ == pending.header.request_id) {
    if (connection_) connection_->discardBulk();
    receiving_ = 0;
  }
  pending.used = false;
  ++pending.generation;
  pending.observer = nullptr;
  if (pending.body.capacity() > kKeptBuffer) pending.body = {};
  free_.push_back(static_cast<std::uint32_t>(pending.header.request_id));
  --open_;
}

RequestId Channel::Impl::call(wire::MessageType type, const google::protobuf::MessageLite& message, TimePoint deadline,
                              AnswerCallback done, std::uint64_t map_version, std::shared_ptr<BulkReceiver> bulk) {
  Pending& pending = claim(type, deadline);
  pending.done = std::move(done);
  pending.bulk = std::move(bulk);
  pending.header.map_version = map_version;
  return submit(pending, wire::serialize(message, pending.body));
}

RequestId Channel::Impl::read(const ReadRequest& request, ReadObserver& observer, TimePoint deadline) {
  Pending& pending = claim(wire::MessageType::Read, deadline);
  pending.observer = &observer;
  pending.header.map_version = request.map_version;
  pending.header.mount_class = request.mount_class;
  pending.header.tenant = request.tenant;
  pending.header.capability = request.capability;
  for (const wire::ReadItem& item : request.items) {
    const bool no_bytes = (item.flags & wire::kNoBytes) != 0;
    pending.items.push_back({.range = item.range, .no_bytes = no_bytes});
    if (!no_bytes) pending.bytes_left += item.range.length;
  }
  pending.items_left = pending.items.size();
  stats_.outstanding_bytes += pending.bytes_left;
  pending.takes_places = request.slab != 0;
  return submit(pending, wire::encodeRead(request.objects, request.items, pending.body, request.slab));
}

RequestId Channel::Impl::submit(Pending& pending, const Status& encoded) {
  const RequestId id = pending.header.request_id;
  const TimePoint now = io::Reactor::now();
  if (!encoded) {
    failSoon(pending, encoded.error());
  } else if (state_ == State::Closed) {
    failSoon(pending,
             {.code = Code::Cancelled, .message = fmt::format("the channel to {} is closed", address_.text())});
  } else if (open_ > options_.max_in_flight) {
    failSoon(pending, {.code = Code::Busy,
                       .message = fmt::format("{} requests to {} are open", options_.max_in_flight, address_.text())});
  } else if (pending.deadline <= now) {
    failSoon(pending, {.code = Code::DeadlineExceeded, .message = "the deadline was over before it was sent"});
  } else if (state_ == State::Idle && now < not_before_) {
    Error error = last_error_;
    error.retry_after_ms = static_cast<std::uint32_t>(toMs(not_before_ - now) + 1);
    failSoon(pending, std::move(error));
  } else {
    armDeadline(pending.deadline);
    if (state_ == State::Open) transmit(pending);
    if (state_ == State::Idle) connect();
  }
  return id;
}

void Channel::Impl::transmit(Pending& pending) {
  pending.sent_at = io::Reactor::now();
  pending.header.deadline_ms = msLeft(pending.deadline, pending.sent_at);
  const Status sent = connection_->send(pending.header, pending.body);
  pending.sent = sent.has_value();
  if (!sent) failSoon(pending, sent.error());
}

void Channel::Impl::failSoon(Pending& pending, Error error) {
  pending.failing = true;
  reactor_.post([weak = weak_from_this(), id = pending.header.request_id, error = std::move(error)]() mutable {
    if (const auto self = weak.lock()) self->finish(id, fail(std::move(error)));
  });
}

// The slot is free before anybody hears of it: they may ask the next question at once.
void Channel::Impl::finish(RequestId id, Status status) {
  Pending* const pending = slotOf(id);
  if (pending == nullptr) return;
  if (!status) ++stats_.failures;
  AnswerCallback done = std::exchange(pending->done, {});
  const auto bulk = std::exchange(pending->bulk, {});
  ReadObserver* const observer = pending->observer;
  release(*pending);
  if (bulk) bulk->lost();
  if (observer != nullptr) return observer->done(std::move(status));
  if (!status) return done(fail(std::move(status.error())));
}

void Channel::Impl::failAll(const Error& error) {
  std::vector<RequestId> ids;
  for (const Pending& pending : slots_)
    if (pending.used) ids.push_back(pending.header.request_id);
  for (const RequestId id : ids) finish(id, fail(error));
}

void Channel::Impl::cancel(RequestId id) {
  Pending* const pending = slotOf(id);
  if (pending == nullptr) return;
  const bool sent = pending->sent;
  const AnswerCallback dropped = std::exchange(pending->done, {});
  const auto bulk = std::exchange(pending->bulk, {});
  release(*pending);
  if (bulk) bulk->lost();
  if (sent) sendCancel(id);
}

void Channel::Impl::sendCancel(RequestId id) {
  if (state_ != State::Open) return;
  wire::FrameHeader header;
  header.type = wire::MessageType::Cancel;
  header.request_id = id;
  const Status sent = connection_->sendAnyway(header, {});
  static_cast<void>(sent);  // a connection that can't carry it ends, which cancels too
}

// One timer for all requests, at the earliest deadline; when it fires, it looks at all of them. A request that ends in
// time costs nothing, and there is at most one pass per slack.
void Channel::Impl::armDeadline(TimePoint deadline) {
  if (deadline == kNever || deadline >= deadline_timer_at_) return;
  reactor_.cancel(deadline_timer_);
  deadline_timer_at_ = deadline;
  deadline_timer_ = reactor_.at(deadline + kDeadlineSlack, [this] { expire(); });
}

void Channel::Impl::expire() {
  const auto self = shared_from_this();
  deadline_timer_ = 0;
  deadline_timer_at_ = kNever;
  const TimePoint now = io::Reactor::now();
  std::vector<RequestId> over;
  TimePoint next = kNever;
  for (const Pending& pending : slots_) {
    if (!pending.used || pending.failing) continue;
    if (pending.deadline <= now)
      over.push_back(pending.header.request_id);
    else
      next = std::min(next, pending.deadline);
  }
  armDeadline(next);
  for (const RequestId id : over) {
    const Pending* const pending = find(id);
    if (pending == nullptr) continue;  // another's callback cancelled it
    ++stats_.timeouts;
    if (pending->sent) sendCancel(id);
    finish(id, fail(Code::DeadlineExceeded, fmt::format("{} didn't answer {} in time", address_.text(),
                                                        wire::messageName(pending->header.type))));
  }
}

// ---- The connection

void Channel::Impl::connect() {
  state_ = State::Connecting;
  io::resolve(reactor_, options_.resolver, address_, [weak = weak_from_this()](Result<io::Address> address) {
    const auto self = weak.lock();
    if (!self || self->state_ != State::Connecting) return;
    if (address) return self->connectTo(*address);
    self->connectionOver(address.error());
  });
}

void Channel::Impl::connectTo(const io::Address& address) {
  auto fd = io::startConnect(address);
  if (!fd) return connectionOver(fd.error());
  auto connection = io::Connection::connect(reactor_, std::move(*fd), options_.connection, *this);
  if (!connection) return connectionOver(connection.error());
  connection_ = std::move(*connection);
}

void Channel::Impl::opened(const io::RemoteInfo& remote) {
  const auto self = shared_from_this();
  if (remote_) ++stats_.reconnects;
  remote_ = remote;
  state_ = State::Open;
  opened_at_ = io::Reactor::now();
  for (std::size_t i = 0; i < slots_.size() && state_ == State::Open; ++i)
    if (Pending& pending = slots_[i]; pending.used && !pending.sent && !pending.failing) transmit(pending);
  noteMap(remote.map_version);
}

void Channel::Impl::connectionOver(const Error& why) {
  const auto self = shared_from_this();
  if (state_ == State::Closed) return;
  const TimePoint now = io::Reactor::now();
  // A connection that worked for a while is made again at once; one that never did, or only just, waits.
  if (state_ == State::Open && now - opened_at_ >= options_.min_backoff) {
    backoff_ = options_.min_backoff;
    not_before_ = now;
  } else {
    const auto half = static_cast<std::uint64_t>(backoff_.count()) / 2;
    not_before_ = now + Duration(half + random_.below(half + 1));
    backoff_ = std::min(backoff_ * 2, options_.max_backoff);
  }
  if (state_ == State::Open && options_.on_lost) options_.on_lost();
  state_ = State::Idle;
  connection_.reset();
  receiving_ = 0;
  const bool lasting = why.code == Code::Unsupported || why.code == Code::InvalidArgument ||
                       (why.code == Code::Busy && options_.tells_busy);
  last_error_ = {.code = lasting ? why.code : Code::Unavailable,
                 .message = fmt::format("node {}: {}", address_.text(), why.message)};
  failAll(Error(last_error_));
}

void Channel::Impl::close() {
  if (state_ == State::Closed) return;
  const auto self = shared_from_this();
  state_ = State::Closed;
  if (connection_) connection_->close();
  connection_.reset();
  failAll({.code = Code::Cancelled, .message = fmt::format("the channel to {} was closed", address_.text())});
  reactor_.cancel(deadline_timer_);
}

void Channel::Impl::drop() {
  state_ = State::Closed;
  if (connection_) connection_->close();
  connection_.reset();
  reactor_.cancel(deadline_timer_);
  std::vector<AnswerCallback> dropped;  // destroyed last: their captures may belong to the caller
  for (Pending& pending : slots_) {
    if (!pending.used) continue;
    dropped.push_back(std::exchange(pending.done, {}));
    if (const auto bulk = std::exchange(pending.bulk, {})) bulk->lost();
    release(pending);
  }
}

void Channel::Impl::noteMap(std::uint64_t version) {
  if (version <= map_version_) return;
  map_version_ = version;
  if (options_.on_map_version) options_.on_map_version(version);
}

ChannelStats Channel::Impl::stats() const {
  ChannelStats out = stats_;
  out.connected = state_ == State::Open;
  out.outstanding = open_;
  return out;
}

// ---- Channel

Channel::Channel(io::Reactor& reactor, io::Address address, ChannelOptions options)
    : impl_(std::make_shared<Impl>(reactor, std::move(address), std::move(options))) {}
Channel::~Channel() {
  impl_->drop();
}
RequestId Channel::call(wire::MessageType type, const google::protobuf::MessageLite& message, TimePoint deadline,
                        AnswerCallback done, std::uint64_t map_version, std::shared_ptr<BulkReceiver> bulk) {
  return impl_->call(type, message, deadline, std::move(done), map_version, std::move(bulk));
}
RequestId Channel::read(const ReadRequest& request, ReadObserver& observer, TimePoint deadline) {
  return impl_->read(request, observer, deadline);
}
void Channel::cancel(RequestId id) {
  impl_->cancel(id);
}
void Channel::close() {
  impl_->close();
}
ChannelStats Channel::stats() const {
  return impl_->stats();
}
const io::Address& Channel::address() const {
  return impl_->address();
}
const io::RemoteInfo* Channel::remote() const {
  return impl_->remote();
}

}  // namespace forebay::reader
