#include "origin/checked_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace forebay::origin {
namespace {

// Gives room of `step` bytes at a time, or as much as a test says.
class Room : public ByteSink {
 public:
  explicit Room(std::size_t size, std::size_t step) : bytes_(size), step_(step) {}
  MutableBytes room() override { return gone ? MutableBytes() : MutableBytes(bytes_).subspan(told).first(left()); }
  void wrote(std::size_t n) override {
    told += n;
    if (on_wrote) on_wrote();
  }
  std::string text() const { return std::string(textOf(Bytes(bytes_).first(told))); }
  std::size_t told = 0;
  bool gone = false;
  std::function<void()> on_wrote;

 private:
  std::size_t left() const { return std::min(step_, bytes_.size() - told); }
  std::vector<std::byte> bytes_;
  const std::size_t step_;
};

Checksum md5Of(std::string_view text) {
  auto hasher = Hasher::create(Hasher::Kind::Md5);
  hasher->update(text);
  return {.kind = Hasher::Kind::Md5, .digest = hasher->finish()};
}

const bool kStays = false;

TEST(CheckedPieceTest, nobodyHearsOfBytesUntilTheirChecksumIsKnown) {
  for (const std::size_t step : {100U, 3U}) {  // with room for all, and with a buffer
    Room room(100, step);
    CheckedPiece piece;
    ASSERT_TRUE(piece.begin(md5Of("right bytes"), 11, room));
    EXPECT_TRUE(piece.take(bytesOf("right "), room));
    EXPECT_TRUE(piece.take(bytesOf("bytes"), room));
    EXPECT_EQ(room.told, 0U);
    EXPECT_TRUE(piece.verify());
    EXPECT_EQ(piece.handOn(room, kStays), 11U);
    EXPECT_EQ(room.text(), "right bytes");
    EXPECT_FALSE(piece.active());
  }
}

TEST(CheckedPieceTest, wrongBytesAreNamedByBothChecksumsAndTheirPlaceIsUsedAgain) {
  Room room(100, 100);
  CheckedPiece piece;
  ASSERT_TRUE(piece.begin(md5Of("right"), 5, room));
  EXPECT_TRUE(piece.take(bytesOf("wrong"), room));
  const Status status = piece.verify();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::Corrupt);
  EXPECT_THAT(status.error().message, testing::HasSubstr(hex(md5Of("right").digest)));
  EXPECT_THAT(status.error().message, testing::HasSubstr(hex(md5Of("wrong").digest)));
  ASSERT_TRUE(piece.begin(md5Of("right"), 5, room));
  EXPECT_TRUE(piece.take(bytesOf("right"), room));
  EXPECT_TRUE(piece.verify());
  piece.handOn(room, kStays);
  EXPECT_EQ(room.text(), "right");
}

TEST(CheckedPieceTest, whatFindsNoRoomIsntHeld) {
  Room small(100, 10);
  CheckedPiece piece;
  EXPECT_FALSE(piece.begin(md5Of(""), CheckedPiece::kMaxBuffer + 1, small));
  EXPECT_FALSE(piece.active());
}

TEST(CheckedPieceTest, aSinkWhoseOwnerLeftIsNotWrittenTo) {
  Room room(100, 100);
  CheckedPiece piece;
  ASSERT_TRUE(piece.begin(md5Of("right"), 5, room));
  room.gone = true;
  EXPECT_FALSE(piece.take(bytesOf("right"), room));
}

TEST(CheckedPieceTest, aSinkMayEndItAllWhileItIsTold) {
  Room room(100, 2);
  bool dropped = false;
  room.on_wrote = [&] { dropped = true; };
  CheckedPiece piece;
  ASSERT_TRUE(piece.begin(md5Of("right"), 5, room));
  EXPECT_TRUE(piece.take(bytesOf("right"), room));
  EXPECT_TRUE(piece.verify());
  EXPECT_EQ(piece.handOn(room, dropped), 2U);
}

}  // namespace
}  // namespace forebay::origin
