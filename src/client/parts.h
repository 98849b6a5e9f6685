// Ranges of objects on their way into a caller's memory, cut into their chunks.
//
// Each range ends for itself. What a node answers after it did much against it itself (its origin failed, bytes didn't
// match) counts against the range, kAnsweredFailures times; all else that can pass is tried again by whoever asks.
// Bytes of a part are taken in their order alone: what has arrived is never written again, so that it stays good
// whatever a node sends next.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "client/cell_reader.h"
#include "core/types.h"
#include "io/connection.h"
#include "reader/channel.h"
#include "wire/read.h"

namespace forebay::client {

// A failure that a node answers is one that it did much against itself: its origin's retries, a peer's alternates. So
// it is asked a few times more, for a node or a peer that was just going away, and then the failure counts. (Asking on
// until the deadline would defeat the origin's retry budget, and hide its reason behind "too late".)
constexpr int kAnsweredFailures = 3;

// A range, where its bytes go, and how it ended.
struct Wanted {
  // `length` is cut at the object's end.
  static Wanted of(core::SharedPlan plan, std::uint64_t offset, std::uint64_t length, Rooms into);

  Result<std::uint64_t> result() const;

  core::SharedPlan plan;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // inside the object
  Rooms into;
  std::optional<Error> error;  // for good
  std::optional<Error> last;   // that may pass
  int answered_failures = 0;
  bool scan = false;  // its reader goes on: the rest of its last chunk will be wanted too
};

// Gives `target` the part [offset, offset + length) of what `pieces` make together.
void addRoom(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length, io::BulkTarget& target);

// The same part, as it is.
Rooms roomOf(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length);

// What is still missing of a range in one chunk.
struct Part {
  std::size_t wanted = 0;  // whose
  core::ChunkRange range;

  // Room for bytes that are the part's next; false, and none, for others.
  bool room(const Wanted& of, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) const;
  Rooms room(const Wanted& of, std::uint32_t offset, std::uint32_t length) const;
  // They are there. False: they had no room.
  bool arrived(std::uint32_t offset, std::uint32_t length);
};

// Appends the parts of `wanted`, which is range number `index`.
template <class Parts>
void cut(const Wanted& wanted, std::size_t index, Parts& to) {
  const std::uint64_t end = wanted.offset + wanted.length;
  for (std::uint64_t at = wanted.offset; at < end;) {
    const auto chunk = static_cast<std::uint32_t>(at >> wanted.plan->chunk_bits);
    const std::uint64_t start = std::uint64_t{chunk} << wanted.plan->chunk_bits;
    const std::uint64_t stop = std::min(end, start + wanted.plan->chunkLength(chunk));
    to.push_back({index, {chunk, static_cast<std::uint32_t>(at - start), static_cast<std::uint32_t>(stop - at)}});
    at = stop;
  }
}

// A Read's objects and items, within the protocol's limits. Parts of one range that follow each other name its object
// once.
class RequestBuilder {
 public:
  // False: it doesn't fit any more.
  bool add(std::size_t wanted, const core::Plan& plan, const core::ChunkRange& range, std::uint16_t flags,
           std::uint64_t pin = 0);
  void clear();  // to be used again
  std::span<const wire::ReadObject> objects() const { return objects_; }
  std::span<const wire::ReadItem> items() const { return items_; }

 private:
  std::vector<wire::ReadObject> objects_;
  std::vector<wire::ReadItem> items_;
  std::optional<std::size_t> last_;
  std::size_t body_ = 0;
};

// Of an item that didn't end well: it always has a code, whatever the node wrote.
Error errorOf(const reader::ItemResult& result);
// Whether it can help to ask again.
bool passes(const Error& error);

}  // namespace forebay::client
