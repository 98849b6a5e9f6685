// The bytes of small objects that come with their plans, so that both cost one round trip.
//
// The bulk of a ResolveReply is the objects of those of its items that say `bytes`: each whole, one after the other in
// the items' order. Their checksums are in the items, one per granule of 64 KiB. An object whose bytes don't match is
// worth nothing, and says nothing of the others.
//
// Who answers sends what it has at hand and what fits a frame's bulk: an item without bytes is as good an answer.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "wire/messages.pb.h"

namespace forebay::wire {

// What the bulk of this (validated) reply's frame has to be long.
std::uint64_t planBytes(const pb::ResolveReply& reply);

// Checks such bulk while it arrives, in whatever portions: each granule right after its last byte, while it is in the
// cache.
class PlanBytesVerifier {
 public:
  // Of a validated reply. What was started before is forgotten.
  void start(const pb::ResolveReply& reply);
  // The next bytes; what goes beyond the last object is ignored.
  void feed(Bytes bytes);
  // So far none that didn't match.
  bool intact() const { return intact_; }
  // The object of that item came whole and matched.
  bool intact(std::size_t item) const { return item < good_.size() && good_[item]; }

 private:
  struct Piece {
    std::size_t item;
    std::uint32_t length, crc;
    bool last;  // of its object
  };
  std::vector<Piece> pieces_;
  std::vector<bool> good_;     // by item
  std::size_t piece_ = 0;      // that is being received
  std::uint32_t have_ = 0;     // bytes of it
  std::uint32_t crc_ = 0;      // of those
  bool object_intact_ = true;  // as far as it has come
  bool intact_ = true;
};

}  // namespace forebay::wire
