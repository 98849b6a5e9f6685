#include "io/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/connection_fixture.h"

namespace forebay::io {
namespace {

using test::ConnectionTest, test::headerOf, test::randomBytes;
using testing::HasSubstr;

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
