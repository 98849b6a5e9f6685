// Bytes that are in the arena: found, pinned, and where they are.
#include <algorithm>
#include <cassert>
#include <utility>

#include "store/arena_impl.h"

namespace forebay::store {

using core::kGranule;
using core::kRun;
using detail::kRunsPerPage;

std::optional<View> Arena::view(TimePoint now, const core::ObjectKey& key, std::uint32_t chunk, std::uint32_t offset,
                                std::uint32_t length) {
  Impl& impl = *impl_;
  if (length == 0) return View();
  const detail::Object* object = impl.find(key);
  if (object == nullptr || std::uint64_t{offset} + length > object->chunkLength(chunk)) return std::nullopt;
  detail::Unit* unit = impl.unitOf(*object, chunk);
  if (unit == nullptr) return std::nullopt;
  const std::uint32_t start = object->offsetInUnit(chunk) + offset;
  const core::RunRange runs = core::runsOf(start, length);
  for (std::uint32_t run = runs.first; run < runs.end; ++run)
    if ((unit->pages[run / kRunsPerPage].present >> (run % kRunsPerPage) & 1) == 0) return std::nullopt;
  View made;
  made.arena_ = this;
  made.unit_ = unit;
  made.length_ = length;
  made.first_granule_ = start / kGranule;
  made.end_granule_ = static_cast<std::uint32_t>(divideUp(std::uint64_t{start} + length, kGranule));
  for (std::uint32_t done = 0; done < length;) {
    const std::uint32_t at = start + done;
    const std::uint32_t take = std::min(length - done, kRun - at % kRun);
    made.add(impl.pieceAt(*unit, at, take));
    done += take;
  }
  impl.hold(*unit, unit->views);
  impl.eviction.touch(now, unit->ref);
  return made;
}

Piece Arena::Impl::pieceAt(const Unit& unit, std::uint32_t offset, std::uint32_t length) const {
  const std::byte* at = addressOf(unit, offset / kRun) + offset % kRun;
  if (unit.pages[offset / kPage].in_region) return {Bytes(at, length), unit.region->fd(), unit.start + offset};
  return {Bytes(at, length), slab->fd(), slab->offsetOf(at)};
}

void View::add(const Piece& piece) {
  if (count_ != 0) {
    Piece& last = more_.empty() ? few_[count_ - 1] : more_.back();
    if (last.fd == piece.fd && last.file_offset + last.bytes.size() == piece.file_offset) {
      last.bytes = Bytes(last.bytes.data(), last.bytes.size() + piece.bytes.size());
      return;
    }
  }
  if (count_ == kInline) more_.assign(few_.begin(), few_.end());
  if (count_ >= kInline)
    more_.push_back(piece);
  else
    few_[count_] = piece;
  ++count_;
}

View::View(View&& other) noexcept {
  *this = std::move(other);
}

View& View::operator=(View&& other) noexcept {
  if (this == &other) return *this;
  release();
  arena_ = std::exchange(other.arena_, nullptr);
  unit_ = std::exchange(other.unit_, nullptr);
  length_ = other.length_;
  first_granule_ = other.first_granule_;
  end_granule_ = other.end_granule_;
  count_ = other.count_;
  few_ = other.few_;
  more_ = std::move(other.more_);
  return *this;
}

std::uint32_t View::crc(std::uint32_t i) const {
  assert(i < granules());
  return unit_->crcs[first_granule_ + i];
}

void View::release() {
  if (arena_ == nullptr) return;
  Arena* arena = std::exchange(arena_, nullptr);
  detail::Unit& unit = *std::exchange(unit_, nullptr);
  arena->impl_->release(unit, unit.views);
}

std::shared_ptr<const void> View::keepAlive() && {
  return std::allocate_shared<View>(PooledIn<View>(arena_->impl_->view_blocks), std::move(*this));
}

}  // namespace forebay::store
