#include "client/read_operation.h"

#include <algorithm>

#include "wire/frame.h"

namespace forebay::client {
namespace {

// A failure that a node answers is one that it did much against itself: its origin's retries, a peer's alternates. So
// it is asked a few times more, for a node or a peer that was just going away, and then the failure counts. (Asking on
// until the deadline would defeat the origin's retry budget, and hide its reason behind "too late".)
constexpr int kAnsweredFailures = 3;
// A request's bytes beside its strings: the fixed sizes of wire/read.h, rounded up.
constexpr std::size_t kHeadBytes = 64, kObjectBytes = 64, kItemBytes = 32;

// Gives `target` the part [offset, offset + length) of what `pieces` make together.
void addRoom(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length, io::BulkTarget& target) {
  for (const MutableBytes piece : pieces) {
    if (length == 0) return;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const std::uint64_t part = std::min(length, piece.size() - offset);
    target.add(piece.subspan(offset, part));
    length -= part;
    offset = 0;
  }
}

// An item that didn't end well always has a code, whatever the node wrote.
Error errorOf(const reader::ItemResult& result) {
  Error error = result.error;
  switch (result.outcome) {
    case wire::ReadOutcome::Busy:
      error.code = Code::Busy;
      break;
    case wire::ReadOutcome::Gone:
      error.code = Code::Gone;
      break;
    case wire::ReadOutcome::Moved:
    case wire::ReadOutcome::Miss:
    case wire::ReadOutcome::Ask:
      error.code = Code::Unavailable;
      break;
    default:
      if (error.code == Code::Ok) error.code = Code::Internal;
  }
  if (error.message.empty()) error.message = "the node couldn't serve it, and didn't say why";
  return error;
}

bool passes(const Error& error) {
  return error.retryable() || error.code == Code::Corrupt;
}

}  // namespace

Wanted Wanted::of(core::Plan plan, std::uint64_t offset, std::uint64_t length, std::vector<MutableBytes> into) {
  Wanted wanted;
  wanted.length = offset >= plan.size ? 0 : std::min(length, plan.size - offset);
  wanted.plan = std::move(plan);
  wanted.offset = offset;
  wanted.into = std::move(into);
  return wanted;
}

Result<std::uint64_t> Wanted::result() const {
  if (error) return fail(*error);
  return length;
}

ReadOperation::ReadOperation(NodeConnection& connection, std::vector<Wanted> wanted, Options options, Done done)
    : Operation(connection, options.deadline, options.call),
      wanted_(std::move(wanted)),
      warm_only_(options.warm_only),
      done_(std::move(done)) {
  for (std::size_t i = 0; i < wanted_.size(); ++i) cut(i);
}

void ReadOperation::cut(std::size_t index) {
  const Wanted& wanted = wanted_[index];
  const std::uint64_t end = wanted.offset + wanted.length;
  for (std::uint64_t at = wanted.offset; at < end;) {
    const auto chunk = static_cast<std::uint32_t>(at >> wanted.plan.chunk_bits);
    const std::uint64_t start = std::uint64_t{chunk} << wanted.plan.chunk_bits;
    const std::uint64_t stop = std::min(end, start + wanted.plan.chunkLength(chunk));
    parts_.push_back({index, {chunk, static_cast<std::uint32_t>(at - start), static_cast<std::uint32_t>(stop - at)}});
    at = stop;
  }
}

void ReadOperation::attempt() {
  std::vector<wire::ReadObject> objects;
  std::vector<wire::ReadItem> items;
  gather(objects, items);
  if (items.empty()) return complete();
  for (Wanted& wanted : wanted_) wanted.last.reset();
  progress_ = false;
  keep_ = shared_from_this();
  request_ = channel().read({.objects = objects, .items = items}, *this, deadline_);
}

// The next request, within the protocol's limits. Parts of one range follow each other, so its object is named once.
void ReadOperation::gather(std::vector<wire::ReadObject>& objects, std::vector<wire::ReadItem>& items) {
  asked_.clear();
  std::size_t last = wanted_.size();
  std::size_t body = kHeadBytes;
  for (std::size_t i = 0; i < parts_.size() && items.size() < wire::kMaxReadItems; ++i) {
    const Part& part = parts_[i];
    if (part.range.length == 0) continue;
    const core::Plan& plan = wanted_[part.wanted].plan;
    const bool named = part.wanted == last;
    body += kItemBytes + (named ? 0 : kObjectBytes + plan.path.size() + plan.version.size());
    if (!items.empty() && body > wire::kMaxBody) return;
    if (!named) {
      if (objects.size() == wire::kMaxReadObjects) return;
      objects.push_back(wire::ReadObject::of(plan));
      last = part.wanted;
    }
    wire::ReadItem item;
    item.object = static_cast<std::uint16_t>(objects.size() - 1);
    item.flags = warm_only_ ? wire::kRelay | wire::kNoBytes : wire::kRelay;
    item.range = part.range;
    items.push_back(item);
    asked_.push_back(i);
  }
}

// Bytes are taken in their order alone: what has arrived is never written again, so that it stays good whatever the
// node sends next.
void ReadOperation::room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) {
  const Part& part = parts_[asked_[item]];
  if (warm_only_ || offset != part.range.offset || length > part.range.length) return;
  const Wanted& wanted = wanted_[part.wanted];
  const std::uint64_t at = (std::uint64_t{part.range.chunk} << wanted.plan.chunk_bits) + offset;
  addRoom(wanted.into, at - wanted.offset, length, target);
}

void ReadOperation::arrived(std::uint16_t item, const wire::ReadDataView& view) {
  core::ChunkRange& range = parts_[asked_[item]].range;
  if (warm_only_ || view.head().offset != range.offset || view.head().length > range.length) return;  // had no room
  range.offset += view.head().length;
  range.length -= view.head().length;
  progress_ = true;
}

void ReadOperation::finished(std::uint16_t item, const reader::ItemResult& result) {
  Part& part = parts_[asked_[item]];
  if (result.outcome == wire::ReadOutcome::Ok) {
    if (!warm_only_) return;
    part.range.length = 0;
    progress_ = true;
    return;
  }
  Wanted& wanted = wanted_[part.wanted];
  // The error that ends the range counts: one that passes hides none that stays.
  if (wanted.last && !passes(*wanted.last)) return;
  if (result.outcome == wire::ReadOutcome::Error && !wanted.last) ++wanted.answered_failures;
  wanted.last = errorOf(result);
}

// After a request: which ranges have ended. Returns an error that may pass, if there is one.
std::optional<Error> ReadOperation::settle() {
  std::optional<Error> passing;
  for (Wanted& wanted : wanted_) {
    if (!wanted.last) continue;
    if (passes(*wanted.last) && wanted.answered_failures < kAnsweredFailures)
      passing = wanted.last;
    else
      wanted.error = wanted.last;
    wanted.last.reset();
  }
  std::erase_if(parts_, [&](const Part& part) { return part.range.length == 0 || wanted_[part.wanted].error; });
  return passing;
}

void ReadOperation::done(Status status) {
  const auto keep = std::move(keep_);
  request_ = 0;
  const std::optional<Error> passing = settle();
  if (parts_.empty()) return complete();
  if (!status) return failed(status.error());
  if (passing) return again(*passing);
  if (!progress_)
    return failed({Code::Corrupt, "the node says that it sent all, and sent nothing of what is missing", 0});
  attempt();  // more parts than one request holds
}

void ReadOperation::finish(const Error& error) {
  for (const Part& part : parts_)
    if (part.range.length != 0 && !wanted_[part.wanted].error) wanted_[part.wanted].error = error;
  done_(wanted_);
}

void ReadOperation::complete() {
  const auto self = shared_from_this();
  close();
  done_(wanted_);
}

}  // namespace forebay::client
