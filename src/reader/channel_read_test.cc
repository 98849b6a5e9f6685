#include "reader/channel_fixture.h"

namespace forebay::reader::channel_test {
namespace {

class ChannelReadTest : public ChannelTest {};

TEST_F(ChannelReadTest, readsStraightIntoTheReadersMemory) {
  node.on_read = [&](Reply reply) {
    EXPECT_TRUE(sendData(reply, 1, 500'000, 100'000, wire::kFromOrigin, ReadOutcome::Filling));  // out of order
    EXPECT_TRUE(sendData(reply, 0, 0, 70'000, wire::kLastOfItem));
    EXPECT_TRUE(sendData(reply, 1, 400'000, 100'000, kEnd));
  };
  start();
  Reader reader;
  loop.in([&] {
    read(reader, {item(0, 70'000), item(400'000, 200'000)});
    EXPECT_EQ(channel->stats().outstanding_bytes, 270'000U);
  });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  loop.in([&] {
    EXPECT_TRUE(reader.status);
    EXPECT_THAT(reader.outcomes, ElementsAre(testing::Pair(0, ReadOutcome::Ok), testing::Pair(1, ReadOutcome::Ok)));
    EXPECT_TRUE(std::equal(data.begin(), data.begin() + 70'000, reader.memory.begin()));
    EXPECT_TRUE(std::equal(data.begin() + 400'000, data.begin() + 600'000, reader.memory.begin() + 400'000));
    EXPECT_EQ(reader.memory[70'000], std::byte{0}) << "nothing else is written";
    EXPECT_EQ(reader.map_version, 5U);
    EXPECT_TRUE(reader.from_origin);
    const ChannelStats stats = channel->stats();
    EXPECT_EQ(stats.bytes_in, 270'000U);
    EXPECT_EQ(stats.outstanding_bytes, 0U);
    EXPECT_GT(stats.rtt, Duration{0});
    EXPECT_EQ(node.last_header.map_version, 3U);
  });
}

TEST_F(ChannelReadTest, readsWhatDidNotGoWellItemByItem) {
  node.on_read = [&](Reply reply) {
    const core::NodeId peers[] = {11, 12};
    EXPECT_TRUE(reply.data({.item = 0, .outcome = ReadOutcome::Ask, .flags = wire::kLastOfItem},
                           {.checksums = {}, .peers = peers, .message = {}}));
    EXPECT_TRUE(reply.data(
        {.item = 1, .outcome = ReadOutcome::Busy, .flags = wire::kLastOfItem, .code = Code::Busy, .retry_after_ms = 40},
        {.checksums = {}, .peers = {}, .message = "queue full"}));
    EXPECT_TRUE(reply.data({.item = 2, .flags = kEnd}, {}));  // warmed: no bytes
  };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, 1), item(1, 1), item(2, 1, wire::kNoBytes)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  loop.in([&] {
    EXPECT_TRUE(reader.status);
    EXPECT_EQ(reader.outcomes.at(0), ReadOutcome::Ask);
    EXPECT_THAT(reader.asked, ElementsAre(11, 12));
    EXPECT_EQ(reader.outcomes.at(1), ReadOutcome::Busy);
    EXPECT_EQ(reader.errors.at(1), "Busy: queue full");
    EXPECT_EQ(reader.outcomes.at(2), ReadOutcome::Ok);
    EXPECT_EQ(node.items.at(2).flags, wire::kNoBytes);
  });
}

// What a node could send that isn't what was asked for.
TEST_F(ChannelReadTest, readsNothingThatItDidNotAskFor) {
  struct Lie {
    const char* what;
    std::function<void(Reply&)> tell;
  };
  const Lie lies[] = {
      {"too few", [&](Reply& r) { EXPECT_TRUE(sendData(r, 0, 1'000, 999, kEnd)); }},
      {"before the range", [&](Reply& r) { EXPECT_TRUE(sendData(r, 0, 999, 1'000, kEnd)); }},
      {"behind the range", [&](Reply& r) { EXPECT_TRUE(sendData(r, 0, 1'001, 1'000, kEnd)); }},
      {"twice",
       [&](Reply& r) {
         EXPECT_TRUE(sendData(r, 0, 1'000, 1'000, 0));
         EXPECT_TRUE(sendData(r, 0, 1'000, 1'000, kEnd));
       }},
      {"other bytes",
       [&](Reply& r) {
         const std::uint32_t wrong[] = {1};
         const Bytes bulk[] = {Bytes(data).first(1'000)};
         EXPECT_TRUE(r.data({.flags = static_cast<std::uint8_t>(kEnd), .offset = 1'000, .length = 1'000},
                            {.checksums = wrong, .peers = {}, .message = {}}, bulk));
       }},
  };
  start();
  for (const Lie& lie : lies) {
    node.on_read = [&](Reply reply) { lie.tell(reply); };
    Reader reader;
    loop.in([&] { read(reader, {item(1'000, 1'000)}); });
    ASSERT_TRUE(loop.until([&] { return reader.dones == 1; })) << lie.what;
    EXPECT_TRUE(reader.status) << lie.what;
    EXPECT_EQ(reader.outcomes.at(0), ReadOutcome::Error) << lie.what;
    EXPECT_THAT(reader.errors.at(0), HasSubstr("Corrupt")) << lie.what;
    EXPECT_EQ(reader.memory[999], std::byte{0}) << lie.what;
    EXPECT_EQ(reader.memory[2'000], std::byte{0}) << lie.what;
  }
  EXPECT_EQ(loop.in([&] { return channel->stats().reconnects; }), 0U);
}

TEST_F(ChannelReadTest, hangsUpOnAnAnswerAboutNoItemOfTheRead) {
  node.on_read = [&](Reply reply) { EXPECT_TRUE(sendData(reply, 1, 0, 10, kEnd)); };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, 10)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::Unavailable);
  EXPECT_TRUE(reader.outcomes.empty());
}

TEST_F(ChannelReadTest, noticesAReadThatEndsWithoutItsItems) {
  node.on_read = [&](Reply reply) { EXPECT_TRUE(sendData(reply, 0, 0, 10, kEnd)); };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, 10), item(10, 10)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::Corrupt);
}

TEST_F(ChannelReadTest, refusesAReadThatMakesNoSense) {
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, kChunk + 1)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::InvalidArgument);
  EXPECT_EQ(node.seen, 0);
}

TEST_F(ChannelReadTest, keepsItsHandsOffMemoryOnceAReadIsOver) {
  for (const bool by_deadline : {false, true}) {
    HandPlayedNode player;
    loop.in([&] { channel = std::make_unique<Channel>(loop.reactor(), player.address(), channel_options); });
    auto reader = std::make_unique<Reader>();
    RequestId id = 0;
    bool coming = false;
    loop.in([&] {
      reader->on_room = [&] { coming = true; };
      id = read(*reader, {item(0, kChunk)}, by_deadline ? io::Reactor::now() + 1s : soon());
    });
    player.accept();
    ASSERT_EQ(player.hear(), id);
    std::vector<std::uint32_t> checksums(wire::pieceCount(0, kChunk));
    std::vector<std::byte> body;
    ASSERT_TRUE(wire::encodeReadData({.flags = static_cast<std::uint8_t>(kEnd), .offset = 0, .length = kChunk},
                                     {.checksums = checksums, .peers = {}, .message = {}}, body));
    player.say(MessageType::ReadData, id, body, kChunk);
    player.write(Bytes(data).first(100'000));
    ASSERT_TRUE(loop.until([&] { return coming; }));
    if (by_deadline) {
      ASSERT_TRUE(loop.until([&] { return reader->dones == 1; }));
      EXPECT_EQ(reader->status.error().code, Code::DeadlineExceeded);
    } else {
      loop.in([&] { channel->cancel(id); });
    }
    ASSERT_EQ(player.hear(), id) << "the Cancel";
    loop.in([&] { reader.reset(); });  // ASan sees whoever still writes
    player.write(Bytes(data).subspan(100'000));

    loop.in([&] {
      answers.clear();
      ask();
    });
    const std::uint64_t next = player.hear();
    wire::pb::MapReply map;
    map.set_version(7);
    ASSERT_TRUE(wire::serialize(map, body));
    player.say(MessageType::MapReply, next, body);
    ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
    EXPECT_EQ(answers[0], "map 7") << "the connection is as good as before";
    loop.in([&] { channel.reset(); });
  }
}

TEST_F(ChannelReadTest, mayBeCancelledInsideAnyOfTheObserversCalls) {
  node.on_read = [&](Reply reply) {
    for (std::uint32_t at = 0; at < kChunk && reply.alive(); at += kChunk / 4) {
      const Status sent = sendData(reply, 0, at, kChunk / 4, at + kChunk / 4 == kChunk ? kEnd : 0);
      EXPECT_TRUE(sent);
    }
  };
  for (const bool in_room : {true, false}) {
    start();
    Reader reader;
    RequestId id = 0;
    loop.in([&] {
      (in_room ? reader.on_room : reader.on_arrived) = [&] { channel->cancel(id); };
      id = read(reader, {item(0, kChunk)});
      answerEverything();
      answers.clear();
      ask();
    });
    ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
    loop.in([&] {
      EXPECT_EQ(reader.dones, 0);
      if (in_room) EXPECT_EQ(reader.memory, std::vector<std::byte>(kChunk)) << "not a byte after the cancel";
      channel.reset();
      server.reset();
    });
  }
}

TEST_F(ChannelReadTest, mayAskAgainInsideDone) {
  node.on_read = [&](Reply reply) { EXPECT_TRUE(sendData(reply, 0, 0, 100, kEnd)); };
  start();
  Reader reader;
  loop.in([&] {
    reader.on_done = [&] {
      if (reader.dones < 100) read(reader, {item(0, 100)});
    };
    read(reader, {item(0, 100)});
  });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 100; }));
  EXPECT_EQ(reader.bytes, 10'000U);
}

TEST_F(ChannelReadTest, failsAReadWhoseNodeDiesInTheMiddle) {
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, kChunk)}); });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 1; }));
  loop.in([&] { EXPECT_TRUE(sendData(node.kept[0], 0, 0, 1'000, 0)); });
  ASSERT_TRUE(loop.until([&] { return reader.bytes == 1'000; }));
  loop.in([&] { server.reset(); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::Unavailable);
  EXPECT_TRUE(reader.outcomes.empty());
}

TEST_F(ChannelReadTest, letsANodeSendAsFastAsTheReaderTakes) {
  constexpr std::uint32_t kPart = 8'192;
  server_options.connection.max_queued_frames = 8;
  std::uint32_t at = 0;
  const std::function<void()> send_more = [&] {
    for (; at < kChunk; at += kPart) {
      const Status sent = sendData(node.kept[0], 0, at, kPart, at + kPart == kChunk ? kEnd : 0);
      if (sent) continue;
      ASSERT_EQ(sent.error().code, Code::Busy);
      return node.kept[0].whenWritable([&] { send_more(); });
    }
  };
  node.on_read = [&](Reply reply) {
    node.kept.push_back(std::move(reply));
    send_more();
  };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, kChunk)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_TRUE(reader.status);
  EXPECT_EQ(reader.memory, data);
}

TEST_F(ChannelReadTest, letsTheRepliesOfAFullConnectionTakeTurns) {
  constexpr std::uint32_t kPart = 65'536, kParts = kChunk / kPart;
  constexpr std::uint32_t kReplies = 4, kItems = 24;  // far more than the socket's buffers hold
  server_options.connection.max_queued_frames = 8;
  std::array<std::uint32_t, kReplies> parts{};
  std::array<std::uint32_t, kReplies> parts_at_first_end{};
  const std::function<void(std::uint32_t)> send_more = [&](std::uint32_t i) {
    for (; parts[i] < kItems * kParts; ++parts[i]) {
      const std::uint32_t item = parts[i] / kParts, part = parts[i] % kParts;
      const bool last = part == kParts - 1;
      const int flags = !last ? 0 : item == kItems - 1 ? kEnd : wire::kLastOfItem;
      if (!sendData(node.kept[i], static_cast<int>(item), part * kPart, kPart, flags))
        return node.kept[i].whenWritable([&, i] { send_more(i); });
    }
    if (parts_at_first_end[0] == 0) parts_at_first_end = parts;
  };
  start();
  std::array<Reader, kReplies> readers;
  loop.in([&] {
    for (Reader& reader : readers) read(reader, std::vector(kItems, item(0, kChunk)));
  });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == kReplies; }));
  loop.in([&] {
    for (std::uint32_t i = 0; i < kReplies; ++i) send_more(i);
  });
  ASSERT_TRUE(loop.until([&] { return std::ranges::all_of(readers, [](const Reader& r) { return r.dones == 1; }); }));
  EXPECT_THAT(parts_at_first_end, testing::Each(testing::Ge(kParts))) << "nobody ends before all have begun";
  for (const Reader& reader : readers) EXPECT_EQ(reader.memory, data);
}

}  // namespace
}  // namespace forebay::reader::channel_test
