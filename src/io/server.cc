#include "io/server.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/log.h"
#include "io/server_session.h"
#include "wire/messages.h"

namespace forebay::io {
namespace {

constexpr std::size_t kKeptBuffer = 64 * kKiB;

std::unexpected<Error> clientLeft() {
  return fail(Code::Cancelled, "the client left or cancelled its request");
}

}  // namespace

// ---- Reply

Reply::Reply(std::weak_ptr<ServerSession> session, std::uint32_t slot, std::uint32_t generation, TimePoint arrived,
             TimePoint deadline)
    : session_(std::move(session)), slot_(slot), generation_(generation), arrived_(arrived), deadline_(deadline) {}

Reply::Reply(Reply&& other) noexcept
    : session_(std::move(other.session_)),
      slot_(other.slot_),
      generation_(other.generation_),
      arrived_(other.arrived_),
      deadline_(other.deadline_) {
  other.session_.reset();
}

Reply& Reply::operator=(Reply&& other) noexcept {
  if (this == &other) return *this;
  forget();
  session_ = std::move(other.session_);
  other.session_.reset();
  slot_ = other.slot_;
  generation_ = other.generation_;
  arrived_ = other.arrived_;
  deadline_ = other.deadline_;
  return *this;
}

Reply::~Reply() {
  forget();
}

std::shared_ptr<ServerSession> Reply::session() const {
  auto session = session_.lock();
  if (session && !session->alive(slot_, generation_)) session.reset();
  return session;
}

// An unanswered request would be waited for until its deadline, or forever.
void Reply::forget() {
  const auto session = this->session();
  session_.reset();
  if (!session) return;
  const Error dropped{.code = Code::Internal, .message = "the node dropped the request without an answer"};
  const Status sent = session->finish(slot_, wire::MessageType::Failure, wire::toMessage(dropped));
  static_cast<void>(sent);  // the client has left, or is being closed: nobody to tell
}

bool Reply::alive() const {
  return session() != nullptr;
}

Status Reply::send(wire::MessageType type, const google::protobuf::MessageLite& message) {
  const auto session = this->session();
  if (!session) return clientLeft();
  return session->finish(slot_, type, message);
}

Status Reply::send(wire::MessageType type, const google::protobuf::MessageLite& message, std::span<const Bytes> bulk,
                   std::shared_ptr<const void> keep) {
  const auto session = this->session();
  if (!session) return clientLeft();
  return session->finishWithBulk(slot_, type, message, bulk, std::move(keep));
}

Status Reply::sendDescriptor(wire::MessageType type, const google::protobuf::MessageLite& message,
                             Descriptor descriptor) {
  const auto session = this->session();
  if (!session) return clientLeft();
  if (!session->takesDescriptors())
    return forebay::fail(Code::Unsupported, "descriptors go to clients of this machine, over its Unix socket");
  return session->finish(slot_, type, message, std::move(descriptor));
}

Result<Descriptor> Reply::peerProcess() const {
  const auto session = this->session();
  if (!session) return clientLeft();
  return session->peerProcess();
}

Status Reply::fail(const Error& error) {
  return send(wire::MessageType::Failure, wire::toMessage(error));
}

Status Reply::data(const wire::ReadData& data, const wire::ReadDataLists& lists, std::span<const Bytes> bulk,
                   std::shared_ptr<const void> keep) {
  const auto session = this->session();
  if (!session) return clientLeft();
  return session->data(slot_, data, lists, bulk, std::move(keep));
}

void Reply::whenWritable(Task task) {
  if (const auto session = this->session()) session->onWritable(slot_, std::move(task));
}

void Reply::whenGone(Task task) {
  if (const auto session = this->session()) session->onGone(slot_, std::move(task));
}

// ---- ServerSession

Status ServerSession::start(Accepted accepted) {
  ConnectionOptions options = server_->options_.connection;
  options.refusal = std::move(accepted.refusal);
  refused_ = options.refusal.has_value();
  connection_ = TRY(Connection::accept(server_->reactor_, std::move(accepted.fd), std::move(options), *this,
                                       std::move(accepted.ticket)));
  return {};
}

void ServerSession::close() {
  server_ = nullptr;
  if (connection_) connection_->close();
  leave();
}

bool ServerSession::alive(std::uint32_t slot, std::uint32_t generation) const {
  return slot < slots_.size() && slots_[slot].used && slots_[slot].generation == generation;
}

wire::FrameHeader ServerSession::answerTo(std::uint64_t request_id, wire::MessageType type) const {
  wire::FrameHeader header;
  header.type = type;
  header.request_id = request_id;
  const auto& version = server_->options_.connection.self.map_version;
  if (version) header.map_version = version();
  return header;
}

Status ServerSession::finish(std::uint32_t slot, wire::MessageType type, const google::protobuf::MessageLite& message,
                             Descriptor descriptor) {
  const std::uint64_t request_id = slots_[slot].request_id;
  const Task dropped = release(slot);
  if (const Status written = wire::serialize(message, scratch_); !written) {
    refuse(request_id, written.error());
    return written;
  }
  const wire::FrameHeader header = answerTo(request_id, type);
  const Status sent = descriptor.valid() ? connection_->sendDescriptor(header, scratch_, std::move(descriptor))
                                         : connection_->sendAnyway(header, scratch_);
  if (scratch_.capacity() > kKeptBuffer) scratch_ = {};
  pauseWhenBehind();
  return sent;
}

Status ServerSession::finishWithBulk(std::uint32_t slot, wire::MessageType type,
                                     const google::protobuf::MessageLite& message, std::span<const Bytes> bulk,
                                     std::shared_ptr<const void> keep) {
  TRY(wire::serialize(message, scratch_));
  TRY(connection_->send(answerTo(slots_[slot].request_id, type), scratch_, bulk, std::move(keep)));
  const Task dropped = release(slot);
  if (scratch_.capacity() > kKeptBuffer) scratch_ = {};
  pauseWhenBehind();
  return {};
}

Status ServerSession::data(std::uint32_t slot, const wire::ReadData& data, const wire::ReadDataLists& lists,
                           std::span<const Bytes> bulk, std::shared_ptr<const void> keep) {
  std::size_t bytes = 0;
  for (const Bytes piece : bulk) bytes += piece.size();
  if (bytes != ((data.flags & wire::kPlaces) != 0 ? 0 : data.length))
    return fail(Code::Internal, fmt::format("a ReadData of {} bytes with {} of bulk", data.length, bytes));
  TRY(wire::encodeReadData(data, lists, scratch_));
  TRY(connection_->send(answerTo(slots_[slot].request_id, wire::MessageType::ReadData), scratch_, bulk,
                        std::move(keep)));
  if (data.lastOfRequest()) const Task dropped = release(slot);
  return {};
}

void ServerSession::opened(const RemoteInfo&) {}

void ServerSession::frame(const wire::FrameHeader& header, Bytes body) {
  if (server_ == nullptr) return;
  if (header.map_version > map_version_) {
    map_version_ = header.map_version;
    const auto& ours = server_->options_.connection.self.map_version;
    if (ours && map_version_ > ours()) server_->handler_.newerMap(connection_->remote(), map_version_);
  }
  if (header.type == wire::MessageType::Cancel) return cancel(header.request_id);
  dispatch(header, body);
}

void ServerSession::bulkArrived(const wire::FrameHeader& header, Bytes, bool) {
  refuse(header.request_id,
         {.code = Code::Unsupported,
          .message = fmt::format("this version takes no {} with bulk bytes", wire::messageName(header.type))});
}

void ServerSession::dispatch(const wire::FrameHeader& header, Bytes body) {
  if (!wire::isRequest(header.type))
    return refuse(header.request_id, {.code = Code::Unsupported,
                                      .message = fmt::format("this version knows no request of type {}",
                                                             static_cast<unsigned>(header.type))});
  if (open_ >= server_->options_.max_requests)
    return refuse(header.request_id, {.code = Code::Busy,
                                      .message = fmt::format("{} requests of this connection are open", open_),
                                      .retry_after_ms = server_->options_.busy_retry_ms});
  const TimePoint now = Reactor::now();
  const TimePoint deadline = header.deadline_ms == 0 ? kNever : now + std::chrono::milliseconds(header.deadline_ms);
  const Request request{.header = header, .from = connection_->remote(), .arrived = now, .deadline = deadline};
  if (header.type != wire::MessageType::Read)
    return server_->handler_.request(request, body, claim(header, now, deadline));
  const auto read = wire::ReadView::parse(body);
  if (!read) return refuse(header.request_id, read.error());
  server_->handler_.read(request, *read, claim(header, now, deadline));
}

void ServerSession::refuse(std::uint64_t request_id, const Error& error) {
  if (server_ == nullptr || !connection_->open()) return;
  if (!wire::serialize(wire::toMessage(error), scratch_)) return;
  const Status sent = connection_->sendAnyway(answerTo(request_id, wire::MessageType::Failure), scratch_);
  static_cast<void>(sent);  // an error ends the connection, which closed() tells
  pauseWhenBehind();
}

Reply ServerSession::claim(const wire::FrameHeader& header, TimePoint now, TimePoint deadline) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  slots_[slot].used = true;
  slots_[slot].request_id = header.request_id;
  ++open_;
  ++server_->open_requests_;
  return Reply(weak_from_this(), slot, slots_[slot].generation, now, deadline);
}

// The task that was waiting for the client to leave: the caller runs it or drops it.
Task ServerSession::release(std::uint32_t slot) {
  Slot& s = slots_[slot];
  s.used = false;
  ++s.generation;
  const Task dropped = std::exchange(s.writable, {});
  free_.push_back(slot);
  --open_;
  if (server_ != nullptr) --server_->open_requests_;
  return std::exchange(s.gone, {});
}

void ServerSession::cancel(std::uint64_t request_id) {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].used || slots_[slot].request_id != request_id) continue;
    if (Task gone = release(slot)) gone();
    return;
  }
}

// Every open request hears that nobody waits for it.
void ServerSession::leave() {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].used) continue;
    if (Task gone = release(slot)) gone();
  }
}

void ServerSession::pauseWhenBehind() {
  if (!connection_->full()) return;
  connection_->pauseReading();
  connection_->wantWritable();
}

void ServerSession::writable() {
  connection_->resumeReading();
  // Each takes what room there is, so whoever had its turn goes to the end. Always from slot 0, the last of many
  // replies would wait until nobody is before it, and its reader would take that for silence.
  const auto count = static_cast<std::uint32_t>(slots_.size());
  const std::uint32_t first = next_writable_;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t slot = (first + i) % count;
    Task task = std::exchange(slots_[slot].writable, {});
    if (!task) continue;
    next_writable_ = slot + 1;
    task();
    if (connection_->full()) return connection_->wantWritable();  // the others, next time
  }
}

void ServerSession::closed(const Error& why) {
  const auto self = shared_from_this();
  log::debug("server", "connection over: {}", why.text());
  leave();
  if (server_ == nullptr) return;
  server_->handler_.left(connection_->remote());
  server_->gone(this);
}

// ---- Server

Server::Server(Reactor& reactor, ServerOptions options, RequestHandler& handler)
    : reactor_(reactor), options_(std::move(options)), handler_(handler) {}

Server::~Server() {
  listeners_.clear();
  auto sessions = std::move(sessions_);
  sessions_.clear();
  for (auto& [key, session] : sessions) session->close();
}

Result<Address> Server::listen(const Address& address) {
  listeners_.push_back(
      TRY(Listener::create(reactor_, address, options_.listener, [this](Accepted a) { adopt(std::move(a)); })));
  return listeners_.back()->address();
}

void Server::adopt(Accepted accepted) {
  auto session = std::make_shared<ServerSession>(*this);
  if (const Status started = session->start(std::move(accepted)); !started) {
    log::warn("server", "a connection that can't be served: {}", started.error().text());
    return;
  }
  sessions_.emplace(session.get(), std::move(session));
}

std::size_t Server::connections() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(sessions_, [](const auto& entry) { return !entry.second->refused(); }));
}

void Server::stopListening() {
  listeners_.clear();
}

void Server::gone(const ServerSession* session) {
  sessions_.erase(session);
}

}  // namespace forebay::io
