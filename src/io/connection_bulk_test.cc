// Bulk: from the sender's memory into the receiver's, whatever the portions in which it comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"
#include "io/connection_fixture.h"

namespace forebay::io {
namespace {

using test::ConnectionTest, test::headerOf, test::randomBytes;
using testing::HasSubstr;

std::vector<std::uint32_t> checksumsOf(Bytes bytes, std::uint32_t offset) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0, from = 0; i < wire::pieceCount(offset, length); ++i) {
    const std::uint32_t end = wire::pieceEnd(offset, length, i);
    out.push_back(crc32c(bytes.subspan(from, end - from)));
    from = end;
  }
  return out;
}

class BulkTest : public ConnectionTest {
 protected:
  static constexpr std::uint32_t kOffset = 1'000, kLength = 1'000'000;
  std::vector<std::byte> bulk = randomBytes(kLength, 3);
  std::vector<std::byte> into = std::vector<std::byte>(kLength);

  std::vector<std::byte> body() const {
    std::vector<std::byte> out;
    const auto checksums = checksumsOf(bulk, kOffset);
    EXPECT_TRUE(wire::encodeReadData({.offset = kOffset, .length = kLength},
                                     {.checksums = checksums, .peers = {}, .message = {}}, out));
    return out;
  }
  void expectBulk() {
    client.verify = true;
    client.bulk_length = kLength;
    for (std::size_t at = 0; at < kLength; at += 300'000)
      client.rooms.push_back(MutableBytes(into).subspan(at, std::min<std::size_t>(300'000, kLength - at)));
  }
  void sendBulk(std::uint64_t id, std::shared_ptr<const void> keep = {}) {
    const Bytes all = bulk;
    const Bytes pieces[] = {all.first(7), all.subspan(7, 400'000), all.subspan(400'007)};
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::ReadData, id), body(), pieces, std::move(keep)));
  }
};

TEST_F(BulkTest, goesFromTheSendersMemoryIntoTheReceivers) {
  open();
  expectBulk();
  std::weak_ptr<int> kept;
  loop.in([&] {
    auto keep = std::make_shared<int>(1);
    kept = keep;
    sendBulk(1, std::move(keep));
    sendBulk(2);
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 2; }));
  loop.in([&] {
    EXPECT_EQ(into, bulk);
    EXPECT_THAT(client.intact, testing::ElementsAre(true, true));
    EXPECT_TRUE(kept.expired()) << "its memory is let go once it is in the socket";
  });
}

TEST_F(BulkTest, goesInAThousandPiecesToo) {
  open();
  expectBulk();
  loop.in([&] {
    std::vector<Bytes> pieces;
    Bytes left = bulk;
    while (pieces.size() < Connection::kMaxBulkPieces - 1) {
      pieces.push_back(left.first(pieces.size() % 700 + 1));
      left = left.subspan(pieces.back().size());
    }
    pieces.push_back(left);
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::ReadData, 1), body(), pieces));
    sendBulk(2);
    pieces.emplace_back();
    EXPECT_EQ(server.connection->send(headerOf(wire::MessageType::ReadData, 3), body(), pieces).error().code,
              Code::InvalidArgument);
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 2; }));
  loop.in([&] {
    EXPECT_EQ(into, bulk);
    EXPECT_THAT(client.intact, testing::ElementsAre(true, true));
  });
}

// The kernel is asked for whole portions of what comes fast: whatever the bursts are, a frame's end doesn't wait for
// the next one.
TEST_F(BulkTest, isThereWhenItsLastByteIsHoweverItComes) {
  listen();
  server.rooms = {into};
  const Raw sender = raw();
  sender.say(helloBytes());
  Random random(7);
  for (std::uint64_t id = 1; id <= 40; ++id) {
    const Bytes part = Bytes(bulk).first(1 + random.below(kLength));
    std::ranges::fill(into, std::byte{0});
    const auto frame = frameBytes(headerOf(wire::MessageType::ReadData, id), {}, part);
    for (std::size_t at = 0, size = 0; at < frame.size(); at += size) {
      size = std::min<std::size_t>(1 + random.below(400'000), frame.size() - at);
      sender.say(Bytes(frame).subspan(at, size));
      if (random.below(3) == 0) std::this_thread::sleep_for(1ms);  // another burst; nothing depends on it
    }
    ASSERT_TRUE(loop.until([&] { return server.ids.size() == id; })) << "frame " << id << " of " << part.size();
    loop.in([&] { EXPECT_TRUE(std::ranges::equal(Bytes(into).first(part.size()), part)) << id; });
  }
}

TEST_F(BulkTest, thatDoesNotMatchFailsItsFrameAndNotTheConnection) {
  open();
  expectBulk();
  std::vector<std::byte> right_body = body();
  loop.in([&] {
    bulk[654'321] ^= std::byte{4};
    const Bytes wrong[] = {bulk};
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::ReadData, 1), right_body, wrong));
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 1; }));
  loop.in([&] {
    bulk[654'321] ^= std::byte{4};
    sendBulk(2);
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 2; }));
  loop.in([&] {
    EXPECT_THAT(client.intact, testing::ElementsAre(false, true));
    EXPECT_EQ(into, bulk);
  });
}

TEST_F(BulkTest, thatNobodyWantsIsDroppedAndTheNextFrameIsHeard) {
  open();
  loop.in([&] {
    sendBulk(1);
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::StatusReply, 2), bytesOf("next")));
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 2; }));
  EXPECT_EQ(loop.in([&] { return client.bodies.at(0); }), "next");
}

TEST_F(BulkTest, thatIsDiscardedHalfwayLeavesItsMemoryAlone) {
  listen();
  server.rooms = {into};
  const Raw sender = raw();
  sender.say(helloBytes());
  const auto frame = frameBytes(headerOf(wire::MessageType::ReadData, 9), {}, bulk);
  sender.say(Bytes(frame).first(500'000));
  ASSERT_TRUE(loop.until([&] { return into[1'000] == bulk[1'000]; }));  // the last of it may wait for what is missing
  loop.in([&] {
    server.connection->discardBulk();
    into.assign(kLength, std::byte{0});
  });
  sender.say(Bytes(frame).subspan(500'000));
  ASSERT_TRUE(loop.until([&] { return server.ids.size() == 1; }));
  EXPECT_EQ(into, std::vector<std::byte>(kLength));
}

TEST_F(BulkTest, whoseSenderDiesHalfwayEndsTheConnection) {
  listen();
  server.rooms = {into};
  {
    const Raw sender = raw();
    sender.say(helloBytes());
    const auto frame = frameBytes(headerOf(wire::MessageType::ReadData, 9), {}, bulk);
    sender.say(Bytes(frame).first(500'000));
  }
  ASSERT_TRUE(loop.until([&] { return !server.why.empty(); }));
  loop.in([&] {
    EXPECT_THAT(server.why, HasSubstr("Unavailable"));
    EXPECT_TRUE(server.ids.empty());
  });
}

TEST_F(BulkTest, isHeldBackByAReceiverThatIsSlowAndNothingIsLost) {
  server_options.max_queued_bytes = std::size_t{3} * kLength;
  open();
  expectBulk();
  int sent = 0;
  loop.in([&] {
    client.connection->pauseReading();
    const Bytes pieces[] = {bulk};
    const auto header = headerOf(wire::MessageType::ReadData, 1);
    while (server.connection->send(header, body(), pieces)) ++sent;
    EXPECT_EQ(server.connection->send(header, body(), pieces).error().code, Code::Busy);
    EXPECT_LE(server.connection->queuedBytes(), 4 * kLength + 1'000) << "one more than the bound at most";
    EXPECT_EQ(server.writables, 0);
    client.connection->resumeReading();
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == static_cast<std::size_t>(sent); }));
  loop.in([&] {
    EXPECT_EQ(server.writables, 1);
    EXPECT_EQ(into, bulk);
    EXPECT_FALSE(server.connection->full());
  });
}

TEST_F(BulkTest, forAPeerThatTakesNothingEndsWithTheStallTimeout) {
  server_options.stall_timeout = 50ms;
  open();
  auto keep = std::make_shared<int>(1);
  const std::weak_ptr<int> kept = keep;
  loop.in([&] {
    client.connection->pauseReading();
    const Bytes pieces[] = {bulk};
    while (server.connection->send(headerOf(wire::MessageType::ReadData, 1), body(), pieces, keep)) continue;
    keep.reset();
  });
  ASSERT_TRUE(loop.until([&] { return !server.why.empty(); }));
  loop.in([&] {
    EXPECT_THAT(server.why, HasSubstr("took none of"));
    EXPECT_TRUE(kept.expired()) << "what it pinned is free";
  });
  EXPECT_EQ(counted.stalled.value(), 1U);
}

}  // namespace
}  // namespace forebay::io
