#include "wire/read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"
#include "base/hash.h"
#include "base/random.h"
#include "wire/frame.h"

namespace forebay::wire {
namespace {

constexpr std::uint32_t kMiB32 = 1U << 20;

core::ObjectKey keyOf(int first) {
  core::ObjectKey key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return key;
}

ReadObject object() {
  return {.key = keyOf(0x10),
          .size = 3 * kMiB32 + 5,
          .mount = 0xa1a2a3a4,
          .first_slot = 0xb1b2,
          .chunk_bits = 20,
          .path = "data/ä b",
          .version = "\"0x8D\""};
}
ReadItem item() {
  return {.object = 0, .flags = kRelay | kNoFill, .range = {.chunk = 3, .offset = 1, .length = 4}};
}

std::vector<std::byte> encoded(std::span<const ReadObject> objects, std::span<const ReadItem> items) {
  std::vector<std::byte> bytes;
  const Status done = encodeRead(objects, items, bytes);
  EXPECT_TRUE(done) << done.error().text();
  return bytes;
}
std::vector<std::byte> sample() {
  const ReadObject o = object();
  const ReadItem i = item();
  return encoded({&o, 1}, {&i, 1});
}

// Golden: these bytes are the protocol.
TEST(Read, hasExactlyTheseBytes) {
  EXPECT_EQ(hex(sample()),
            "01000100"
            "28"
            "10"
            "0000"
            "0f000000"
            "00000000"                          // counts, sizes, flags, strings
            "101112131415161718191a1b1c1d1e1f"  // key
            "0500300000000000"
            "a4a3a2a1"
            "00000000"  // size, mount, string offset
            "0900"
            "0600"
            "b2b1"
            "14"
            "00"  // path, version, slot, chunk bits
            "0000"
            "0300"
            "03000000"
            "01000000"
            "04000000"  // item
            "646174612fc3a42062"
            "223078384422");  // strings
}

TEST(Read, comesBackAsItWasSent) {
  const std::vector<std::byte> body = sample();
  const auto view = ReadView::parse(body);
  ASSERT_TRUE(view) << view.error().text();
  ASSERT_EQ(view->objects(), 1U);
  ASSERT_EQ(view->items(), 1U);
  EXPECT_EQ(view->object(0), object());
  EXPECT_EQ(view->item(0), item());
}

TEST(Read, carriesWholePlans) {
  const core::Plan plan{.mount = 7, .path = "a/b", .version = "v1", .key = keyOf(1), .size = 100, .first_slot = 9};
  const ReadObject o = ReadObject::of(plan);
  const ReadItem i{.object = 0, .flags = 0, .range = {.chunk = 0, .offset = 0, .length = 100}};
  const std::vector<std::byte> body = encoded({&o, 1}, {&i, 1});
  EXPECT_EQ(ReadView::parse(body)->object(0).plan(), plan);
}

TEST(Read, ofTheLargestBatchFits) {
  std::vector<ReadObject> objects(kMaxReadObjects, object());
  std::vector<ReadItem> items(kMaxReadItems, item());
  for (std::size_t i = 0; i < items.size(); ++i) items[i].object = static_cast<std::uint16_t>(i);
  const std::vector<std::byte> body = encoded(objects, items);
  const auto view = ReadView::parse(body);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->item(kMaxReadItems - 1).object, kMaxReadItems - 1);

  objects.push_back(object());
  std::vector<std::byte> unused;
  EXPECT_EQ(encodeRead(objects, items, unused).error().code, Code::InvalidArgument);
}

TEST(Read, withEntriesAndATailThatOnlyALaterVersionKnowsIsStillUnderstood) {
  const std::vector<std::byte> now = sample();
  std::vector<std::byte> later(now.begin(), now.begin() + 16);
  later[4] = std::byte{44};  // four bytes more per object
  later[5] = std::byte{32};  // eight more per item, behind its pin
  const auto append = [&](std::size_t from, std::size_t to) {
    later.insert(later.end(), now.begin() + static_cast<std::ptrdiff_t>(from),
                 now.begin() + static_cast<std::ptrdiff_t>(to));
  };
  append(16, 56);
  later.insert(later.end(), 4, std::byte{0xee});
  append(56, 72);
  later.insert(later.end(), 8, std::byte{0});
  later.insert(later.end(), 8, std::byte{0xee});
  append(72, now.size());
  later.insert(later.end(), 100, std::byte{0xee});

  const auto view = ReadView::parse(later);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(view->object(0), object());
  EXPECT_EQ(view->item(0), item());
}

TEST(Read, withAPinHasItInEveryItemAndNamesTheSlab) {
  const ReadObject o = object();
  ReadItem items[] = {item(), item()};
  items[1].pin = 0xf1f2f3f4f5f6f7f8;
  std::vector<std::byte> bytes;
  ASSERT_TRUE(encodeRead({&o, 1}, items, bytes, 0xc1c2c3c4));
  EXPECT_EQ(bytes.size(), sample().size() + 8 + 24);
  EXPECT_EQ(hex(Bytes(bytes).subspan(4, 12)),
            "2818"
            "0000"
            "0f000000"
            "c4c3c2c1");
  EXPECT_EQ(hex(Bytes(bytes).subspan(56 + 24 + 16, 8)), "f8f7f6f5f4f3f2f1");
  const auto view = ReadView::parse(bytes);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(view->slab(), 0xc1c2c3c4);
  EXPECT_EQ(view->item(0), items[0]);
  EXPECT_EQ(view->item(1), items[1]);
  EXPECT_EQ(ReadView::parse(sample())->slab(), 0U);
}

TEST(Read, cutAnywhereIsRefused) {
  const std::vector<std::byte> body = sample();
  for (std::size_t length = 0; length < body.size(); ++length)
    EXPECT_FALSE(ReadView::parse(Bytes(body).first(length))) << length;
}

TEST(Read, whoseRangesLieOutsideTheirChunkIsRefusedByBothSides) {
  const core::ChunkRange bad[] = {
      {.chunk = 0, .offset = 0, .length = 0},       // empty
      {.chunk = 0, .offset = kMiB32, .length = 1},  // behind the chunk
      {.chunk = 0, .offset = 1, .length = kMiB32},  // over its end
      {.chunk = 3, .offset = 0, .length = 6},       // over the object's end
      {.chunk = 4, .offset = 0, .length = 1},       // no such chunk
      {.chunk = 0xffffffff, .offset = 0xffffffff, .length = 0xffffffff},
  };
  for (const core::ChunkRange& range : bad) {
    const ReadObject o = object();
    const ReadItem i{.object = 0, .flags = 0, .range = range};
    std::vector<std::byte> bytes;
    EXPECT_EQ(encodeRead({&o, 1}, {&i, 1}, bytes).error().code, Code::InvalidArgument);

    bytes = sample();
    storeLe<std::uint32_t>(bytes.data() + 60, range.chunk);
    storeLe<std::uint32_t>(bytes.data() + 64, range.offset);
    storeLe<std::uint32_t>(bytes.data() + 68, range.length);
    EXPECT_EQ(ReadView::parse(bytes).error().code, Code::InvalidArgument);
  }
}

TEST(Read, withImpossibleObjectsIsRefused) {
  const auto broken = [](std::size_t at, auto value) {
    std::vector<std::byte> bytes = sample();
    storeLe(bytes.data() + at, value);
    return ReadView::parse(bytes).has_value();
  };
  EXPECT_FALSE(broken(32, kMaxObjectSize + 1));
  EXPECT_FALSE(broken(44, std::uint32_t{1}));  // strings end before the version does
  EXPECT_FALSE(broken(44, std::uint32_t{0xffffffff}));
  EXPECT_FALSE(broken(48, std::uint16_t{1025}));  // path
  EXPECT_FALSE(broken(50, std::uint16_t{257}));   // version
  EXPECT_FALSE(broken(54, std::uint8_t{19}));     // chunk bits
  EXPECT_FALSE(broken(54, std::uint8_t{27}));
  EXPECT_FALSE(broken(54, std::uint8_t{255}));
  EXPECT_FALSE(broken(56, std::uint16_t{1}));  // an item of no object
  EXPECT_FALSE(broken(0, std::uint16_t{0}));
  EXPECT_FALSE(broken(2, std::uint16_t{0xffff}));
  EXPECT_FALSE(broken(4, std::uint8_t{39}));
  EXPECT_FALSE(broken(5, std::uint8_t{15}));
}

TEST(Read, ofAPathThatIsTooLongIsRefusedWhereItIsMade) {
  const std::string path(kMaxPath + 1, 'x');
  ReadObject o = object();
  o.path = path;
  const ReadItem i = item();
  std::vector<std::byte> bytes;
  EXPECT_EQ(encodeRead({&o, 1}, {&i, 1}, bytes).error().code, Code::InvalidArgument);
  o.path = std::string_view(path).substr(1);
  EXPECT_TRUE(encodeRead({&o, 1}, {&i, 1}, bytes));
}

// ---- ReadData

ReadData head() {
  return {.item = 0x0102,
          .outcome = ReadOutcome::Busy,
          .flags = kLastOfItem | kFromOrigin,
          .code = Code::Busy,
          .retry_after_ms = 0x11121314,
          .offset = 65'535,
          .length = 2,
          .queue_us = 0x21222324,
          .service_us = 0x31323334};
}
const std::uint32_t kChecksums[] = {0x41424344, 0x51525354};
const core::NodeId kPeers[] = {0x61626364};

std::vector<std::byte> sampleData() {
  std::vector<std::byte> bytes;
  const Status done = encodeReadData(head(), {.checksums = kChecksums, .peers = kPeers, .message = "full"}, bytes);
  EXPECT_TRUE(done) << done.error().text();
  return bytes;
}

// Golden: these bytes are the protocol.
TEST(ReadData, hasExactlyTheseBytes) {
  EXPECT_EQ(hex(sampleData()),
            "0201"
            "05"
            "05"
            "0700"
            "24"
            "00"  // item, outcome, flags, code, head
            "14131211"
            "ffff0000"
            "02000000"
            "24232221"
            "34333231"  // retry, offset, length, times
            "0200"
            "0100"
            "0400"
            "0000"  // counts
            "44434241"
            "54535251"
            "64636261"
            "66756c6c");  // checksums, peers, message
}

TEST(ReadData, comesBackAsItWasSent) {
  const std::vector<std::byte> body = sampleData();
  const auto view = ReadDataView::parse(body, 2);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(view->head(), head());
  ASSERT_EQ(view->checksums(), 2U);
  EXPECT_EQ(view->checksum(1), kChecksums[1]);
  ASSERT_EQ(view->peers(), 1U);
  EXPECT_EQ(view->peer(0), kPeers[0]);
  EXPECT_EQ(view->error().text(), "Busy: full");
  EXPECT_EQ(view->error().retry_after_ms, head().retry_after_ms);
}

TEST(ReadData, cutAnywhereOrWithOtherBulkIsRefused) {
  const std::vector<std::byte> body = sampleData();
  for (std::size_t length = 0; length < body.size(); ++length)
    EXPECT_FALSE(ReadDataView::parse(Bytes(body).first(length), 2)) << length;
  EXPECT_FALSE(ReadDataView::parse(body, 0));
  EXPECT_FALSE(ReadDataView::parse(body, 3));
}

TEST(ReadData, withALongerHeadAndATailOfALaterVersionIsStillUnderstood) {
  std::vector<std::byte> later = sampleData();
  later[6] = std::byte{40};
  later.insert(later.begin() + 36, 4, std::byte{0xee});
  later.insert(later.end(), 9, std::byte{0xee});
  const auto view = ReadDataView::parse(later, 2);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(view->checksum(0), kChecksums[0]);
  EXPECT_EQ(view->message(), "full");
}

TEST(ReadData, needsOneChecksumPerPiece) {
  ReadData data = head();
  std::vector<std::byte> bytes;
  EXPECT_FALSE(encodeReadData(data, {.checksums = {kChecksums, 1}, .peers = {}, .message = {}}, bytes));
  data.offset = 0;
  EXPECT_TRUE(encodeReadData(data, {.checksums = {kChecksums, 1}, .peers = {}, .message = {}}, bytes));
  data.length = 0;
  EXPECT_TRUE(encodeReadData(data, {.checksums = {}, .peers = {}, .message = {}}, bytes));
}

TEST(ReadData, saysWhyAnItemFailedEvenIfTheNodeGaveNoCode) {
  ReadData data{.item = 0, .outcome = ReadOutcome::Gone, .flags = kLastOfItem};
  std::vector<std::byte> bytes;
  ASSERT_TRUE(encodeReadData(data, {}, bytes));
  EXPECT_EQ(ReadDataView::parse(bytes, 0)->error().code, Code::Gone);
  data.outcome = static_cast<ReadOutcome>(200);
  ASSERT_TRUE(encodeReadData(data, {}, bytes));
  EXPECT_EQ(outcomeName(ReadDataView::parse(bytes, 0)->head().outcome), "Unknown");
  EXPECT_EQ(ReadDataView::parse(bytes, 0)->error().code, Code::Internal);
}

// ---- Pieces

TEST(Pieces, areCutAtGranuleBordersOfTheChunk) {
  constexpr std::uint32_t kG = core::kGranule;
  EXPECT_EQ(pieceCount(0, 0), 0U);
  EXPECT_EQ(pieceCount(0, 1), 1U);
  EXPECT_EQ(pieceCount(0, kG), 1U);
  EXPECT_EQ(pieceCount(0, kG + 1), 2U);
  EXPECT_EQ(pieceCount(kG - 1, 2), 2U);
  EXPECT_EQ(pieceCount(1, kMaxBulk), kMaxPieces);
  EXPECT_EQ(pieceEnd(kG - 1, 2 * kG, 0), 1U);
  EXPECT_EQ(pieceEnd(kG - 1, 2 * kG, 1), kG + 1);
  EXPECT_EQ(pieceEnd(kG - 1, 2 * kG, 2), 2 * kG);
}

TEST(Pieces, areVerifiedInWhateverPortionsTheyArrive) {
  constexpr std::uint32_t kOffset = 40'000, kLength = 300'000;
  Random random(7);
  std::vector<std::byte> bytes(kLength);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  std::vector<std::uint32_t> checksums;
  for (std::uint32_t i = 0, from = 0; i < pieceCount(kOffset, kLength); ++i) {
    const std::uint32_t end = pieceEnd(kOffset, kLength, i);
    checksums.push_back(crc32c(Bytes(bytes).subspan(from, end - from)));
    from = end;
  }
  const auto receive = [&](std::size_t portion) {
    PieceVerifier verifier;
    verifier.start(kOffset, kLength, checksums);
    for (std::size_t at = 0; at < kLength; at += portion)
      verifier.feed(Bytes(bytes).subspan(at, std::min<std::size_t>(portion, kLength - at)));
    return verifier.intact();
  };
  for (const std::size_t portion : {1UL, 4'096UL, 65'536UL, 100'000UL, 300'000UL}) EXPECT_TRUE(receive(portion));
  for (const std::size_t at : {0UL, 25'535UL, 25'536UL, 299'999UL}) {
    bytes[at] ^= std::byte{1};
    EXPECT_FALSE(receive(70'000)) << at;
    bytes[at] ^= std::byte{1};
  }
}

// ---- places

ReadData placed(std::uint32_t length) {
  return {.item = 0x0102, .flags = kLastOfItem | kPlaces, .offset = 0x11, .length = length};
}

TEST(ReadData, withPlacesHasExactlyTheseBytes) {
  const Place places[] = {{.offset = 0xa1a2a3a4a5a6, .length = 3, .generation = 0xb1b2b3b4},
                          {.offset = 0, .length = 4, .generation = 0}};
  std::vector<std::byte> bytes;
  ASSERT_TRUE(encodeReadData(
      placed(7), {.checksums = {}, .peers = {}, .message = "m", .places = places, .slab = 0xc1c2c3c4c5c6c7c8}, bytes));
  EXPECT_EQ(hex(bytes),
            "0201"
            "00"
            "09"
            "0000"
            "24"
            "00"
            "00000000"
            "11000000"
            "07000000"
            "00000000"
            "00000000"  // up to the counts
            "0000"
            "0000"
            "0100"
            "0200"
            "6d"  // counts, message
            "c8c7c6c5c4c3c2c1"
            "a6a5a4a3a2a10000"
            "03000000"
            "b4b3b2b1"
            "0000000000000000"
            "04000000"
            "00000000");
  const auto view = ReadDataView::parse(bytes, 0);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_TRUE(view->hasPlaces());
  EXPECT_EQ(view->slab(), 0xc1c2c3c4c5c6c7c8);
  ASSERT_EQ(view->places(), 2U);
  EXPECT_EQ(view->place(0), places[0]);
  EXPECT_EQ(view->place(1), places[1]);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(ReadDataView::parse(Bytes(bytes).first(length), 0)) << length;
  EXPECT_FALSE(ReadDataView::parse(bytes, 7)) << "with bulk beside them";
}

TEST(ReadData, whosePlacesCannotBeItsBytesIsRefusedByBothSides) {
  const Place good{.offset = 4'096, .length = 7, .generation = 1};
  const Place empty{.offset = 4'096, .length = 0, .generation = 1};
  const Place nowhere{.offset = std::uint64_t{1} << 51, .length = 7, .generation = 1};
  const std::vector<Place> cases[] = {
      {}, {good, good}, {good, empty}, {nowhere}, std::vector<Place>(kMaxPlaces + 1, good)};
  for (const std::vector<Place>& places : cases) {
    std::uint32_t length = places.size() <= 2 ? 7 : static_cast<std::uint32_t>(7 * places.size());
    std::vector<std::byte> bytes;
    EXPECT_FALSE(
        encodeReadData(placed(length), {.checksums = {}, .peers = {}, .message = {}, .places = places}, bytes));
    ASSERT_TRUE(encodeReadData(placed(7), {.checksums = {}, .peers = {}, .message = {}, .places = {&good, 1}}, bytes));
    bytes.resize(44);
    storeLe<std::uint32_t>(bytes.data() + 16, length);
    storeLe<std::uint16_t>(bytes.data() + 34, static_cast<std::uint16_t>(places.size()));
    for (const Place& place : places) {
      std::byte entry[16];
      storeLe<std::uint64_t>(entry, place.offset);
      storeLe<std::uint32_t>(entry + 8, place.length);
      storeLe<std::uint32_t>(entry + 12, place.generation);
      bytes.insert(bytes.end(), std::begin(entry), std::end(entry));
    }
    EXPECT_FALSE(ReadDataView::parse(bytes, 0)) << places.size();
  }
  std::vector<std::byte> bytes;
  ReadData unsaid = placed(7);
  unsaid.flags = kLastOfItem;
  EXPECT_FALSE(encodeReadData(unsaid, {.checksums = {}, .peers = {}, .message = {}, .places = {&good, 1}}, bytes));
}

}  // namespace
}  // namespace forebay::wire
