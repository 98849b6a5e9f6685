#include "wire/plan_bytes.h"

#include <algorithm>

#include "base/checksum.h"
#include "wire/read.h"

namespace forebay::wire {

std::uint64_t planBytes(const pb::ResolveReply& reply) {
  std::uint64_t bytes = 0;
  for (const pb::Resolved& item : reply.items()) bytes += item.bytes();
  return bytes;
}

void PlanBytesVerifier::start(const pb::ResolveReply& reply) {
  *this = {};
  good_.assign(static_cast<std::size_t>(reply.items_size()), false);
  for (std::size_t i = 0; i < good_.size(); ++i) {
    const pb::Resolved& item = reply.items(static_cast<int>(i));
    std::uint32_t at = 0;
    for (const std::uint32_t crc : item.crcs()) {
      const std::uint32_t end = std::min(item.bytes(), at + core::kGranule);
      pieces_.push_back({.item = i, .length = end - at, .crc = crc, .last = end == item.bytes()});
      at = end;
    }
  }
}

void PlanBytesVerifier::feed(Bytes bytes) {
  while (!bytes.empty() && piece_ < pieces_.size()) {
    const Piece& piece = pieces_[piece_];
    const auto part = bytes.first(std::min<std::size_t>(bytes.size(), piece.length - have_));
    crc_ = crc32c(part, crc_);
    have_ += static_cast<std::uint32_t>(part.size());
    bytes = bytes.subspan(part.size());
    if (have_ < piece.length) return;
    object_intact_ &= crc_ == piece.crc;
    intact_ &= object_intact_;
    if (piece.last) good_[piece.item] = std::exchange(object_intact_, true);
    have_ = crc_ = 0;
    ++piece_;
  }
}

}  // namespace forebay::wire
