#include "io/helper/protocol.h"

#include <cstring>
#include <gtest/gtest.h>

namespace forebay::io::helper {
namespace {

const std::vector<std::pair<Request, std::size_t>>& goodRequests() {
  static const std::vector<std::pair<Request, std::size_t>> all = {
      {{.operation = Operation::Hello}, 0},
      {{.operation = Operation::MemoryDirectory, .number = 1}, 0},
      {{.operation = Operation::MountFuse, .number = kMiB, .flags = kAllowOther, .text = "az://acme/data"}, 1},
      {{.operation = Operation::UnmountFuse, .flags = kLazily, .text = "data"}, 1},
      {{.operation = Operation::OpenBacking}, 2},
      {{.operation = Operation::CloseBacking, .number = 7}, 1},
  };
  return all;
}

TEST(HelperProtocol, requestsAreReadAsTheyWereWritten) {
  for (const auto& [request, descriptors] : goodRequests()) {
    const auto read = parseRequest(encode(request).view(), descriptors);
    ASSERT_TRUE(read) << operationName(request.operation) << ": " << read.error().text();
    EXPECT_EQ(read->operation, request.operation);
    EXPECT_EQ(read->number, request.number);
    EXPECT_EQ(read->flags, request.flags);
    EXPECT_EQ(read->text, request.text);
  }
}

TEST(HelperProtocol, aRequestNeedsExactlyItsDescriptors) {
  for (const auto& [request, descriptors] : goodRequests())
    for (std::size_t with = 0; with <= kMaxDescriptors; ++with)
      if (with != descriptors) {
        EXPECT_EQ(parseRequest(encode(request).view(), with).error().code, Code::InvalidArgument)
            << operationName(request.operation) << " with " << with;
      }
}

struct Bad {
  const char* why;
  Request request;
  std::size_t descriptors;
};

TEST(HelperProtocol, whatNoOperationTakesIsRefused) {
  const std::vector<Bad> all = {
      {"0 bytes", {.operation = Operation::MemoryDirectory}, 0},
      {"a text", {.operation = Operation::MemoryDirectory, .number = 1, .text = "x"}, 0},
      {"unknown flags", {.operation = Operation::MemoryDirectory, .number = 1, .flags = 1}, 0},
      {"unknown flags", {.operation = Operation::MountFuse, .number = kMiB, .flags = 2, .text = "x"}, 1},
      {"no source", {.operation = Operation::MountFuse, .number = kMiB}, 1},
      {"a long source", {.operation = Operation::MountFuse, .number = kMiB, .text = std::string(513, 'x')}, 1},
      {"a line's end in the source", {.operation = Operation::MountFuse, .number = kMiB, .text = "a\nb"}, 1},
      {"max_read", {.operation = Operation::MountFuse, .number = 1, .text = "x"}, 1},
      {"max_read", {.operation = Operation::MountFuse, .number = std::uint64_t{1} << 32, .text = "x"}, 1},
      {"no name", {.operation = Operation::UnmountFuse}, 1},
      {"a path", {.operation = Operation::UnmountFuse, .text = "a/b"}, 1},
      {"above", {.operation = Operation::UnmountFuse, .text = ".."}, 1},
      {"itself", {.operation = Operation::UnmountFuse, .text = "."}, 1},
      {"a NUL", {.operation = Operation::UnmountFuse, .text = std::string("a\0b", 3)}, 1},
      {"a long name", {.operation = Operation::UnmountFuse, .text = std::string(256, 'x')}, 1},
      {"id 0", {.operation = Operation::CloseBacking}, 1},
      {"a large id", {.operation = Operation::CloseBacking, .number = std::uint64_t{1} << 31}, 1},
  };
  for (const Bad& bad : all) {
    const auto read = parseRequest(encode(bad.request).view(), bad.descriptors);
    ASSERT_FALSE(read) << bad.why;
    EXPECT_EQ(read.error().code, Code::InvalidArgument) << bad.why << ": " << read.error().text();
  }
}

TEST(HelperProtocol, whatIsNoMessageIsRefused) {
  const Message good = encode(Request{.operation = Operation::MountFuse, .number = kMiB, .text = "source"});
  for (std::size_t size = 0; size < good.size; ++size)
    EXPECT_EQ(parseRequest(good.view().first(size), 1).error().code, Code::Corrupt) << size;
  Message longer = good;
  ++longer.size;
  EXPECT_EQ(parseRequest(longer.view(), 1).error().code, Code::Corrupt);
  Message other = good;
  other.bytes[0] = std::byte{0};
  EXPECT_EQ(parseRequest(other.view(), 1).error().code, Code::Corrupt);
  Message unknown = good;
  unknown.bytes[6] = std::byte{200};
  EXPECT_EQ(parseRequest(unknown.view(), 1).error().code, Code::Unsupported);
}

TEST(HelperProtocol, anotherVersionIsNamed) {
  Message newer = encode(Request{.operation = Operation::Hello});
  newer.bytes[4] = std::byte{kVersion + 1};
  const auto read = parseRequest(newer.view(), 0);
  EXPECT_EQ(read.error().code, Code::Unsupported);
  EXPECT_NE(read.error().message.find("version 2 came, this process speaks 1"), std::string::npos);
}

TEST(HelperProtocol, answersAreReadAsTheyWereWritten) {
  const auto open = parseReply(encode(Reply{.number = 9}).view(), Operation::OpenBacking, 0);
  ASSERT_TRUE(open) << open.error().text();
  EXPECT_EQ(open->number, 9U);
  const auto refused =
      parseReply(encode(Reply{.code = Code::Busy, .error = 28, .text = "full"}).view(), Operation::MemoryDirectory, 0);
  ASSERT_TRUE(refused) << refused.error().text();
  EXPECT_EQ(refused->code, Code::Busy);
  EXPECT_EQ(refused->error, 28);
  EXPECT_EQ(refused->text, "full");
}

TEST(HelperProtocol, answersThatCantBeAreRefused) {
  EXPECT_FALSE(parseReply(encode(Reply{}).view(), Operation::MemoryDirectory, 1)) << "it has two directories";
  EXPECT_FALSE(parseReply(encode(Reply{.code = Code::Busy}).view(), Operation::MemoryDirectory, 2));
  EXPECT_FALSE(parseReply(encode(Reply{}).view(), Operation::OpenBacking, 0)) << "no id";
  EXPECT_FALSE(parseReply(encode(Reply{.error = -1}).view(), Operation::Hello, 0));
  Message strange = encode(Reply{});
  strange.bytes[6] = std::byte{99};
  EXPECT_FALSE(parseReply(strange.view(), Operation::Hello, 0)) << "no such code";
}

TEST(HelperProtocol, aTextIsCutToWhatAMessageHolds) {
  const auto reply =
      parseReply(encode(Reply{.code = Code::Busy, .text = std::string(5'000, 'x')}).view(), Operation::Hello, 0);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text.size(), kMaxText);
}

}  // namespace
}  // namespace forebay::io::helper
