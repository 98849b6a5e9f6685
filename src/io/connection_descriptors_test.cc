// Descriptors that come with frames, over a Unix socket.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/connection.h"
#include "io/test_loop.h"

namespace forebay::io {
namespace {

// A file in memory whose only content is `text`.
Descriptor fileOf(std::string_view text) {
  Descriptor file(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}
std::string contentOf(const Descriptor& file) {
  char text[64] = {};
  const ssize_t n = pread(file.get(), text, sizeof text, 0);
  return n < 0 ? "unreadable" : std::string(text, static_cast<std::size_t>(n));
}
std::size_t openDescriptors() {
  std::size_t open = 0;
  for (int fd = 0; fd < 1'024; ++fd) open += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return open;
}

struct Side : ConnectionHandler {
  void opened(const RemoteInfo&) override { is_open = true; }
  void frame(const wire::FrameHeader& header, Bytes body) override {
    Descriptor descriptor = takes ? connection->takeDescriptor() : Descriptor();
    heard.push_back(std::string(textOf(body)) + (descriptor.valid() ? ":" + contentOf(descriptor) : ""));
    last = header.request_id;
  }
  void bulkComing(const wire::FrameHeader&, Bytes, BulkTarget&) override {}
  void bulkArrived(const wire::FrameHeader& header, Bytes, bool) override { last = header.request_id; }
  void writable() override {}
  void closed(const Error& why) override { closed_because = why.text(); }

  std::shared_ptr<Connection> connection;
  bool is_open = false, takes = true;
  std::vector<std::string> heard;
  std::uint64_t last = 0;
  std::string closed_because;
};

class DescriptorTest : public testing::Test {
 protected:
  DescriptorTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    loop.in([&] {
      node.connection = *Connection::accept(loop.reactor(), Descriptor(ends[0]), {}, node);
      client.connection = *Connection::connect(loop.reactor(), Descriptor(ends[1]), {}, client);
    });
    EXPECT_TRUE(loop.until([&] { return node.is_open && client.is_open; }));
  }
  ~DescriptorTest() override {
    loop.in([&] {
      for (Side* side : {&node, &client})
        if (side->connection) side->connection->close();
    });
  }
  static wire::FrameHeader header(std::uint64_t id) {
    wire::FrameHeader header;
    header.type = wire::MessageType::StatusReply;
    header.request_id = id;
    return header;
  }

  TestLoop loop;
  Side node, client;
};

TEST_F(DescriptorTest, comeWithTheirFramesAmongOthers) {
  const std::string large(300'000, 'x');
  const std::vector<std::byte> bulk(2'000'000, std::byte{7});
  loop.in([&] {
    for (std::uint64_t i = 1; i <= 40; ++i) {
      const std::string word = "word " + std::to_string(i);
      if (i % 3 == 0) {
        ASSERT_TRUE(node.connection->sendDescriptor(header(i), bytesOf(word), fileOf("file " + std::to_string(i))));
      } else if (i % 5 == 0) {
        const Bytes pieces[] = {bulk};
        ASSERT_TRUE(node.connection->send(header(i), bytesOf(word), pieces));
      } else {
        ASSERT_TRUE(node.connection->sendAnyway(header(i), bytesOf(i % 7 == 0 ? large : word)));
      }
    }
  });
  ASSERT_TRUE(loop.until([&] { return client.last == 40; })) << client.closed_because;
  std::vector<std::string> expected;
  for (int i = 1; i <= 40; ++i) {
    const std::string n = std::to_string(i);
    if (i % 3 == 0)
      expected.push_back("word " + n + ":file " + n);
    else if (i % 5 != 0)
      expected.push_back(i % 7 == 0 ? large : "word " + n);
  }
  EXPECT_TRUE(client.heard == expected);
}

TEST_F(DescriptorTest, thatNobodyTakesAreClosed) {
  const std::size_t before = openDescriptors();
  client.takes = false;
  loop.in([&] {
    for (std::uint64_t i = 1; i <= 30; ++i)
      ASSERT_TRUE(node.connection->sendDescriptor(header(i), bytesOf("word"), fileOf("file")));
  });
  ASSERT_TRUE(loop.until([&] { return client.last == 30; }));
  EXPECT_EQ(openDescriptors(), before);
}

TEST_F(DescriptorTest, thatAreOnTheirWayWhenTheConnectionEndsAreClosed) {
  const std::size_t before = openDescriptors();
  loop.in([&] {
    client.connection->pauseReading();
    for (std::uint64_t i = 1; i <= 30; ++i)
      ASSERT_TRUE(node.connection->sendDescriptor(header(i), bytesOf(std::string(100'000, 'x')), fileOf("file")));
    node.connection->close();
    client.connection->close();
  });
  EXPECT_EQ(openDescriptors(), before - 2);  // the sockets
}

TEST_F(DescriptorTest, aFrameThatNamesOneAndHasNoneEndsTheConnection) {
  loop.in([&] {
    wire::FrameHeader lie = header(1);
    lie.flags = wire::kCarriesDescriptor;
    ASSERT_TRUE(node.connection->sendAnyway(lie, bytesOf("word")));
  });
  ASSERT_TRUE(loop.until([&] { return !client.closed_because.empty(); }));
  EXPECT_THAT(client.closed_because, testing::HasSubstr("without the descriptor"));
}

TEST_F(DescriptorTest, ofAClientAreDroppedByTheKernel) {
  const std::size_t before = openDescriptors();
  loop.in([&] { ASSERT_TRUE(client.connection->sendDescriptor(header(1), bytesOf("word"), fileOf("file"))); });
  ASSERT_TRUE(loop.until([&] { return node.last == 1; })) << node.closed_because;
  EXPECT_EQ(node.heard, std::vector<std::string>{"word"});
  EXPECT_EQ(openDescriptors(), before);
}

TEST(Descriptor, doesNotGoOverTcp) {
  TestLoop loop;
  Side side;
  loop.in([&] {
    Descriptor fd = *startConnect(*Address::parse("127.0.0.1:9"));
    side.connection = *Connection::connect(loop.reactor(), std::move(fd), {}, side);
    const Status sent = side.connection->sendDescriptor({}, {}, fileOf("file"));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::Unsupported);
    side.connection->close();
  });
}

}  // namespace
}  // namespace forebay::io
