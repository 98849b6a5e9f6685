#include "wire/read.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>
#include <optional>

#include "base/checksum.h"
#include "wire/frame.h"

namespace forebay::wire {
namespace {

constexpr std::size_t kReadHead = 16, kObjectBytes = 40, kItemBytes = 16, kPinnedItemBytes = 24, kReadDataHead = 36;
constexpr std::size_t kSlabId = 8;

Status checkObject(const ReadObject& o) {
  if (o.chunk_bits < core::kMinChunkBits || o.chunk_bits > core::kMaxChunkBits)
    return fail(Code::InvalidArgument, fmt::format("an object with chunks of 2^{} bytes", o.chunk_bits));
  if (o.size > kMaxObjectSize) return fail(Code::InvalidArgument, fmt::format("an object of {} bytes", o.size));
  if (o.path.size() > kMaxPath || o.version.size() > kMaxVersionText)
    return fail(Code::InvalidArgument, fmt::format("a path of {} bytes with a version of {}; {} and {} are allowed",
                                                   o.path.size(), o.version.size(), kMaxPath, kMaxVersionText));
  return {};
}

Status checkItem(const ReadItem& item, const ReadObject& object) {
  const std::uint32_t chunk_length = object.chunkLength(item.range.chunk);
  if (item.range.length == 0 || item.range.offset >= chunk_length ||
      item.range.length > chunk_length - item.range.offset)
    return fail(Code::InvalidArgument,
                fmt::format("a range of {} bytes at {} of chunk {}, which has {}", item.range.length, item.range.offset,
                            item.range.chunk, chunk_length));
  return {};
}

void storeObject(std::byte* p, const ReadObject& o, std::uint32_t string_offset) {
  std::copy(o.key.bytes.begin(), o.key.bytes.end(), p);
  storeLe<std::uint64_t>(p + 16, o.size);
  storeLe<std::uint32_t>(p + 24, o.mount);
  storeLe<std::uint32_t>(p + 28, string_offset);
  storeLe<std::uint16_t>(p + 32, static_cast<std::uint16_t>(o.path.size()));
  storeLe<std::uint16_t>(p + 34, static_cast<std::uint16_t>(o.version.size()));
  storeLe<std::uint16_t>(p + 36, o.first_slot);
  storeLe<std::uint8_t>(p + 38, o.chunk_bits);
  storeLe<std::uint8_t>(p + 39, std::uint8_t{0});
}

void storeItem(std::byte* p, const ReadItem& item, std::size_t bytes) {
  storeLe<std::uint16_t>(p + 0, item.object);
  storeLe<std::uint16_t>(p + 2, item.flags);
  storeLe<std::uint32_t>(p + 4, item.range.chunk);
  storeLe<std::uint32_t>(p + 8, item.range.offset);
  storeLe<std::uint32_t>(p + 12, item.range.length);
  if (bytes >= kPinnedItemBytes) storeLe<std::uint64_t>(p + 16, item.pin);
}

}  // namespace

ReadObject ReadObject::of(const core::Plan& plan) {
  return {.key = plan.key,
          .size = plan.size,
          .mount = plan.mount,
          .first_slot = plan.first_slot,
          .chunk_bits = static_cast<std::uint8_t>(plan.chunk_bits),
          .path = plan.path,
          .version = plan.version};
}

core::Plan ReadObject::plan() const {
  return {.mount = mount,
          .path = std::string(path),
          .version = std::string(version),
          .key = key,
          .size = size,
          .chunk_bits = chunk_bits,
          .first_slot = first_slot};
}

std::uint32_t ReadObject::chunkLength(std::uint32_t chunk) const {
  const std::uint64_t start = std::uint64_t{chunk} << chunk_bits;
  if (start >= size) return 0;
  return static_cast<std::uint32_t>(std::min(size - start, std::uint64_t{1} << chunk_bits));
}

Status encodeRead(std::span<const ReadObject> objects, std::span<const ReadItem> items, std::vector<std::byte>& to,
                  std::uint32_t slab) {
  if (objects.empty() || objects.size() > kMaxReadObjects || items.empty() || items.size() > kMaxReadItems)
    return fail(Code::InvalidArgument, fmt::format("a read of {} ranges in {} objects; 1 to {} in 1 to {} are allowed",
                                                   items.size(), objects.size(), kMaxReadItems, kMaxReadObjects));
  std::size_t strings = 0;
  for (const ReadObject& object : objects) {
    TRY(checkObject(object));
    strings += object.path.size() + object.version.size();
  }
  std::size_t item_bytes = kItemBytes;
  for (const ReadItem& item : items) {
    if (item.pin != 0) item_bytes = kPinnedItemBytes;
    if (item.object >= objects.size())
      return fail(Code::InvalidArgument, "a range of an object that isn't in the read");
    TRY(checkItem(item, objects[item.object]));
  }
  const std::size_t head = kReadHead + objects.size() * kObjectBytes + items.size() * item_bytes;
  if (head + strings > kMaxBody) return fail(Code::InvalidArgument, "a read whose paths fill more than a frame's body");

  to.resize(head + strings);
  std::byte* p = to.data();
  storeLe<std::uint16_t>(p + 0, static_cast<std::uint16_t>(objects.size()));
  storeLe<std::uint16_t>(p + 2, static_cast<std::uint16_t>(items.size()));
  storeLe<std::uint8_t>(p + 4, std::uint8_t{kObjectBytes});
  storeLe<std::uint8_t>(p + 5, static_cast<std::uint8_t>(item_bytes));
  storeLe<std::uint16_t>(p + 6, std::uint16_t{0});
  storeLe<std::uint32_t>(p + 8, static_cast<std::uint32_t>(strings));
  storeLe<std::uint32_t>(p + 12, slab);
  p += kReadHead;
  std::byte* const text = to.data() + head;
  std::uint32_t at = 0;
  const auto append = [&](std::string_view s) {
    std::ranges::copy(bytesOf(s), text + at);
    at += static_cast<std::uint32_t>(s.size());
  };
  for (const ReadObject& object : objects) {
    storeObject(p, object, at);
    append(object.path);
    append(object.version);
    p += kObjectBytes;
  }
  for (const ReadItem& item : items) {
    storeItem(p, item, item_bytes);
    p += item_bytes;
  }
  return {};
}

Result<ReadView> ReadView::parse(Bytes body) {
  if (body.size() < kReadHead) return fail(Code::InvalidArgument, "a Read shorter than its head");
  ReadView view;
  view.object_count_ = loadLe<std::uint16_t>(body.data());
  view.item_count_ = loadLe<std::uint16_t>(body.data() + 2);
  view.object_bytes_ = loadLe<std::uint8_t>(body.data() + 4);
  view.item_bytes_ = loadLe<std::uint8_t>(body.data() + 5);
  const std::size_t strings = loadLe<std::uint32_t>(body.data() + 8);
  view.slab_ = loadLe<std::uint32_t>(body.data() + 12);
  if (view.object_count_ == 0 || view.object_count_ > kMaxReadObjects || view.item_count_ == 0 ||
      view.item_count_ > kMaxReadItems || view.object_bytes_ < kObjectBytes || view.item_bytes_ < kItemBytes)
    return fail(Code::InvalidArgument,
                fmt::format("a Read of {} objects of {} bytes and {} items of {}", view.object_count_,
                            view.object_bytes_, view.item_count_, view.item_bytes_));
  const std::size_t objects = view.object_count_ * view.object_bytes_, items = view.item_count_ * view.item_bytes_;
  if (body.size() - kReadHead < objects + items || body.size() - kReadHead - objects - items < strings)
    return fail(Code::InvalidArgument, "a Read shorter than its counts say");
  view.objects_ = body.subspan(kReadHead, objects);
  view.items_ = body.subspan(kReadHead + objects, items);
  view.strings_ = body.subspan(kReadHead + objects + items, strings);
  TRY(view.check());
  return view;
}

Status ReadView::check() const {
  for (std::size_t i = 0; i < object_count_; ++i) {
    const std::byte* p = objects_.data() + i * object_bytes_;
    const std::size_t at = loadLe<std::uint32_t>(p + 28);
    const std::size_t length = std::size_t{loadLe<std::uint16_t>(p + 32)} + loadLe<std::uint16_t>(p + 34);
    if (at > strings_.size() || strings_.size() - at < length)
      return fail(Code::InvalidArgument, "a Read whose path lies outside its strings");
    TRY(checkObject(object(i)));
  }
  for (std::size_t i = 0; i < item_count_; ++i) {
    const ReadItem it = item(i);
    if (it.object >= object_count_) return fail(Code::InvalidArgument, "a Read with a range of no object");
    TRY(checkItem(it, object(it.object)));
  }
  return {};
}

ReadObject ReadView::object(std::size_t index) const {
  assert(index < object_count_);
  const std::byte* p = objects_.data() + index * object_bytes_;
  ReadObject o;
  std::copy(p, p + 16, o.key.bytes.begin());
  o.size = loadLe<std::uint64_t>(p + 16);
  o.mount = loadLe<std::uint32_t>(p + 24);
  const std::size_t at = loadLe<std::uint32_t>(p + 28);
  const std::size_t path = loadLe<std::uint16_t>(p + 32), version = loadLe<std::uint16_t>(p + 34);
  o.path = textOf(strings_.subspan(at, path));
  o.version = textOf(strings_.subspan(at + path, version));
  o.first_slot = loadLe<std::uint16_t>(p + 36);
  o.chunk_bits = loadLe<std::uint8_t>(p + 38);
  return o;
}

ReadItem ReadView::item(std::size_t index) const {
  assert(index < item_count_);
  const std::byte* p = items_.data() + index * item_bytes_;
  return {.object = loadLe<std::uint16_t>(p),
          .flags = loadLe<std::uint16_t>(p + 2),
          .range = {.chunk = loadLe<std::uint32_t>(p + 4),
                    .offset = loadLe<std::uint32_t>(p + 8),
                    .length = loadLe<std::uint32_t>(p + 12)},
          .pin = item_bytes_ >= kPinnedItemBytes ? loadLe<std::uint64_t>(p + 16) : 0};
}

std::string_view outcomeName(ReadOutcome outcome) {
  constexpr std::string_view kNames[] = {"OK",   "FILLING", "MISS",    "MOVED", "ASK",
                                         "BUSY", "EXPIRED", "REVOKED", "GONE",  "ERROR"};
  const auto index = static_cast<std::size_t>(outcome);
  return index < std::size(kNames) ? kNames[index] : "Unknown";
}

namespace {

// What the places are together; nothing: some make no sense.
std::optional<std::uint64_t> bytesAt(std::span<const Place> places) {
  std::uint64_t all = 0;
  for (const Place& place : places) {
    if (place.length == 0 || place.offset > kMaxSlab) return std::nullopt;
    all += place.length;
  }
  return all;
}

Status checkPlaces(const ReadData& data, std::span<const Place> places) {
  const bool said = (data.flags & kPlaces) != 0;
  if (!said && places.empty()) return {};
  if (said && !places.empty() && places.size() <= kMaxPlaces && bytesAt(places) == data.length) return {};
  return fail(Code::InvalidArgument, fmt::format("a ReadData of {} bytes in {} places", data.length, places.size()));
}

}  // namespace

Status encodeReadData(const ReadData& data, const ReadDataLists& lists, std::vector<std::byte>& to) {
  TRY(checkPlaces(data, lists.places));
  const std::size_t pieces = lists.places.empty() ? pieceCount(data.offset, data.length) : 0;
  if (data.length > kMaxBulk || lists.checksums.size() != pieces)
    return fail(Code::InvalidArgument, fmt::format("a ReadData of {} bytes at {} with {} checksums", data.length,
                                                   data.offset, lists.checksums.size()));
  if (lists.peers.size() > kMaxReadPeers)
    return fail(Code::InvalidArgument, fmt::format("a ReadData with {} peers", lists.peers.size()));
  const std::string_view message = lists.message.substr(0, kMaxReadMessage);
  const std::size_t places = lists.places.empty() ? 0 : kSlabId + lists.places.size() * 16;
  to.resize(kReadDataHead + lists.checksums.size_bytes() + lists.peers.size_bytes() + message.size() + places);
  std::byte* p = to.data();
  storeLe<std::uint16_t>(p + 0, data.item);
  storeLe<std::uint8_t>(p + 2, static_cast<std::uint8_t>(data.outcome));
  storeLe<std::uint8_t>(p + 3, data.flags);
  storeLe<std::uint16_t>(p + 4, static_cast<std::uint16_t>(data.code));
  storeLe<std::uint8_t>(p + 6, std::uint8_t{kReadDataHead});
  storeLe<std::uint8_t>(p + 7, std::uint8_t{0});
  storeLe<std::uint32_t>(p + 8, data.retry_after_ms);
  storeLe<std::uint32_t>(p + 12, data.offset);
  storeLe<std::uint32_t>(p + 16, data.length);
  storeLe<std::uint32_t>(p + 20, data.queue_us);
  storeLe<std::uint32_t>(p + 24, data.service_us);
  storeLe<std::uint16_t>(p + 28, static_cast<std::uint16_t>(lists.checksums.size()));
  storeLe<std::uint16_t>(p + 30, static_cast<std::uint16_t>(lists.peers.size()));
  storeLe<std::uint16_t>(p + 32, static_cast<std::uint16_t>(message.size()));
  storeLe<std::uint16_t>(p + 34, static_cast<std::uint16_t>(lists.places.size()));
  p += kReadDataHead;
  for (const std::uint32_t checksum : lists.checksums) storeLe(p, checksum), p += 4;
  for (const core::NodeId peer : lists.peers) storeLe(p, peer), p += 4;
  std::ranges::copy(bytesOf(message), p);
  if (places == 0) return {};
  p += message.size();
  storeLe<std::uint64_t>(p, lists.slab), p += kSlabId;
  for (const Place& place : lists.places) {
    storeLe<std::uint64_t>(p, place.offset);
    storeLe<std::uint32_t>(p + 8, place.length);
    storeLe<std::uint32_t>(p + 12, place.generation);
    p += 16;
  }
  return {};
}

Result<ReadDataView> ReadDataView::parse(Bytes body, std::uint32_t bulk_length) {
  if (body.size() < kReadDataHead) return fail(Code::InvalidArgument, "a ReadData shorter than its head");
  const std::byte* p = body.data();
  ReadDataView view;
  ReadData& d = view.head_;
  d.item = loadLe<std::uint16_t>(p);
  d.outcome = static_cast<ReadOutcome>(loadLe<std::uint8_t>(p + 2));
  d.flags = loadLe<std::uint8_t>(p + 3);
  d.code = static_cast<Code>(loadLe<std::uint16_t>(p + 4));
  const std::size_t head = loadLe<std::uint8_t>(p + 6);
  d.retry_after_ms = loadLe<std::uint32_t>(p + 8);
  d.offset = loadLe<std::uint32_t>(p + 12);
  d.length = loadLe<std::uint32_t>(p + 16);
  d.queue_us = loadLe<std::uint32_t>(p + 20);
  d.service_us = loadLe<std::uint32_t>(p + 24);
  const std::size_t checksums = loadLe<std::uint16_t>(p + 28), peers = loadLe<std::uint16_t>(p + 30);
  const std::size_t message = loadLe<std::uint16_t>(p + 32);
  constexpr std::uint32_t kMaxChunk = std::uint32_t{1} << core::kMaxChunkBits;
  const std::size_t places = view.hasPlaces() ? loadLe<std::uint16_t>(p + 34) : 0;
  const std::uint32_t bulk = view.hasPlaces() ? 0 : d.length;
  if (bulk != bulk_length || d.length > kMaxBulk || d.offset > kMaxChunk || d.length > kMaxChunk - d.offset)
    return fail(Code::InvalidArgument, fmt::format("a ReadData of {} bytes at {} in a frame with {} bytes of bulk",
                                                   d.length, d.offset, bulk_length));
  if (checksums != pieceCount(d.offset, bulk) || peers > kMaxReadPeers || message > kMaxReadMessage)
    return fail(Code::InvalidArgument,
                fmt::format("a ReadData of {} bytes at {} with {} checksums, {} peers and a message of {} bytes",
                            d.length, d.offset, checksums, peers, message));
  if (head < kReadDataHead || body.size() < head + checksums * 4 + peers * 4 + message)
    return fail(Code::InvalidArgument, "a ReadData shorter than its counts say");
  view.checksums_ = body.subspan(head, checksums * 4);
  view.peers_ = body.subspan(head + checksums * 4, peers * 4);
  view.message_ = textOf(body.subspan(head + checksums * 4 + peers * 4, message));
  if (view.hasPlaces()) TRY(view.takePlaces(body.subspan(head + checksums * 4 + peers * 4 + message), places));
  return view;
}

Status ReadDataView::takePlaces(Bytes from, std::size_t count) {
  if (count > kMaxPlaces || from.size() < kSlabId + count * kPlaceBytes)
    return fail(Code::InvalidArgument, fmt::format("a ReadData with {} places in {} bytes", count, from.size()));
  slab_ = loadLe<std::uint64_t>(from.data());
  places_ = from.subspan(kSlabId, count * kPlaceBytes);
  Place all[kMaxPlaces];
  for (std::size_t i = 0; i < count; ++i) all[i] = place(i);
  return checkPlaces(head_, std::span(all, count));
}

Place ReadDataView::place(std::size_t i) const {
  const std::byte* const p = places_.data() + i * kPlaceBytes;
  return {.offset = loadLe<std::uint64_t>(p),
          .length = loadLe<std::uint32_t>(p + 8),
          .generation = loadLe<std::uint32_t>(p + 12)};
}

Error ReadDataView::error() const {
  Error e{.code = head_.code, .message = std::string(message_), .retry_after_ms = head_.retry_after_ms};
  if (e.code == Code::Ok) {
    switch (head_.outcome) {
      case ReadOutcome::Busy:
        e.code = Code::Busy;
        break;
      case ReadOutcome::Expired:
      case ReadOutcome::Revoked:
        e.code = Code::Unauthenticated;
        break;
      case ReadOutcome::Gone:
        e.code = Code::Gone;
        break;
      case ReadOutcome::Miss:
        e.code = Code::NotFound;
        break;
      default:
        e.code = Code::Internal;
        break;
    }
  }
  if (e.message.empty()) e.message = fmt::format("the node answered {}", outcomeName(head_.outcome));
  return e;
}

std::size_t pieceCount(std::uint32_t offset, std::uint32_t length) {
  if (length == 0) return 0;
  const std::uint64_t last = std::uint64_t{offset} + length - 1;
  return static_cast<std::size_t>(last / core::kGranule - offset / core::kGranule + 1);
}

std::uint32_t pieceEnd(std::uint32_t offset, std::uint32_t length, std::size_t index) {
  const std::uint64_t end = (offset / core::kGranule + index + 1) * core::kGranule - offset;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(end, length));
}

void PieceVerifier::start(std::uint32_t offset, std::uint32_t length, std::span<const std::uint32_t> checksums) {
  assert(checksums.size() == pieceCount(offset, length) && checksums.size() <= kMaxPieces);
  offset_ = offset, length_ = length, at_ = 0, crc_ = 0, piece_ = 0, intact_ = true;
  piece_end_ = length == 0 ? 0 : pieceEnd(offset, length, 0);
  std::copy(checksums.begin(), checksums.end(), checksums_);
}

void PieceVerifier::start(const ReadDataView& view) {
  std::uint32_t checksums[kMaxPieces];
  for (std::size_t i = 0; i < view.checksums(); ++i) checksums[i] = view.checksum(i);
  start(view.head().offset, view.head().length, {checksums, view.checksums()});
}

bool PieceVerifier::feed(Bytes bytes) {
  while (!bytes.empty() && at_ < length_) {
    const std::size_t take = std::min<std::size_t>(bytes.size(), piece_end_ - at_);
    crc_ = crc32c(bytes.first(take), crc_);
    bytes = bytes.subspan(take);
    at_ += static_cast<std::uint32_t>(take);
    if (at_ < piece_end_) continue;
    if (crc_ != checksums_[piece_]) intact_ = false;
    crc_ = 0;
    piece_end_ = pieceEnd(offset_, length_, ++piece_);
  }
  return intact_ && bytes.empty();
}

}  // namespace forebay::wire
