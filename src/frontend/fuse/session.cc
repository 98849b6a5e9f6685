#include "frontend/fuse/session.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "frontend/fuse/ring_shape.h"

namespace forebay::fuse {
namespace {

constexpr Duration kForever = std::chrono::hours(24);  // how long the kernel is told to believe what never changes
constexpr std::size_t kPruneBatch = 256;
constexpr Duration kTrimEvery = 5s;

TimePoint now() {
  return std::chrono::steady_clock::now();
}

std::int64_t wallClockNs() {
  return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Background requests are readahead: half of the buffers, so that what a program waits for finds one.
std::uint16_t backgroundFor(std::uint64_t reply_bytes, const RingShape* ring) {
  const std::uint64_t replies = ring == nullptr ? reply_bytes / kMaxRead : ring->places();
  return static_cast<std::uint16_t>(std::clamp<std::uint64_t>(replies / 2, 4, 512));
}

// What the ring takes isn't the pool's.
std::uint64_t poolBytes(std::uint64_t reply_bytes, const RingShape* ring) {
  return ring == nullptr ? reply_bytes : reply_bytes - std::min(reply_bytes, ring->bytes());
}

}  // namespace

std::shared_ptr<Session> Session::create(client::Client& client, Options options, Metrics& metrics, Channel& channel) {
  return std::shared_ptr<Session>(new Session(client, std::move(options), metrics, channel));
}

Session::Session(client::Client& client, Options options, Metrics& metrics, Channel& channel)
    : client_(client),
      options_(std::move(options)),
      channel_(channel),
      metrics_(metrics),
      started_ns_(wallClockNs()),
      names_(options_.name_bytes),
      passthrough_(channel, options_.passthrough, options_.passthrough_least),
      operations_(options_.max_outstanding),
      buffers_(poolBytes(options_.reply_bytes, channel.ring())) {}

Session::~Session() = default;

int Channel::openBacking(int) {
  return -EOPNOTSUPP;
}

void Session::handle(unsigned device, Bytes bytes) {
  const auto header = parseHeader(bytes);
  if (!header) {
    metrics_.malformed.add();
    warn(header.error().text());
    return;
  }
  metrics_.requestsOf(header->opcode).add();
  const Ticket ticket{.device = device,
                      .opcode = header->opcode,
                      .unique = header->unique,
                      .node = header->node,
                      .pid = header->pid,
                      .started = now()};
  const auto request = parseRequest(bytes);
  if (!request) {
    metrics_.malformed.add();
    warn(request.error().text());
    if (wantsReply(header->opcode)) refuse(ticket, EINVAL);
    return;
  }
  if (state() != State::Ready && header->opcode != FUSE_INIT) {
    if (wantsReply(header->opcode)) refuse(ticket, EIO);
    return;
  }
  std::visit([&](const auto& body) { on(ticket, body); }, request->body);
}

void Session::on(const Ticket& ticket, const InitRequest& request) {
  const RingShape* const ring = channel_.ring();
  const auto answer = negotiate(request, {.readahead = options_.readahead,
                                          .max_background = backgroundFor(options_.reply_bytes, ring),
                                          .passthrough = passthrough_.wanted(),
                                          .ring_payload = ring == nullptr ? 0 : ring->payload});
  if (!answer) {
    {
      const std::lock_guard lock(refusal_mutex_);
      refusal_ = answer.error().message;
    }
    refuse(ticket, EPROTO);
    state_.store(State::Refused, std::memory_order_release);
    return;
  }
  passthrough_.offered(answer->passthrough);
  ring_agreed_.store(answer->ring);
  // Ready first: the next request may be in another worker's hands before this one returns from its write.
  if (!answer->retry) state_.store(State::Ready, std::memory_order_release);
  replyStruct(ticket, answer->out);
}

std::string Session::refusal() const {
  const std::lock_guard lock(refusal_mutex_);
  return refusal_;
}

void Session::on(const Ticket& ticket, const ForgetRequest& request) {
  const std::lock_guard lock(nodes_mutex_);
  nodes_.forget(ticket.node, request.lookups);
}

void Session::on(const Ticket&, const BatchForgetRequest& request) {
  const std::lock_guard lock(nodes_mutex_);
  for (std::size_t i = 0; i < request.count(); ++i) {
    const fuse_forget_one one = request.at(i);
    nodes_.forget(one.nodeid, one.nlookup);
  }
}

void Session::on(const Ticket& ticket, const GetAttrRequest&) {
  const auto inode = find(ticket.node);
  if (!inode) return refuse(ticket, ESTALE);
  fuse_attr_out out{};
  setValid(out.attr_valid, out.attr_valid_nsec, kForever);
  out.attr = attributesOf(*inode);
  replyStruct(ticket, out);
}

void Session::on(const Ticket& ticket, const ReleaseRequest& request) {
  NodeNumber node = 0;
  std::shared_ptr<const File> file;
  {
    const std::lock_guard lock(handles_mutex_);
    if (request.directory) {
      if (auto found = directories_.extract(request.handle)) node = found.mapped()->node;
    } else {
      if (auto found = files_.extract(request.handle)) file = std::move(found.mapped());
    }
  }
  if (file != nullptr) {
    node = file->node;
    noteUse(*file);
    if (file->tracked) passthrough_.closed(node);
  }
  if (node != 0) {
    const std::lock_guard lock(nodes_mutex_);
    nodes_.close(node);
  }
  replyBytes(ticket, {});
}

void Session::on(const Ticket& ticket, const StatFsRequest&) {
  // An origin has no size. A full petabyte: room for nothing, and no division by zero in anybody's percentage.
  fuse_statfs_out out{};
  out.st.bsize = 4096;
  out.st.frsize = 4096;
  out.st.blocks = (std::uint64_t{1} << 50) / 4096;
  out.st.files = std::uint64_t{1} << 32;
  out.st.namelen = kMaxName;
  replyStruct(ticket, out);
}

void Session::on(const Ticket& ticket, const AccessRequest& request) {
  // The kernel itself checks permissions (default_permissions); this is asked only where it can't.
  if ((request.mask & W_OK) != 0) return refuse(ticket, EROFS);
  replyBytes(ticket, {});
}

void Session::on(const Ticket& ticket, const SyncRequest&) {
  replyBytes(ticket, {});
}

void Session::on(const Ticket& ticket, const ListXattrRequest& request) {
  const auto inode = find(ticket.node);
  if (!inode) return refuse(ticket, ESTALE);
  using std::string_view_literals::operator""sv;
  constexpr auto kNames = "user.forebay.version\0user.forebay.cached_bytes\0user.forebay.holders\0"sv;
  answerXattr(ticket, inode->directory ? std::string_view{} : kNames, request.size);
}

void Session::on(const Ticket&, const InterruptRequest& request) {
  operations_.interrupt(request.unique, isDying, [this](Operation& op) { endLate(op, EINTR, {}); });
}

void Session::on(const Ticket& ticket, const DestroyRequest&) {
  replyBytes(ticket, {});
}

void Session::on(const Ticket& ticket, const WriteRequest&) {
  refuse(ticket, EROFS);
}

void Session::on(const Ticket& ticket, const UnknownRequest&) {
  refuse(ticket, ENOSYS);  // the kernel does it itself (LSEEK, locks) or tells the program so, and asks no more
}

void Session::tick(TimePoint at) {
  operations_.claimExpired(at, [this](Operation& op) {
    metrics_.late.add();
    endLate(op, EIO, "no answer within the deadline");
  });
  operations_.claimDying(isDying, [this](Operation& op) { endLate(op, EINTR, {}); });
  if (at.time_since_epoch().count() >= next_trim_ns_.load(std::memory_order_relaxed)) {
    next_trim_ns_.store((at + kTrimEvery).time_since_epoch().count(), std::memory_order_relaxed);
    buffers_.trim();
  }
  metrics_.outstanding.set(operations_.outstanding());
  metrics_.nodes.set(static_cast<std::int64_t>(nodes()));
  metrics_.handles.set(static_cast<std::int64_t>(openHandles()));
  const std::uint64_t in_ring = ringAgreed() ? channel_.ring()->bytes() : 0;
  metrics_.reply_bytes.set(static_cast<std::int64_t>(buffers_.allocated() + in_ring));
}

void Session::endLate(Operation& op, int error, std::string_view why) {
  if (!why.empty())
    warn(op.ticket, op.inode ? op.inode->path : op.path, fmt::format("{} of {} ms", why, toMs(options_.deadline)));
  refuse(op.ticket, error);
  operations_.answered(op);
}

void Session::stop() {
  stopping_.store(true);
  operations_.close();
  buffers_.close();
  while (calling_.load() != 0) std::this_thread::yield();  // client calls return at once
  operations_.claimAll([this](Operation& op) { endLate(op, EIO, {}); });
  operations_.waitForAnswers();
}

std::vector<Session::Prunable> Session::prunable() {
  const std::lock_guard lock(nodes_mutex_);
  return namesOf(nodes_.pastLimit(options_.max_nodes, kPruneBatch));
}

std::vector<Session::Prunable> Session::forgetBelow(std::string_view path) {
  const std::lock_guard lock(nodes_mutex_);
  names_.forgetBelow(path);
  return namesOf(nodes_.objectsBelow(path));
}

// With the lock.
std::vector<Session::Prunable> Session::namesOf(const std::vector<std::shared_ptr<const Inode>>& inodes) const {
  std::vector<Prunable> out;
  for (const auto& inode : inodes)
    if (const auto parent = nodes_.findDirectory(parentOf(inode->path)))
      out.push_back({.parent = *parent, .name = std::string(baseName(inode->path))});
  return out;
}

std::size_t Session::nodes() const {
  const std::lock_guard lock(nodes_mutex_);
  return nodes_.size();
}

std::size_t Session::openHandles() const {
  const std::lock_guard lock(handles_mutex_);
  return files_.size() + directories_.size();
}

// --- answers

bool Session::reply(const Ticket& ticket, std::span<const iovec> parts) {
  const int error = channel_.send(ticket.device, parts);
  if (ticket.opcode == FUSE_READ) metrics_.read_time.record(now() - ticket.started);
  if (ticket.opcode == FUSE_LOOKUP) metrics_.lookup_time.record(now() - ticket.started);
  // ENOENT: the program was killed meanwhile. ENODEV and the like: unmounted.
  return error == 0;
}

bool Session::replyBytes(const Ticket& ticket, Bytes bytes) {
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + bytes.size());
  header.unique = ticket.unique;
  const iovec parts[] = {{&header, sizeof header}, {const_cast<std::byte*>(bytes.data()), bytes.size()}};
  return reply(ticket, std::span(parts, bytes.empty() ? 1 : 2));
}

void Session::refuse(const Ticket& ticket, int error) {
  metrics_.errorsOf(error).add();
  fuse_out_header header{};
  header.len = sizeof header;
  header.error = -error;
  header.unique = ticket.unique;
  const iovec part{&header, sizeof header};
  reply(ticket, std::span(&part, 1));
}

void Session::refuse(const Ticket& ticket, std::string_view path, const Error& error) {
  // That a name doesn't exist is an answer, not trouble.
  if (error.code != Code::NotFound && !stopping_.load()) warn(ticket, path, error.text());
  refuse(ticket, errnoOf(error.code));
}

void Session::refuseClaimed(Operation& op, const Error& error) {
  if (operations_.claim(op)) {
    refuse(op.ticket, op.inode ? op.inode->path : op.path, error);
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

void Session::warn(const Ticket& ticket, std::string_view path, std::string_view why) {
  // As the user sees it, in one line: names come from an origin and may hold line breaks or terminal sequences.
  std::string file = childPath(options_.mount_point, path.substr(0, kMaxPath));
  for (char& c : file)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  warn(fmt::format("{} {}: {}", opcodeName(ticket.opcode), file, why));
}

void Session::warn(std::string_view line) {
  const auto left_out = log_limit_.admit(now());
  if (!left_out) return;
  if (*left_out > 0) log::warn("fuse", "{} more lines were left out", *left_out);
  log::warn("fuse", "{}", line);
}

Operation* Session::begin(const Ticket& ticket, std::string_view path, std::shared_ptr<const Inode> inode) {
  Operation* op = operations_.reserve(ticket, ticket.started + options_.deadline, shared_from_this());
  if (op == nullptr) {
    refuse(ticket, inode ? inode->path : path,
           Error{.code = Code::DeadlineExceeded,
                 .message = fmt::format("{} operations wait already, and none ended", operations_.outstanding())});
    return nullptr;
  }
  op->path = path;
  op->inode = std::move(inode);
  operations_.begin(*op);
  return op;
}

void Session::abandon(Operation& op) {
  refuseClaimed(op, Error{.code = Code::Cancelled, .message = "the mount is being ended"});
}

// --- nodes and handles

std::shared_ptr<const Inode> Session::find(NodeNumber node) const {
  const std::lock_guard lock(nodes_mutex_);
  return nodes_.find(node);
}

std::shared_ptr<const Session::File> Session::findFile(Handle handle) const {
  const std::lock_guard lock(handles_mutex_);
  const auto found = files_.find(handle);
  return found == files_.end() ? nullptr : found->second;
}

std::shared_ptr<Session::Directory> Session::findDirectory(Handle handle) const {
  const std::lock_guard lock(handles_mutex_);
  const auto found = directories_.find(handle);
  return found == directories_.end() ? nullptr : found->second;
}

fuse_attr Session::attributesOf(const Inode& inode) const {
  fuse_attr attr{};
  attr.ino = inodeNumber(inode);
  attr.mode = inode.directory ? S_IFDIR | (0555 & ~options_.umask) : S_IFREG | (0444 & ~options_.umask);
  attr.nlink = 1;  // of a directory: "not counted", or find(1) would take it to have no subdirectory
  attr.uid = options_.uid;
  attr.gid = options_.gid;
  attr.size = inode.directory ? 0 : inode.size;
  attr.blocks = divideUp(attr.size, 512);
  attr.blksize = core::kGranule;
  const std::int64_t ns = inode.directory && inode.mtime_ns == 0 ? started_ns_ : inode.mtime_ns;
  const auto time = std::chrono::floor<std::chrono::seconds>(Duration(ns));
  attr.atime = attr.mtime = attr.ctime = static_cast<std::uint64_t>(time.count());
  attr.atimensec = attr.mtimensec = attr.ctimensec = static_cast<std::uint32_t>((Duration(ns) - time).count());
  return attr;
}

fuse_entry_out Session::entryOf(NodeNumber node, const Inode& inode, Duration entry_ttl) const {
  fuse_entry_out out{};
  out.nodeid = node;
  out.generation = 1;  // numbers are never given twice
  setValid(out.entry_valid, out.entry_valid_nsec, entry_ttl);
  setValid(out.attr_valid, out.attr_valid_nsec, kForever);
  out.attr = attributesOf(inode);
  return out;
}

Duration Session::entryTtl(Duration ttl) const {
  switch (options_.consistency.kind) {
    case Consistency::Kind::Frozen:
      return kForever;
    case Consistency::Kind::Bounded:
      return std::clamp(ttl, Duration{0}, std::max(options_.consistency.bound, Duration{0}));
    case Consistency::Kind::Open:
      break;
  }
  return Duration{0};
}

}  // namespace forebay::fuse
