// READ and its answers: the messages whose layout is fixed, because they are most of the traffic.
//
// One Read carries a batch: items (ranges inside one chunk each) of a few objects (whole plans: a node can serve, fill
// or relay without having seen the object before). It is answered by many ReadData frames: items interleave and stream
// while they are filled; the last frame of an item says how it ended, the last of all ends the request.
//
// Read's body (little-endian, no padding but what is named):
//    0 object count u16 | 2 item count u16 | 4 bytes per object u8 (40) | 5 bytes per item u8 (16) | 6 flags u16
//    8 bytes of strings u32 | 12 slab u32 | then objects, items, strings; what follows the strings is skipped
//   object: 0 key[16] | 16 size u64 | 24 mount u32 | 28 string offset u32 | 32 path length u16 | 34 version length u16
//           36 first slot u16 | 38 chunk bits u8 | 39 zero u8        (in the strings: path, right after it version)
//   item:   0 object u16 | 2 flags u16 | 4 chunk u32 | 8 offset u32 | 12 length u32 | 16 pin u64, where any item has
//   one
// ReadData's body:
//    0 item u16 | 2 outcome u8 | 3 flags u8 | 4 code u16 | 6 bytes up to the checksums u8 (36) | 7 zero u8
//    8 retry after ms u32 | 12 chunk offset u32 | 16 length u32 (= the frame's bulk) | 20 queue µs u32
//   24 service µs u32 | 28 checksum count u16 | 30 peer count u16 | 32 message length u16 | 34 place count u16
//   | checksums u32[] | peers u32[] | message | places, if there are any; what follows is skipped
//   places: 0 slab u64 | then 0 offset u64 | 8 length u32 | 12 generation u32 for each
// Entries may grow at their ends in later versions: the sizes above are sent, and receivers step by them.
//
// Checksums: bulk is cut into pieces at the 64 KiB granule borders of its chunk. A whole granule carries the CRC32C
// that is kept with it; a part carries the CRC32C of exactly its bytes.
//
// Places: who has the node's slab as a file (SlabRequest) says so in its Reads, and may be told where the bytes are in
// place of being sent them. Its `slab` is the lower half of the file's id, 0 for none; the answer has all of the id. A
// frame with places (kPlaces) has no bulk and no checksums, and its length is the places' together. Bytes at a place
// are right if the generation of its first unit still is what the frame says after they were copied, or for good where
// the frame says kPinned: those of an item that has a `pin`, a number of the reader's choice, are held until
// UnpinRequest names it. An item that can't be pinned is answered as if it had none.
//
// The views below point into the body that they were made from, and have checked all of it: no accessor can fail.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/types.h"

namespace forebay::wire {

constexpr std::size_t kMaxReadItems = 1'024, kMaxReadObjects = 1'024;
constexpr std::size_t kMaxPath = 1'024, kMaxVersionText = 256;
constexpr std::uint64_t kMaxObjectSize = std::uint64_t{1} << 50;  // above every origin's limit (Azure: 190 TiB)
constexpr std::size_t kMaxPieces = 65;                            // 4 MiB of bulk that starts inside a granule
constexpr std::size_t kMaxReadPeers = 64, kMaxReadMessage = 1'024;
constexpr std::uint64_t kMaxSlab = std::uint64_t{1} << 50;  // where a place may begin
constexpr std::size_t kMaxPlaces = 17;                      // 4 MiB in runs of 256 KiB, from inside one

struct ReadObject {
  core::ObjectKey key;
  std::uint64_t size = 0;
  core::MountId mount = 0;
  core::Slot first_slot = 0;
  std::uint8_t chunk_bits = core::kDefaultChunkBits;
  std::string_view path, version;

  static ReadObject of(const core::Plan& plan);  // its strings are the plan's
  core::Plan plan() const;                       // a copy; mtime isn't carried
  std::uint32_t chunkLength(std::uint32_t chunk) const;
  bool operator==(const ReadObject&) const = default;
};

enum ReadItemFlag : std::uint16_t {
  kRelay = 1,     // an attached client's: the receiver answers whatever it takes, never with a redirect
  kNoFill = 2,    // MISS rather than a fill
  kNoBytes = 4,   // warm it: fill, and send no bytes back
  kFallback = 8,  // the owners before this node can't be reached: fill although it isn't the primary
  kInsist = 16,   // who was named before (Ask) hasn't it: send it, name nobody
  kKeep = 32,     // keep it like a chunk of this node's own: a copy
  kScan = 64      // the reader goes on through the chunk: fetch the rest of it too
};

struct ReadItem {
  std::uint16_t object = 0;  // index into the batch's objects
  std::uint16_t flags = 0;   // of ReadItemFlag; unknown ones are ignored
  core::ChunkRange range;    // not empty, inside its chunk
  std::uint64_t pin = 0;     // 0: not to be pinned
  bool operator==(const ReadItem&) const = default;
};

// Writes the body of a Read to `to` (replacing what it holds, reusing its memory). InvalidArgument beyond the limits.
// `slab`: of which the reader has the file.
Status encodeRead(std::span<const ReadObject> objects, std::span<const ReadItem> items, std::vector<std::byte>& to,
                  std::uint32_t slab = 0);

class ReadView {
 public:
  static Result<ReadView> parse(Bytes body);
  std::size_t objects() const { return object_count_; }
  std::size_t items() const { return item_count_; }
  ReadObject object(std::size_t index) const;
  ReadItem item(std::size_t index) const;
  std::uint32_t slab() const { return slab_; }

 private:
  ReadView() = default;
  Status check() const;
  Bytes objects_, items_, strings_;
  std::size_t object_count_ = 0, item_count_ = 0, object_bytes_ = 0, item_bytes_ = 0;
  std::uint32_t slab_ = 0;
};

// How an item goes or went (design.md section 4).
enum class ReadOutcome : std::uint8_t {
  Ok = 0,       // bytes that were here
  Filling = 1,  // bytes on their way in; the item's last frame says Ok
  Miss = 2,     // not here, and no fill was wanted or allowed
  Moved = 3,    // not this node's: the header's map version says by which map
  Ask = 4,      // the peers have it, this chunk only
  Busy = 5,     // a bound was reached; `peers` may hold it, try again after retry_after_ms
  Expired = 6,  // renew the capability
  Revoked = 7,
  Gone = 8,   // this version is no longer at the origin: get a new plan
  Error = 9,  // code and message say why
};
std::string_view outcomeName(ReadOutcome outcome);  // "Unknown" for what this version doesn't know

enum ReadDataFlag : std::uint8_t {
  kLastOfItem = 1,
  kLastOfRequest = 2,
  kFromOrigin = 4,  // these bytes were fetched for this request, not cached before
  kPlaces = 8,      // where the bytes are, and no bulk
  kPinned = 16,     // with kPlaces: they stay there until they are unpinned
};

struct ReadData {
  std::uint16_t item = 0;
  ReadOutcome outcome = ReadOutcome::Ok;
  std::uint8_t flags = 0;
  Code code = Code::Ok;
  std::uint32_t retry_after_ms = 0;
  std::uint32_t offset = 0;      // in the chunk, of the first byte of bulk
  std::uint32_t length = 0;      // of bulk, or of the places together; 0: none
  std::uint32_t queue_us = 0;    // waited in the server's queues
  std::uint32_t service_us = 0;  // from there to this frame

  bool last() const { return (flags & kLastOfItem) != 0; }
  bool lastOfRequest() const { return (flags & kLastOfRequest) != 0; }
  core::ChunkRange range(std::uint32_t chunk) const { return {chunk, offset, length}; }
  bool operator==(const ReadData&) const = default;
};
struct Place {  // of bytes in a slab
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t generation = 0;  // of the unit that has its first byte
  bool operator==(const Place&) const = default;
};
struct ReadDataLists {
  std::span<const std::uint32_t> checksums;  // exactly one per piece of bulk
  std::span<const core::NodeId> peers;       // at most kMaxReadPeers
  std::string_view message;                  // cut at kMaxReadMessage
  std::span<const Place> places = {};        // with kPlaces: 1 to kMaxPlaces, none empty
  std::uint64_t slab = 0;                    // that they are in
};

// Writes the body of a ReadData to `to` (replacing what it holds). InvalidArgument where it can't be a frame.
Status encodeReadData(const ReadData& data, const ReadDataLists& lists, std::vector<std::byte>& to);

class ReadDataView {
 public:
  // `bulk_length` is the frame header's.
  static Result<ReadDataView> parse(Bytes body, std::uint32_t bulk_length);
  const ReadData& head() const { return head_; }
  std::size_t checksums() const { return checksums_.size() / 4; }
  std::uint32_t checksum(std::size_t i) const { return loadLe<std::uint32_t>(checksums_.data() + i * 4); }
  std::size_t peers() const { return peers_.size() / 4; }
  core::NodeId peer(std::size_t i) const { return loadLe<std::uint32_t>(peers_.data() + i * 4); }
  std::string_view message() const { return message_; }
  std::size_t places() const { return places_.size() / kPlaceBytes; }
  Place place(std::size_t i) const;
  std::uint64_t slab() const { return slab_; }
  bool hasPlaces() const { return (head_.flags & kPlaces) != 0; }
  // Of an item that didn't go well, as an Error: code, message, retry_after_ms.
  Error error() const;

 private:
  static constexpr std::size_t kPlaceBytes = 16;
  ReadDataView() = default;
  Status takePlaces(Bytes from, std::size_t count);
  ReadData head_;
  Bytes checksums_, peers_, places_;
  std::uint64_t slab_ = 0;
  std::string_view message_;
};

// Pieces of [offset, offset + length) of a chunk: how many, and where piece `index` ends (relative to offset).
std::size_t pieceCount(std::uint32_t offset, std::uint32_t length);
std::uint32_t pieceEnd(std::uint32_t offset, std::uint32_t length, std::size_t index);

// Checks bulk while it arrives, in whatever portions: each piece right after its last byte, while it is in the cache.
class PieceVerifier {
 public:
  PieceVerifier() = default;
  // `checksums` are copied; their number is pieceCount(offset, length).
  void start(std::uint32_t offset, std::uint32_t length, std::span<const std::uint32_t> checksums);
  void start(const ReadDataView& view);
  // The next bytes. False once any piece didn't match.
  bool feed(Bytes bytes);
  bool intact() const { return intact_; }

 private:
  std::uint32_t offset_ = 0, length_ = 0, at_ = 0, piece_end_ = 0, crc_ = 0;
  std::size_t piece_ = 0;
  bool intact_ = true;
  std::uint32_t checksums_[kMaxPieces] = {};
};

}  // namespace forebay::wire
