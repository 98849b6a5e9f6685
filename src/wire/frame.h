// The frame: what every message between Forebay processes starts with.
//
// A frame is a header of 64 bytes, then a body (small, parsed), then bulk (bytes of chunks, never parsed, received
// straight into where they belong). The header's own CRC32C is checked before a length in it is believed, and lengths
// are bounded before anything is allocated. The header's layout never changes; `version` says how bodies are read, and
// is agreed once per connection (Hello, HelloReply). Bodies are protobuf (wire/messages.proto), but for Read and
// ReadData, whose layout is fixed (wire/read.h). A type that a receiver doesn't know is answered with
// Failure(Unsupported); the connection stays.
//
//   offset 0 magic u32 | 4 version u8 | 5 class u8 | 6 type u16 | 8 request id u64 | 16 capability u64
//   24 map version u64 | 32 tenant u32 | 36 deadline ms u32 | 40 body length u32 | 44 bulk length u32
//   48 flags u16 | 50 zero u16 | 52 zero u32 | 56 body CRC32C u32 | 60 header CRC32C u32      (all little-endian)
//
// Reserved bytes are sent as zero and ignored; flags that a receiver doesn't know are ignored.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay::wire {

constexpr std::size_t kHeaderBytes = 64;
constexpr std::uint32_t kMagic = 0x59424601;  // "\x01FBY" in memory: no text protocol starts with it
constexpr std::uint8_t kMinVersion = 1, kMaxVersion = 1;
constexpr std::uint32_t kMaxBody = 1 * kMiB;  // a page of a listing, a map of 5,000 members (about 300 KiB)
constexpr std::uint32_t kMaxBulk = 4 * kMiB;  // larger ranges go in several frames: other requests get between them

// Numbers are never used again. Requests below 0x8000 that expect an answer have the answer's number one above.
enum class MessageType : std::uint16_t {
  Hello = 1,  // the connecting side's first frame; nothing else may come first
  HelloReply = 2,
  Failure = 3,  // answers any request
  Cancel = 4,   // no body, no answer: whoever asked request `request_id` no longer wants it
  MapRequest = 16,
  MapReply = 17,
  ResolveRequest = 18,
  ResolveReply = 19,
  ListRequest = 20,
  ListReply = 21,
  HaveRequest = 22,
  HaveReply = 23,
  WhereRequest = 24,
  WhereReply = 25,
  StatusRequest = 26,
  StatusReply = 27,
  AddMountRequest = 28,
  AddMountReply = 29,
  RefreshRequest = 32,
  RefreshReply = 33,
  EvictRequest = 34,
  EvictReply = 35,
  LoadRequest = 36,
  LoadReply = 37,
  RegionRequest = 38,
  RegionReply = 39,
  SlabRequest = 40,
  SlabReply = 41,
  UnpinRequest = 42,
  UnpinReply = 43,
  Read = 64,
  ReadData = 65,  // many to one Read
};

std::string_view messageName(MessageType type);  // "Unknown" for numbers that this version doesn't know
bool isRequest(MessageType type);                // known, and answered by a node: not Hello, Cancel or a reply
MessageType replyTypeOf(MessageType request);    // of a request as above

struct FrameHeader {
  MessageType type = MessageType::Failure;
  std::uint8_t version = kMaxVersion;  // the connection fills in what was agreed
  std::uint8_t mount_class = 0;        // of the mount that this is about; 0: none
  std::uint16_t flags = 0;
  std::uint64_t request_id = 0;   // chosen by who asks, repeated in every answer
  std::uint64_t capability = 0;   // short id of a capability shown on this connection; 0: none
  std::uint64_t map_version = 0;  // the newest that the sender knows; 0: none
  std::uint32_t tenant = 0;
  std::uint32_t deadline_ms = 0;  // left when it was sent; 0: none. Time left, because clocks differ
  std::uint32_t body_length = 0;
  std::uint32_t bulk_length = 0;
  std::uint32_t body_crc = 0;  // CRC32C of the body; 0 for none
  bool operator==(const FrameHeader&) const = default;
};

// Flags of a header.
// A file descriptor comes with the frame, by SCM_RIGHTS: over a Unix socket, from a node to its client.
constexpr std::uint16_t kCarriesDescriptor = 1;

using HeaderBytes = std::span<std::byte, kHeaderBytes>;

void encodeHeader(const FrameHeader& header, HeaderBytes to);

// Corrupt if it isn't a header (magic, CRC32C) or a length is beyond its limit. Types, versions and flags are whatever
// was sent: what to do about unknown ones is the receiver's matter.
Result<FrameHeader> decodeHeader(std::span<const std::byte, kHeaderBytes> from);

// Fills in length and CRC32C of the body.
void describeBody(FrameHeader& header, Bytes body);
// Corrupt if these aren't the bytes that the header describes.
Status checkBody(const FrameHeader& header, Bytes body);

}  // namespace forebay::wire
