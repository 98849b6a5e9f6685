#include "io/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/random.h"
#include "io/listener.h"
#include "io/test_loop.h"
#include "wire/messages.h"

namespace forebay::io {
namespace {

using testing::HasSubstr;

std::vector<std::byte> randomBytes(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

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

wire::FrameHeader headerOf(wire::MessageType type, std::uint64_t id) {
  wire::FrameHeader header;
  header.type = type;
  header.request_id = id;
  return header;
}

// One side of a connection, that keeps what it hears.
struct Side : ConnectionHandler {
  void opened(const RemoteInfo& r) override {
    is_open = true;
    remote = r;
  }
  void frame(const wire::FrameHeader& header, Bytes body) override {
    ids.push_back(header.request_id);
    bodies.emplace_back(textOf(body));
    if (on_frame) on_frame();
  }
  void bulkComing(const wire::FrameHeader&, Bytes body, BulkTarget& target) override {
    if (on_bulk) return on_bulk(target);
    for (const MutableBytes room : rooms) target.add(room);
    if (!verify) return;
    const auto view = wire::ReadDataView::parse(body, static_cast<std::uint32_t>(bulk_length));
    ASSERT_TRUE(view) << view.error().text();
    target.verify(*view);
  }
  void bulkArrived(const wire::FrameHeader& header, Bytes, bool was_intact) override {
    ids.push_back(header.request_id);
    intact.push_back(was_intact);
  }
  void writable() override { ++writables; }
  void closed(const Error& error) override {
    is_open = false;
    why = error.text();
    if (on_closed) on_closed();
  }

  std::shared_ptr<Connection> connection;
  bool is_open = false;
  RemoteInfo remote;
  std::vector<std::uint64_t> ids;
  std::vector<std::string> bodies;
  std::vector<bool> intact;
  std::vector<MutableBytes> rooms;
  bool verify = false;
  std::size_t bulk_length = 0;
  int writables = 0;
  std::string why;
  std::function<void()> on_frame, on_closed;
  std::function<void(BulkTarget&)> on_bulk;
};

class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    server_options.self = {.name = "node-1", .peer = true, .node_id = 17, .map_version = [] { return 5; }};
    server_options.metrics = &counted;
    client_options.self = {.name = "client:1"};
  }
  ~ConnectionTest() override {
    loop.in([&] {
      for (Side* side : {&server, &client})
        if (side->connection) side->connection->close();
      listener.reset();
    });
  }

  void listen(const std::string& at = "127.0.0.1:0") {
    loop.in([&] {
      listener = std::move(*Listener::create(loop.reactor(), *Address::parse(at), {}, [&](Accepted a) {
        server.connection = *Connection::accept(loop.reactor(), std::move(a.fd), server_options, server, a.ticket);
      }));
    });
  }
  void connect() {
    loop.in([&] {
      client.connection =
          *Connection::connect(loop.reactor(), std::move(*startConnect(listener->address())), client_options, client);
    });
  }
  void open(const std::string& at = "127.0.0.1:0") {
    listen(at);
    connect();
    ASSERT_TRUE(loop.until([&] { return client.is_open && server.is_open; })) << client.why << server.why;
  }

  // A socket of the test's own, to say what no Connection would.
  struct Raw {
    Descriptor fd;
    void say(Bytes bytes) const {
      while (!bytes.empty()) {
        const ssize_t n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) continue;
        if (n < 0) return;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
      }
    }
    // Everything until the other side hangs up.
    std::string hear() const {
      std::string heard;
      char buffer[4'096];
      while (true) {
        pollfd p{.fd = fd.get(), .events = POLLIN, .revents = 0};
        if (poll(&p, 1, 30'000) <= 0) return heard + " ... and no end";
        const ssize_t n = read(fd.get(), buffer, sizeof buffer);
        if (n <= 0) return heard;
        heard.append(buffer, static_cast<std::size_t>(n));
      }
    }
  };
  Raw raw() {
    Raw r{.fd = std::move(*startConnect(listener->address()))};
    pollfd p{.fd = r.fd.get(), .events = POLLOUT, .revents = 0};
    poll(&p, 1, 30'000);
    return r;
  }
  static std::vector<std::byte> frameBytes(wire::FrameHeader header, Bytes body, Bytes bulk = {}) {
    header.bulk_length = static_cast<std::uint32_t>(bulk.size());
    wire::describeBody(header, body);
    std::vector<std::byte> out(wire::kHeaderBytes);
    wire::encodeHeader(header, wire::HeaderBytes(out.data(), wire::kHeaderBytes));
    out.insert(out.end(), body.begin(), body.end());
    out.insert(out.end(), bulk.begin(), bulk.end());
    return out;
  }
  static std::vector<std::byte> helloBytes(std::uint32_t min = 1, std::uint32_t max = 1) {
    wire::pb::Hello hello;
    hello.set_min_version(min);
    hello.set_max_version(max);
    hello.set_name("raw");
    std::vector<std::byte> body;
    EXPECT_TRUE(wire::serialize(hello, body));
    return frameBytes(headerOf(wire::MessageType::Hello, 0), body);
  }

  Metrics metrics;
  ConnectionMetrics counted{metrics, "server"};
  TestLoop loop;
  ConnectionOptions server_options, client_options;
  Side server, client;
  std::unique_ptr<Listener> listener;
};

TEST_F(ConnectionTest, introducesBothSidesToEachOther) {
  open();
  loop.in([&] {
    EXPECT_EQ(client.remote.name, "node-1");
    EXPECT_EQ(client.remote.node_id, 17U);
    EXPECT_EQ(client.remote.map_version, 5U);
    EXPECT_EQ(client.remote.version, wire::kMaxVersion);
    EXPECT_EQ(server.remote.name, "client:1");
    EXPECT_FALSE(server.remote.peer);
  });
}

TEST_F(ConnectionTest, knowsTheProcessBehindAUnixSocket) {
  open("unix:" + testing::TempDir() + "fb" + std::to_string(getpid()) + "who");
  loop.in([&] {
    EXPECT_EQ(server.remote.identity.pid, getpid());
    EXPECT_EQ(server.remote.identity.uid, geteuid());
  });
}

TEST_F(ConnectionTest, carriesFramesInOrderWhateverTheirSize) {
  open();
  const std::size_t sizes[] = {0, 1, 63, 64, 65, 16'319, 16'320, 16'321, 16'384, 16'385, 100'000, wire::kMaxBody};
  std::vector<std::string> sent;
  for (const std::size_t size : sizes) sent.emplace_back(textOf(randomBytes(size, size)));
  loop.in([&] {
    for (std::size_t i = 0; i < sent.size(); ++i)
      EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::ListReply, i), bytesOf(sent[i])));
    for (std::size_t i = 0; i < 500; ++i)
      EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::Cancel, i), {}));
  });
  ASSERT_TRUE(loop.until([&] { return server.ids.size() == sent.size() + 500; })) << server.ids.size();
  loop.in([&] {
    for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(server.bodies[i], sent[i]) << i;
    for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ(server.ids[sent.size() + i], i);
  });
}

TEST_F(ConnectionTest, receivesFramesThatComeInAnyPortions) {
  listen();
  const auto bulk = randomBytes(5'000, 1);
  std::vector<std::byte> into(5'000);
  server.rooms = {MutableBytes(into).first(1'234), MutableBytes(into).subspan(1'234)};
  std::vector<std::byte> all = helloBytes();
  for (const auto& frame : {frameBytes(headerOf(wire::MessageType::MapRequest, 1), bytesOf("abc")),
                            frameBytes(headerOf(wire::MessageType::ReadData, 2), bytesOf("de"), bulk),
                            frameBytes(headerOf(wire::MessageType::Cancel, 3), {})})
    all.insert(all.end(), frame.begin(), frame.end());
  const Raw client_socket = raw();
  for (std::size_t at = 0, step = 1; at < all.size(); at += step, step = step % 97 + 1) {
    client_socket.say(Bytes(all).subspan(at, std::min(step, all.size() - at)));
    if (at % 10 == 0) std::this_thread::sleep_for(100us);  // so that they come apart; nothing depends on it
  }
  ASSERT_TRUE(loop.until([&] { return server.ids.size() == 3; }));
  loop.in([&] {
    EXPECT_THAT(server.ids, testing::ElementsAre(1, 2, 3));
    EXPECT_EQ(into, bulk);
  });
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

// ---- Bad peers

TEST_F(ConnectionTest, endsForWhoeverTalksSomethingElseAndIsCounted) {
  listen();
  const auto garbage = randomBytes(100'000, 5);
  const Raw noise = raw();
  noise.say(garbage);
  EXPECT_EQ(noise.hear(), "");
  const Raw http = raw();
  http.say(bytesOf("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: somebody who is lost\r\nAccept: */*\r\n\r\n"));
  EXPECT_EQ(http.hear(), "");
  EXPECT_EQ(counted.bad_frames.value(), 2U);
  connect();
  EXPECT_TRUE(loop.until([&] { return client.is_open; })) << "others are served as before";
}

TEST_F(ConnectionTest, endsForABadFrameInTheMiddleToo) {
  listen();
  const auto good = frameBytes(headerOf(wire::MessageType::MapRequest, 1), bytesOf("body"));
  auto bad_header = good, bad_body = good;
  bad_header[12] ^= std::byte{1};
  bad_body[66] ^= std::byte{1};
  auto other_version = headerOf(wire::MessageType::MapRequest, 1);
  other_version.version = 2;
  auto too_long = headerOf(wire::MessageType::MapRequest, 1);
  too_long.body_length = wire::kMaxBody + 1;
  std::vector<std::byte> long_frame(wire::kHeaderBytes);
  wire::encodeHeader(too_long, wire::HeaderBytes(long_frame.data(), wire::kHeaderBytes));

  std::uint64_t bad = 0;
  for (const auto& frame : {bad_header, bad_body, frameBytes(other_version, {}), long_frame}) {
    const Raw peer = raw();
    peer.say(helloBytes());
    peer.say(good);
    ASSERT_TRUE(loop.until([&] { return server.ids.size() == bad + 1; }));
    peer.say(frame);
    EXPECT_NE(peer.hear(), "") << "the Hello's reply, then the end";
    EXPECT_EQ(counted.bad_frames.value(), ++bad);
  }
}

TEST_F(ConnectionTest, beginsWithHelloOrNotAtAll) {
  listen();
  const Raw peer = raw();
  peer.say(frameBytes(headerOf(wire::MessageType::MapRequest, 1), {}));
  EXPECT_EQ(peer.hear(), "");
  EXPECT_EQ(counted.bad_hellos.value(), 1U);
  EXPECT_EQ(loop.in([&] { return server.ids.size(); }), 0U);
}

TEST_F(ConnectionTest, waitsForAHelloOnlySoLong) {
  server_options.handshake_timeout = 20ms;
  listen();
  const Raw silent = raw();
  EXPECT_EQ(silent.hear(), "");
  EXPECT_EQ(counted.bad_hellos.value(), 1U);
}

TEST_F(ConnectionTest, endsWhenIdleForTooLong) {
  server_options.idle_timeout = 20ms;
  open();
  ASSERT_TRUE(loop.until([&] { return !client.why.empty(); }));
  EXPECT_THAT(server.why, HasSubstr("idle"));
}

TEST_F(ConnectionTest, withoutACommonVersionTellsTheClientWhy) {
  client_options.self.min_version = 2;
  client_options.self.max_version = 3;
  listen();
  connect();
  ASSERT_TRUE(loop.until([&] { return !client.why.empty() && !server.why.empty(); }));
  loop.in([&] {
    EXPECT_THAT(client.why, HasSubstr("Unsupported"));
    EXPECT_THAT(client.why, HasSubstr("versions 1 to 1, the other side 2 to 3: upgrade the older one"));
    EXPECT_FALSE(client.is_open);
  });
  EXPECT_EQ(counted.bad_hellos.value(), 1U);
}

TEST_F(ConnectionTest, agreesOnTheNewestVersionThatBothSpeak) {
  server_options.self.max_version = 4;
  client_options.self.max_version = 9;
  open();
  loop.in([&] {
    EXPECT_EQ(client.remote.version, 4);
    EXPECT_EQ(server.remote.version, 4);
    EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::MapRequest, 1), {}));
  });
  EXPECT_TRUE(loop.until([&] { return server.ids.size() == 1; }));
}

TEST_F(ConnectionTest, toNobodyIsUnavailable) {
  listen();
  const Address nobody = listener->address();
  loop.in([&] { listener.reset(); });
  loop.in([&] {
    client.connection = *Connection::connect(loop.reactor(), std::move(*startConnect(nobody)), client_options, client);
  });
  ASSERT_TRUE(loop.until([&] { return !client.why.empty(); }));
  EXPECT_THAT(client.why, HasSubstr("Connection refused"));
}

// ---- Life

TEST_F(ConnectionTest, mayBeClosedAndForgottenInsideItsOwnCalls) {
  open();
  loop.in([&] {
    server.on_frame = [&] {
      server.connection->close();
      server.connection.reset();
    };
    for (std::uint64_t i = 0; i < 10; ++i)
      EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::MapRequest, i), bytesOf("x")));
    client.on_closed = [&] { client.connection.reset(); };
  });
  ASSERT_TRUE(loop.until([&] { return !client.why.empty(); }));
  EXPECT_EQ(loop.in([&] { return server.ids.size(); }), 1U) << "nothing is heard after close()";
  EXPECT_EQ(counted.open.value(), 0);
}

TEST_F(ConnectionTest, saysItsLastWordsBeforeItCloses) {
  open();
  loop.in([&] {
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::Failure, 1), bytesOf("goodbye")));
    server.connection->closeWhenSent();
    server.connection.reset();
    EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::MapRequest, 2), {})) << "it doesn't know yet";
  });
  ASSERT_TRUE(loop.until([&] { return !client.why.empty(); }));
  EXPECT_EQ(loop.in([&] { return client.bodies; }), std::vector<std::string>{"goodbye"});
  EXPECT_TRUE(loop.until([&] { return counted.open.value() == 0; }));
}

TEST_F(ConnectionTest, thatIsPausedKeepsWhatItHasReadAhead) {
  open();
  loop.in([&] {
    server.on_frame = [&] { server.connection->pauseReading(); };
    for (std::uint64_t i = 0; i < 5; ++i)
      EXPECT_TRUE(client.connection->send(headerOf(wire::MessageType::MapRequest, i), bytesOf("x")));
  });
  for (std::size_t heard = 1; heard <= 5; ++heard) {
    ASSERT_TRUE(loop.until([&] { return server.ids.size() == heard; }));
    loop.in([&] { server.connection->resumeReading(); });
  }
}

TEST_F(ConnectionTest, isDroppedIfItsPeerAsksAndNeverReads) {
  server_options.max_queued_bytes = 100'000;
  open();
  const std::string answer(50'000, 'x');
  loop.in([&] {
    client.connection->pauseReading();
    while (server.connection->sendAnyway(headerOf(wire::MessageType::ListReply, 1), bytesOf(answer))) continue;
    EXPECT_TRUE(server.why.empty()) << "closed() never comes inside a send";
    EXPECT_LE(server.connection->queuedBytes(), 300'000U);
  });
  ASSERT_TRUE(loop.until([&] { return !server.why.empty(); }));
  EXPECT_THAT(server.why, HasSubstr("doesn't read answers"));
}

TEST_F(ConnectionTest, refusesFramesBeyondTheLimits) {
  open();
  const std::vector<std::byte> large(wire::kMaxBody + 1), huge(wire::kMaxBulk + 1);
  loop.in([&] {
    const Bytes bulk[] = {huge};
    const auto header = headerOf(wire::MessageType::ReadData, 1);
    EXPECT_EQ(server.connection->send(header, large).error().code, Code::InvalidArgument);
    EXPECT_EQ(server.connection->send(header, {}, bulk).error().code, Code::InvalidArgument);
  });
}

TEST_F(ConnectionTest, longAnswersGoBeforeTheirRoundIsOver) {
  open();
  const auto body = randomBytes(9'000, 1);
  std::vector<std::size_t> waiting;
  server.on_frame = [&] {
    const Bytes answer = Bytes(body).first(server.ids.size() == 1 ? 100 : body.size());
    EXPECT_TRUE(server.connection->send(headerOf(wire::MessageType::MapReply, 1), answer));
    waiting.push_back(server.connection->queuedBytes());
  };
  loop.in([&] {
    for (int i = 0; i < 2; ++i) (void)client.connection->send(headerOf(wire::MessageType::MapRequest, 1), {});
  });
  ASSERT_TRUE(loop.until([&] { return client.ids.size() == 2; }));
  EXPECT_EQ(waiting.back(), 0U);
}

}  // namespace
}  // namespace forebay::io
