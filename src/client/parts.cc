#include "client/parts.h"

#include <algorithm>

#include "wire/frame.h"

namespace forebay::client {
namespace {

// A request's bytes beside its strings: the fixed sizes of wire/read.h, rounded up.
constexpr std::size_t kHeadBytes = 64, kObjectBytes = 64, kItemBytes = 32;

}  // namespace

namespace {
void forEachRoom(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length, auto&& take) {
  for (const MutableBytes piece : pieces) {
    if (length == 0) return;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const std::uint64_t part = std::min(length, piece.size() - offset);
    take(piece.subspan(offset, part));
    length -= part;
    offset = 0;
  }
}
}  // namespace

void addRoom(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length, io::BulkTarget& target) {
  forEachRoom(pieces, offset, length, [&](MutableBytes room) { target.add(room); });
}

Rooms roomOf(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length) {
  Rooms rooms;
  forEachRoom(pieces, offset, length, [&](MutableBytes room) { rooms.push_back(room); });
  return rooms;
}

Wanted Wanted::of(core::SharedPlan plan, std::uint64_t offset, std::uint64_t length, Rooms into) {
  Wanted wanted;
  wanted.length = offset >= plan->size ? 0 : std::min(length, plan->size - offset);
  wanted.plan = std::move(plan);
  wanted.offset = offset;
  wanted.into = std::move(into);
  return wanted;
}

Result<std::uint64_t> Wanted::result() const {
  if (error) return fail(*error);
  return length;
}

bool Part::room(const Wanted& of, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) const {
  if (offset != range.offset || length > range.length) return false;
  const std::uint64_t at = (std::uint64_t{range.chunk} << of.plan->chunk_bits) + offset;
  addRoom(of.into, at - of.offset, length, target);
  return true;
}

Rooms Part::room(const Wanted& of, std::uint32_t offset, std::uint32_t length) const {
  if (offset != range.offset || length > range.length) return {};
  return roomOf(of.into, (std::uint64_t{range.chunk} << of.plan->chunk_bits) + offset - of.offset, length);
}

bool Part::arrived(std::uint32_t offset, std::uint32_t length) {
  if (offset != range.offset || length > range.length) return false;
  range.offset += length;
  range.length -= length;
  return true;
}

void RequestBuilder::clear() {
  objects_.clear();
  items_.clear();
  last_.reset();
  body_ = 0;
}

bool RequestBuilder::add(std::size_t wanted, const core::Plan& plan, const core::ChunkRange& range, std::uint16_t flags,
                         std::uint64_t pin) {
  const bool named = last_ == wanted;
  const std::size_t more = kItemBytes + (items_.empty() ? kHeadBytes : 0) +
                           (named ? 0 : kObjectBytes + plan.path.size() + plan.version.size());
  if (items_.size() == wire::kMaxReadItems || (!items_.empty() && body_ + more > wire::kMaxBody)) return false;
  if (!named && objects_.size() == wire::kMaxReadObjects) return false;
  if (!named) objects_.push_back(wire::ReadObject::of(plan));
  last_ = wanted;
  body_ += more;
  wire::ReadItem item;
  item.object = static_cast<std::uint16_t>(objects_.size() - 1);
  item.flags = flags;
  item.range = range;
  item.pin = pin;
  items_.push_back(item);
  return true;
}

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

}  // namespace forebay::client
