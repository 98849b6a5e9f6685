// Bytes: READ, and the extended attributes that say where they are.
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <set>

#include "frontend/fuse/session.h"

namespace forebay::fuse {
namespace {

constexpr std::string_view kVersion = "user.forebay.version", kCachedBytes = "user.forebay.cached_bytes",
                           kHolders = "user.forebay.holders";

// Distinct bytes of the object that some node holds: of each chunk, what its fullest holder has.
std::uint64_t cachedBytes(const client::Where& where) {
  std::uint64_t sum = 0;
  for (const client::ChunkPlacement& chunk : where.chunks) {
    std::uint64_t most = 0;
    for (const auto& [node, bytes] : chunk.holders) most = std::max(most, bytes);
    sum += most;
  }
  return sum;
}

std::string holders(const client::Where& where) {
  std::set<std::string_view> names;
  for (const client::ChunkPlacement& chunk : where.chunks)
    for (const auto& [node, bytes] : chunk.holders)
      if (bytes > 0) names.insert(node);
  return fmt::format("{}", fmt::join(names, ","));
}

}  // namespace

void Session::on(const Ticket& ticket, const ReadRequest& request) {
  const auto file = findFile(request.handle);
  if (!file || file->node != ticket.node) return refuse(ticket, EBADF);
  const core::Plan& plan = *file->inode->plan;
  if (request.offset >= plan.size || request.size == 0) {
    replyBytes(ticket, {});
    return;
  }
  file->asked.fetch_add(std::min<std::uint64_t>(request.size, plan.size - request.offset), std::memory_order_relaxed);
  if (file->map != nullptr) {
    const Bytes bytes =
        file->map->bytes(request.offset, std::min<std::uint64_t>(request.size, plan.size - request.offset));
    if (replyBytes(ticket, bytes)) metrics_.bytes.add(bytes.size());
    return;
  }
  Operation* op = begin(ticket, {}, file->inode);
  if (op == nullptr) return;
  op->length = std::min<std::uint64_t>(request.size, plan.size - request.offset);
  op->buffer = buffers_.acquire(op->length, op->deadline);
  if (!op->buffer)
    return refuseClaimed(*op, Error{.code = Code::DeadlineExceeded, .message = "no memory for the reply became free"});
  const bool called = whileRunning([&] {
    client_.read(file->inode->plan, request.offset, op->buffer.first(op->length), op->deadline,
                 [this, op](Result<std::size_t> result) { haveRead(*op, std::move(result)); });
  });
  if (!called) abandon(*op);
}

void Session::haveRead(Operation& op, Result<std::size_t> result) {
  // The kernel takes a short reply for the end of the file and fills up with zeros: all, or an error.
  if (result && *result != op.length)
    result = fail(Code::Internal, fmt::format("{} bytes of {} were read", *result, op.length));
  if (!result && result.error().code == Code::Gone) {
    const std::lock_guard lock(nodes_mutex_);
    names_.forget(op.inode->path);
  }
  if (!result) return refuseClaimed(op, result.error());
  if (operations_.claim(op)) {
    if (replyBytes(op.ticket, op.buffer.first(op.length))) metrics_.bytes.add(op.length);
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

void Session::on(const Ticket& ticket, const GetXattrRequest& request) {
  const auto inode = find(ticket.node);
  if (!inode) return refuse(ticket, ESTALE);
  if (inode->directory) return refuse(ticket, ENODATA);
  if (request.name == kVersion) return answerXattr(ticket, inode->version, request.size);
  if (request.name != kCachedBytes && request.name != kHolders) return refuse(ticket, ENODATA);

  Operation* op = begin(ticket, {}, inode);
  if (op == nullptr) return;
  const bool called = whileRunning([&] {
    client_.where(inode->path, op->deadline,
                  [this, op, name = std::string(request.name), size = request.size](Result<client::Where> result) {
                    located(*op, name, size, std::move(result));
                  });
  });
  if (!called) abandon(*op);
}

void Session::located(Operation& op, const std::string& name, std::uint32_t size, Result<client::Where> result) {
  if (!result) return refuseClaimed(op, result.error());
  if (operations_.claim(op)) {
    if (result->plan.version != op.inode->version)
      refuse(op.ticket, ENODATA);  // known of the present version only, and this node is another
    else
      answerXattr(op.ticket, name == kHolders ? holders(*result) : std::to_string(cachedBytes(*result)), size);
    operations_.answered(op);
  }
  operations_.calledBack(op);
}

void Session::answerXattr(const Ticket& ticket, std::string_view value, std::uint32_t size) {
  if (size == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<std::uint32_t>(value.size());
    replyStruct(ticket, out);
  } else if (value.size() > size) {
    refuse(ticket, ERANGE);
  } else {
    replyBytes(ticket, bytesOf(value));
  }
}

}  // namespace forebay::fuse
