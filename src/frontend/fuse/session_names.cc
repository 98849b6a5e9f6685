// Names: LOOKUP, OPEN, and the reading of directories.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "frontend/fuse/session.h"

namespace forebay::fuse {
namespace {

constexpr std::size_t kMaxOpenDirectories = 4096;  // each keeps a page of names, half a MiB
constexpr std::size_t kMaxHiddenReports = 1024;
constexpr std::uint64_t kDots = 2;  // offsets 0 and 1; the listing's first name is at 2

Inode inodeOf(std::string path, const client::Attributes& attributes) {
  if (attributes.directory)
    return Inode{.path = std::move(path),
                 .directory = true,
                 .version = {},
                 .mtime_ns = attributes.plan.mtime_ns,
                 .plan = nullptr};
  return Inode{.path = std::move(path),
               .directory = false,
               .version = attributes.plan.version,
               .size = attributes.plan.size,
               .mtime_ns = attributes.plan.mtime_ns,
               .plan = std::make_shared<const core::Plan>(attributes.plan)};
}

bool sameObject(const Inode& inode, const client::Attributes& attributes) {
  return !attributes.directory && attributes.plan.version == inode.version && attributes.plan.size == inode.size;
}

}  // namespace

// --- LOOKUP

void Session::on(const Ticket& ticket, const LookupRequest& request) {
  const auto directory = find(ticket.node);
  if (!directory) return refuse(ticket, ESTALE);
  if (!directory->directory) return refuse(ticket, ENOTDIR);
  if (request.name.size() > kMaxName) return refuse(ticket, ENAMETOOLONG);
  if (!nameFits(request.name)) return refuse(ticket, ENOENT);
  std::string path = childPath(directory->path, request.name);
  if (path.size() > kMaxPath) return refuse(ticket, ENAMETOOLONG);

  std::optional<RememberedNames::Known> known;
  bool superseded = false;
  {
    const std::lock_guard lock(nodes_mutex_);
    known = names_.find(path, ticket.started);
    superseded = known && !known->inode.directory && nodes_.takeSuperseded(known->inode);
    if (superseded) names_.forget(path);
  }
  if (!known || superseded) return lookUp(ticket, std::move(path), superseded);
  metrics_.remembered.add();
  answerEntry(ticket, std::move(known->inode), entryTtl(known->left));
}

void Session::lookUp(const Ticket& ticket, std::string path, bool revalidate) {
  Operation* op = begin(ticket, path);
  if (op == nullptr) return;
  const bool called = whileRunning([&] {
    client_.lookup(path, revalidate, op->deadline,
                   [this, op, path, revalidate](Result<client::Attributes> result) mutable {
                     lookedUp(*op, std::move(path), revalidate, std::move(result));
                   });
  });
  if (!called) abandon(*op);
}

void Session::lookedUp(Operation& op, std::string path, bool revalidated, Result<client::Attributes> result) {
  if (!result && result.error().code == Code::NotFound && options_.consistency.kind == Consistency::Kind::Frozen) {
    // Absence is believed as long as anything else here. Elsewhere the error carries no time to live, and what the
    // client remembers has already used some of the promise: the kernel asks each time.
    if (operations_.claim(op)) {
      fuse_entry_out absent{};
      setValid(absent.entry_valid, absent.entry_valid_nsec, entryTtl(Duration{0}));
      replyStruct(op.ticket, absent);
      operations_.answered(op);
    }
    return operations_.calledBack(op);
  }
  if (!result) return refuseClaimed(op, result.error());

  Inode inode = inodeOf(std::move(path), *result);
  if (!revalidated && operations_.isWaiting(op) && takeSuperseded(inode)) {
    // An open learnt that this version has a successor, said ESTALE, and the kernel looks the name up again: a
    // remembered answer would send it round to the same node. So the origin is asked, once.
    const bool called = whileRunning([&] {
      client_.lookup(inode.path, true, op.deadline,
                     [this, &op, path = inode.path](Result<client::Attributes> fresh) mutable {
                       lookedUp(op, std::move(path), true, std::move(fresh));
                     });
    });
    if (!called) abandon(op);
    return;
  }
  const Duration ttl = entryTtl(result->ttl);
  if (ttl > Duration{0}) {
    const std::lock_guard lock(nodes_mutex_);
    names_.remember(inode, std::chrono::steady_clock::now() + ttl);
  }
  if (operations_.claim(op)) {
    answerEntry(op.ticket, std::move(inode), ttl);
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

bool Session::takeSuperseded(const Inode& inode) {
  const std::lock_guard lock(nodes_mutex_);
  return !inode.directory && nodes_.takeSuperseded(inode);
}

void Session::answerEntry(const Ticket& ticket, Inode looked_up, Duration ttl) {
  NodeNumber node = 0;
  std::shared_ptr<const Inode> inode;
  {
    const std::lock_guard lock(nodes_mutex_);
    node = nodes_.look(std::move(looked_up));
    inode = nodes_.find(node);
  }
  if (replyStruct(ticket, entryOf(node, *inode, ttl))) return;
  const std::lock_guard lock(nodes_mutex_);
  nodes_.forget(node, 1);
}

// --- OPEN

void Session::on(const Ticket& ticket, const OpenRequest& request) {
  auto inode = find(ticket.node);
  if (!inode) return refuse(ticket, ESTALE);
  if ((request.flags & O_ACCMODE) != O_RDONLY || (request.flags & O_TRUNC) != 0) return refuse(ticket, EROFS);
  if (request.directory != inode->directory) return refuse(ticket, inode->directory ? EISDIR : ENOTDIR);
  if (request.directory) return openDirectory(ticket, std::move(inode));
  // A node from a listing has no plan yet.
  if (options_.consistency.kind == Consistency::Kind::Open || inode->plan == nullptr)
    return revalidateForOpen(ticket, inode);
  if (!passthrough_.concerns(inode->size)) return answerOpen(ticket, inode, {});
  Operation* op = begin(ticket, {}, inode);
  if (op == nullptr) return;
  regionOrAnswer(*op, inode);
}

// What an open is answered with, but for the backing file: asks for it where there may be one.
void Session::regionOrAnswer(Operation& op, const std::shared_ptr<const Inode>& inode) {
  if (!passthrough_.concerns(inode->size)) return openAs(op, inode, {});
  if (const auto way = passthrough_.join(op.ticket.node)) return openAs(op, inode, *way);
  const bool called = whileRunning([&] {
    client_.region(*inode->plan, wishFor(*inode), op.deadline,
                   [this, &op, inode](const Result<io::Descriptor>& file) { regionFor(op, inode, file); });
  });
  if (!called) abandon(op);
}

client::RegionWish Session::wishFor(const Inode& inode) const {
  if (!passthrough_.on()) return {.reads = "mapped", .why = passthrough_.whyOff()};
  const std::lock_guard lock(use_mutex_);
  const bool waits = use_.readsWhole(hash64(parentOf(inode.path)));
  // An operation that passes its deadline is an error: waiting must never be why.
  return {.wait = waits ? std::min(options_.open_wait, options_.deadline / 4) : Duration{0},
          .reads = "passthrough",
          .why = passthrough_.by()};
}

// What the kernel reads by itself isn't seen, and what is too small for it isn't waited for.
void Session::noteUse(const File& file) {
  if (!file.tracked || file.by_kernel) return;
  const std::lock_guard lock(use_mutex_);
  use_.closed(hash64(parentOf(file.inode->path)), file.asked.load(std::memory_order_relaxed), file.inode->size);
}

// Without a file the bytes come through this process, as those of most objects do. The kernel is given one only while
// somebody waits for the answer: later the mount may be gone.
void Session::regionFor(Operation& op, const std::shared_ptr<const Inode>& inode, const Result<io::Descriptor>& file) {
  if (operations_.claim(op)) {
    answerOpen(op.ticket, inode, passthrough_.decide(op.ticket.node, file ? file->get() : -1, inode->size));
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

// `way`: already counted as a handle.
void Session::openAs(Operation& op, const std::shared_ptr<const Inode>& inode, const Passthrough::Way& way) {
  if (operations_.claim(op)) {
    answerOpen(op.ticket, inode, way);
    operations_.answered(op);
  } else if (passthrough_.concerns(inode->size)) {
    passthrough_.closed(op.ticket.node);
  }
  operations_.calledBack(op);
}

void Session::revalidateForOpen(const Ticket& ticket, const std::shared_ptr<const Inode>& inode) {
  Operation* op = begin(ticket, inode->path);
  if (op == nullptr) return;
  const bool revalidate = options_.consistency.kind == Consistency::Kind::Open;
  const bool called = whileRunning([&] {
    client_.lookup(inode->path, revalidate, op->deadline,
                   [this, op, inode](Result<client::Attributes> result) { openedFor(*op, inode, std::move(result)); });
  });
  if (!called) abandon(*op);
}

void Session::openedFor(Operation& op, const std::shared_ptr<const Inode>& inode, Result<client::Attributes> result) {
  if (!result) return refuseClaimed(op, result.error());
  if (sameObject(*inode, *result)) {
    auto opened = inode;
    {
      const std::lock_guard lock(nodes_mutex_);
      if (inode->plan == nullptr)
        nodes_.setPlan(op.ticket.node, std::make_shared<const core::Plan>(std::move(result->plan)));
      if (auto with_plan = nodes_.find(op.ticket.node)) opened = std::move(with_plan);
    }
    if (opened->plan != nullptr) return regionOrAnswer(op, opened);
  }
  if (operations_.claim(op)) {
    // Another version is another node. On ESTALE the kernel looks the path up once more, then opens that. The same for
    // one that was forgotten while it was being opened.
    {
      const std::lock_guard lock(nodes_mutex_);
      nodes_.supersede(op.ticket.node);
    }
    refuse(op.ticket, ESTALE);
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

void Session::answerOpen(const Ticket& ticket, const std::shared_ptr<const Inode>& inode, const Passthrough::Way& way) {
  fuse_open_out out{};
  out.open_flags = FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
  const bool tracked = passthrough_.concerns(inode->size);
  if (way.elsewhere) {
    // The kernel looks the name up again, and opens the node that it then gets.
    {
      const std::lock_guard lock(nodes_mutex_);
      nodes_.renew(ticket.node);
    }
    return refuse(ticket, ESTALE);
  }
  if (way.backing != 0) {
    out.open_flags = kOpenPassthrough | FOPEN_NOFLUSH;  // no cached pages beside it
    backingIdOf(out) = static_cast<std::int32_t>(way.backing);
    metrics_.passthrough_opens.add();
  }
  {
    const std::lock_guard lock(handles_mutex_);
    out.fh = next_handle_++;
    auto handle = std::make_shared<File>();
    handle->node = ticket.node;
    handle->inode = inode;
    handle->tracked = tracked;
    handle->by_kernel = way.backing != 0;
    handle->map = way.map;
    files_.emplace(out.fh, std::move(handle));
  }
  {
    const std::lock_guard lock(nodes_mutex_);
    nodes_.open(ticket.node);
  }
  if (replyStruct(ticket, out)) return;
  {
    const std::lock_guard lock(handles_mutex_);
    files_.erase(out.fh);
  }
  if (tracked) passthrough_.closed(ticket.node);
  const std::lock_guard lock(nodes_mutex_);
  nodes_.close(ticket.node);
}

// --- directories

struct Session::ReadDir {
  std::shared_ptr<Directory> directory;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool plus = false;

  std::uint64_t index() const { return offset < kDots ? 0 : offset - kDots; }
};

void Session::openDirectory(const Ticket& ticket, std::shared_ptr<const Inode> inode) {
  auto directory = std::make_shared<Directory>();
  directory->node = ticket.node;
  directory->inode = std::move(inode);
  fuse_open_out out{};
  if (options_.consistency.kind == Consistency::Kind::Frozen) out.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
  {
    const std::lock_guard lock(handles_mutex_);
    if (directories_.size() < kMaxOpenDirectories) {
      out.fh = next_handle_++;
      directories_.emplace(out.fh, std::move(directory));
    }
  }
  if (out.fh == 0) return refuse(ticket, ENFILE);
  {
    const std::lock_guard lock(nodes_mutex_);
    nodes_.open(ticket.node);
  }
  if (replyStruct(ticket, out)) return;
  {
    const std::lock_guard lock(handles_mutex_);
    directories_.erase(out.fh);
  }
  const std::lock_guard lock(nodes_mutex_);
  nodes_.close(ticket.node);
}

void Session::on(const Ticket& ticket, const ReadDirRequest& request) {
  ReadDir read{
      .directory = findDirectory(request.handle), .offset = request.offset, .size = request.size, .plus = request.plus};
  if (!read.directory || read.directory->node != ticket.node) return refuse(ticket, EBADF);
  Place place;
  {
    const std::lock_guard lock(read.directory->mutex);
    if (read.offset == 0) read.directory->stream.rewind();
    place = read.directory->stream.seek(read.index());
  }
  if (!std::holds_alternative<WantPage>(place)) {
    const auto* page = std::get_if<std::shared_ptr<const Page>>(&place);
    return answerReadDir(ticket, read, page == nullptr ? nullptr : page->get());
  }
  Operation* op = begin(ticket, read.directory->inode->path);
  if (op != nullptr) walk(*op, std::move(read));
}

void Session::walk(Operation& op, ReadDir read) {
  Place place;
  {
    const std::lock_guard lock(read.directory->mutex);
    place = read.directory->stream.seek(read.index());
  }
  if (auto* want = std::get_if<WantPage>(&place)) {
    const bool called = whileRunning([&] {
      client_.list(read.directory->inode->path, want->cursor, DirectoryStream::kPageNames, op.deadline,
                   [this, &op, read, want = *want](Result<client::DirectoryPage> result) mutable {
                     listed(op, std::move(read), want, std::move(result));
                   });
    });
    if (!called) abandon(op);
    return;
  }
  if (operations_.claim(op)) {
    const auto* page = std::get_if<std::shared_ptr<const Page>>(&place);
    answerReadDir(op.ticket, read, page == nullptr ? nullptr : page->get());
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

void Session::listed(Operation& op, ReadDir read, const WantPage& want, Result<client::DirectoryPage> result) {
  if (!result) return refuseClaimed(op, result.error());
  Result<std::uint64_t> hidden = 0;
  {
    const std::lock_guard lock(read.directory->mutex);
    hidden = read.directory->stream.arrived(want, std::move(*result), std::chrono::steady_clock::now());
  }
  if (!hidden) return refuseClaimed(op, hidden.error());
  if (*hidden > 0) whileRunning([&] { reportHidden(*read.directory->inode, *hidden); });
  if (!operations_.isWaiting(op)) return operations_.calledBack(op);  // answered meanwhile: no further page is needed
  walk(op, std::move(read));
}

void Session::answerReadDir(const Ticket& ticket, const ReadDir& read, const Page* page) {
  DirectoryReply reply(read.size, read.plus);
  std::vector<NodeNumber> counted;
  if (addDots(read, reply) && page != nullptr) addNames(read, *page, reply, counted);
  if (reply.empty() && page != nullptr) return refuse(ticket, EINVAL);  // not even one name fits
  if (replyBytes(ticket, reply.bytes())) return;
  const std::lock_guard lock(nodes_mutex_);
  for (const NodeNumber node : counted) nodes_.forget(node, 1);
}

bool Session::addDots(const ReadDir& read, DirectoryReply& reply) const {
  const Inode& directory = *read.directory->inode;
  // The kernel knows both: their entries carry no node, which counts no lookup.
  if (read.offset == 0) {
    if (!reply.fits(".")) return false;
    reply.add(".", inodeNumber(directory), true, 1, {});
  }
  if (read.offset <= 1) {
    if (!reply.fits("..")) return false;
    reply.add("..", inodeNumber(parentOf(directory.path), true, {}), true, kDots, {});
  }
  return true;
}

void Session::addNames(const ReadDir& read, const Page& page, DirectoryReply& reply, std::vector<NodeNumber>& counted) {
  const Inode& directory = *read.directory->inode;
  const Duration ttl = entryTtl(page.good_until - std::chrono::steady_clock::now());
  const std::lock_guard lock(nodes_mutex_);
  // Entries carry what the listing knew; nothing is asked per name, so a name that has vanished since can't turn into
  // an error here (which would end the listing for the C library). Whoever opens it learns of it.
  for (std::uint64_t index = read.index(); index - page.first < page.entries.size(); ++index) {
    const client::DirectoryEntry& name = page.entries[index - page.first];
    if (!reply.fits(name.name)) break;
    Inode inode{.path = childPath(directory.path, name.name),
                .directory = name.directory,
                .version = name.directory ? std::string{} : name.version,
                .size = name.size,
                .mtime_ns = name.mtime_ns,
                .plan = nullptr};
    const std::uint64_t ino = inodeNumber(inode);
    fuse_entry_out entry{};
    const bool known_whole = name.directory || !name.version.empty();
    if (read.plus && known_whole && inode.path.size() <= kMaxPath && nodes_.size() < options_.max_nodes) {
      const NodeNumber node = nodes_.look(std::move(inode));
      entry = entryOf(node, *nodes_.find(node), ttl);
      counted.push_back(node);
    }
    reply.add(name.name, ino, name.directory, index + kDots + 1, entry);
  }
}

void Session::reportHidden(const Inode& directory, std::uint64_t hidden) {
  metrics_.hidden.add(hidden);
  {
    const std::lock_guard lock(hidden_mutex_);
    if (hidden_reported_.size() >= kMaxHiddenReports || !hidden_reported_.insert(inodeNumber(directory)).second) return;
  }
  warn(
      fmt::format("{} has {} names that a file system can't show (such as 'a//b', or an object beside a prefix of its "
                  "name); the command line reads them",
                  childPath(options_.mount_point, directory.path), hidden));
}

}  // namespace forebay::fuse
