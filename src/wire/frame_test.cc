#include "wire/frame.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace forebay::wire {
namespace {

using HeaderArray = std::array<std::byte, kHeaderBytes>;

FrameHeader sample() {
  return {.type = MessageType::Read,
          .version = 1,
          .mount_class = 2,
          .flags = 0x0506,
          .request_id = 0x1112131415161718,
          .capability = 0x2122232425262728,
          .map_version = 0x3132333435363738,
          .tenant = 0x41424344,
          .deadline_ms = 0x51525354,
          .body_length = 0x00061626,
          .bulk_length = 0x00071727,
          .body_crc = 0x81828384};
}

HeaderArray encoded(const FrameHeader& header) {
  HeaderArray bytes;
  encodeHeader(header, bytes);
  return bytes;
}

// Golden: these bytes are the protocol. If this test fails, older nodes can't be talked to.
TEST(Frame, hasExactlyTheseBytes) {
  EXPECT_EQ(hex(encoded(sample())),
            "0146425901024000"  // magic, version, class, type
            "1817161514131211"  // request id
            "2827262524232221"  // capability
            "3837363534333231"  // map version
            "4443424154535251"  // tenant, deadline
            "2616060027170700"  // body and bulk length
            "0605000000000000"  // flags, zero
            "84838281"
            "6a0b4d73");
}

TEST(Frame, comesBackAsItWasSent) {
  const auto header = decodeHeader(encoded(sample()));
  ASSERT_TRUE(header) << header.error().text();
  EXPECT_EQ(*header, sample());
}

TEST(Frame, isRefusedWhicheverBitOfItIsWrong) {
  for (std::size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    HeaderArray bytes = encoded(sample());
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto header = decodeHeader(bytes);
    ASSERT_FALSE(header) << "bit " << bit;
    EXPECT_EQ(header.error().code, Code::Corrupt);
  }
}

TEST(Frame, isRefusedIfItsLengthsAreBeyondTheLimitsAlthoughItsChecksumIsRight) {
  FrameHeader body = sample(), bulk = sample();
  body.body_length = kMaxBody + 1;
  bulk.bulk_length = kMaxBulk + 1;
  EXPECT_EQ(decodeHeader(encoded(body)).error().code, Code::Corrupt);
  EXPECT_EQ(decodeHeader(encoded(bulk)).error().code, Code::Corrupt);
  body.body_length = kMaxBody;
  body.bulk_length = kMaxBulk;
  EXPECT_TRUE(decodeHeader(encoded(body)));
}

TEST(Frame, ofAnUnknownTypeIsReadSoThatItCanBeAnswered) {
  FrameHeader header = sample();
  header.type = static_cast<MessageType>(0x7777);
  const auto back = decodeHeader(encoded(header));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->request_id, sample().request_id);
  EXPECT_EQ(messageName(back->type), "Unknown");
  EXPECT_FALSE(isRequest(back->type));
}

TEST(Frame, knowsItsBodyByLengthAndChecksum) {
  FrameHeader header;
  describeBody(header, bytesOf("123456789"));
  EXPECT_EQ(header.body_length, 9U);
  EXPECT_EQ(header.body_crc, 0xE3069283U);
  EXPECT_TRUE(checkBody(header, bytesOf("123456789")));
  EXPECT_FALSE(checkBody(header, bytesOf("123456788")));
  EXPECT_FALSE(checkBody(header, bytesOf("12345678")));
}

TEST(MessageType, ofEveryRequestHasItsReplyOneAbove) {
  int requests = 0;
  for (int type = 0; type <= 0xffff; ++type) {
    const auto request = static_cast<MessageType>(type);
    if (!isRequest(request)) continue;
    ++requests;
    const std::string name(messageName(request));
    const std::string reply(messageName(replyTypeOf(request)));
    if (request == MessageType::Read)
      EXPECT_EQ(reply, "ReadData");
    else
      EXPECT_EQ(reply, name.substr(0, name.size() - std::string("Request").size()) + "Reply");
  }
  EXPECT_EQ(requests, 14);
}

}  // namespace
}  // namespace forebay::wire
