#include "reader/channel.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <poll.h>
#include <sys/socket.h>

#include "base/checksum.h"
#include "io/server.h"
#include "io/test_loop.h"
#include "wire/messages.h"

namespace forebay::reader {
namespace {

using io::Reply;
using io::Request;
using testing::ElementsAre;
using testing::HasSubstr;
using wire::MessageType;
using wire::ReadOutcome;

constexpr std::uint32_t kChunk = 1U << 20;

// A node whose every request goes to a function of the test; what isn't answered at once is kept.
struct Node : io::RequestHandler {
  void request(const Request& r, Bytes body, Reply reply) override {
    ++seen;
    last_header = r.header;
    if (on_request) return on_request(body, std::move(reply));
    kept.push_back(std::move(reply));
  }
  void read(const Request& r, const wire::ReadView& read, Reply reply) override {
    ++seen;
    last_header = r.header;
    items.clear();
    for (std::size_t i = 0; i < read.items(); ++i) items.push_back(read.item(i));
    if (on_read) return on_read(std::move(reply));
    kept.push_back(std::move(reply));
  }
  void newerMap(const io::RemoteInfo&, std::uint64_t version) override { heard_map = version; }

  int seen = 0;
  wire::FrameHeader last_header;
  std::vector<wire::ReadItem> items;
  std::vector<Reply> kept;
  std::uint64_t heard_map = 0;
  std::function<void(Bytes, Reply)> on_request;
  std::function<void(Reply)> on_read;
};

// A reader of one read: its memory, and what it heard.
struct Reader : ReadObserver {
  explicit Reader(std::size_t size = kChunk) : memory(size) {}
  void room(std::uint16_t, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    if (on_room) on_room();
    target.add(MutableBytes(memory).subspan(offset, length));
  }
  void arrived(std::uint16_t, const wire::ReadDataView& view) override {
    bytes += view.head().length;
    if (on_arrived) on_arrived();
  }
  void finished(std::uint16_t item, const ItemResult& result) override {
    outcomes[item] = result.outcome;
    errors[item] = result.error.text();
    if (result.outcome == ReadOutcome::Ask) asked.assign(result.peers.begin(), result.peers.end());
    map_version = result.map_version;
    from_origin = result.from_origin;
  }
  void done(Status result) override {
    status = std::move(result);
    ++dones;
    if (on_done) on_done();
  }

  std::vector<std::byte> memory;
  std::uint64_t bytes = 0;
  std::map<int, ReadOutcome> outcomes;
  std::map<int, std::string> errors;
  std::vector<core::NodeId> asked;
  std::uint64_t map_version = 0;
  bool from_origin = false;
  Status status;
  int dones = 0;
  std::function<void()> on_room, on_arrived, on_done;
};

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    server_options.connection.self = {
        .name = "node-1", .peer = true, .node_id = 17, .map_version = [this] { return node_map; }};
    channel_options.connection.self = {.name = "client:1"};
    channel_options.min_backoff = 1ms;
    channel_options.max_backoff = 20ms;
    channel_options.seed = 1;
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + i / 251);
  }
  ~ChannelTest() override {
    loop.in([&] {
      channel.reset();
      server.reset();
      node.kept.clear();
    });
  }

  void serve(const io::Address& at = *io::Address::parse("127.0.0.1:0")) {
    loop.in([&] {
      server = std::make_unique<io::Server>(loop.reactor(), server_options, node);
      address = *server->listen(at);
    });
  }
  void start() {
    serve();
    loop.in([&] { channel = std::make_unique<Channel>(loop.reactor(), address, channel_options); });
  }
  static TimePoint soon() { return io::Reactor::now() + 30s; }

  // Asks for the map, and keeps what comes: "map 7", or the error.
  RequestId ask(TimePoint deadline = soon()) {
    return channel->call(MessageType::MapRequest, wire::pb::MapRequest(), deadline, [this](Result<Answer> answer) {
      if (!answer) return answers.push_back(answer.error().text());
      const auto map = wire::parse<wire::pb::MapReply>(answer->body);
      answers.push_back(map ? "map " + std::to_string(map->version()) : map.error().text());
    });
  }
  static void answerMap(Reply& reply, std::uint64_t version) {
    wire::pb::MapReply map;
    map.set_version(version);
    EXPECT_TRUE(reply.send(MessageType::MapReply, map));
  }
  void answerEverything() {
    node.on_request = [](Bytes, Reply reply) { answerMap(reply, 7); };
  }

  RequestId read(Reader& reader, std::vector<wire::ReadItem> items, TimePoint deadline = soon()) {
    const wire::ReadObject object{.size = kChunk, .chunk_bits = 20, .path = "f", .version = "v"};
    return channel->read({.objects = {&object, 1}, .items = items, .map_version = 3}, reader, deadline);
  }
  static wire::ReadItem item(std::uint32_t offset, std::uint32_t length, std::uint16_t flags = 0) {
    return {.object = 0, .flags = flags, .range = {.chunk = 0, .offset = offset, .length = length}};
  }

  // Sends [offset, offset + length) of `data` as an answer to item `index`.
  Status sendData(Reply& reply, int index, std::uint32_t offset, std::uint32_t length, int flags,
                  ReadOutcome outcome = ReadOutcome::Ok) {
    std::vector<std::uint32_t> checksums;
    for (std::uint32_t i = 0, from = 0; i < wire::pieceCount(offset, length); ++i) {
      const std::uint32_t end = wire::pieceEnd(offset, length, i);
      checksums.push_back(crc32c(Bytes(data).subspan(offset + from, end - from)));
      from = end;
    }
    const Bytes bulk[] = {Bytes(data).subspan(offset, length)};
    return reply.data({.item = static_cast<std::uint16_t>(index),
                       .outcome = outcome,
                       .flags = static_cast<std::uint8_t>(flags),
                       .offset = offset,
                       .length = length},
                      {.checksums = checksums, .peers = {}, .message = {}}, bulk);
  }
  static constexpr int kEnd = wire::kLastOfItem | wire::kLastOfRequest;

  std::vector<std::byte> data = std::vector<std::byte>(kChunk);
  std::uint64_t node_map = 5;
  io::TestLoop loop;
  io::ServerOptions server_options;
  ChannelOptions channel_options;
  Node node;
  std::unique_ptr<io::Server> server;
  io::Address address;
  std::unique_ptr<Channel> channel;
  std::vector<std::string> answers;
};

// ---- Calls

TEST_F(ChannelTest, connectsWhenItIsFirstAskedAndBringsTheAnswer) {
  answerEverything();
  start();
  EXPECT_FALSE(loop.in([&] { return channel->stats().connected; }));
  loop.in([&] {
    ask();
    EXPECT_TRUE(answers.empty()) << "never inside the call";
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers, ElementsAre("map 7"));
    EXPECT_EQ(channel->remote()->name, "node-1");
    EXPECT_EQ(channel->stats().outstanding, 0U);
    EXPECT_GT(node.last_header.deadline_ms, 20'000U);
    EXPECT_LE(node.last_header.deadline_ms, 30'000U);
  });
}

TEST_F(ChannelTest, bringsAnswersInWhateverOrderTheyCome) {
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 3; }));
  loop.in([&] {
    for (std::size_t i = 3; i-- > 0;) answerMap(node.kept[i], i);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, ElementsAre("map 2", "map 1", "map 0"));
}

TEST_F(ChannelTest, bringsTheNodesErrorAsItIs) {
  node.on_request = [](Bytes, Reply reply) {
    EXPECT_TRUE(reply.fail({.code = Code::NotFound, .message = "mount x: not served here", .retry_after_ms = 9}));
  };
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre("NotFound: mount x: not served here"));
}

TEST_F(ChannelTest, hearsOfARequestThatTheNodeForgot) {
  node.on_request = [](Bytes, Reply) {};
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("dropped the request"));
}

TEST_F(ChannelTest, isToldWhichRequestsANodeDoesNotKnowAndStaysConnected) {
  answerEverything();
  start();
  loop.in([&] {
    channel->call(static_cast<MessageType>(0x700), wire::pb::MapRequest(), soon(),
                  [&](Result<Answer> answer) { answers.push_back(answer ? "?" : answer.error().text()); });
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Unsupported"), "map 7"));
  EXPECT_EQ(loop.in([&] { return channel->stats().reconnects; }), 0U);
}

TEST_F(ChannelTest, refusesWhatIsBeyondItsOwnBound) {
  channel_options.max_in_flight = 2;
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1 && node.kept.size() == 2; }));
  EXPECT_THAT(answers[0], HasSubstr("Busy"));
}

TEST_F(ChannelTest, isRefusedBeyondTheNodesBoundWithATimeToComeBack) {
  server_options.max_requests = 2;
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Busy"));
  loop.in([&] { node.kept.clear(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 3; }));
  loop.in([&] { ask(); });
  EXPECT_TRUE(loop.until([&] { return node.kept.size() == 1; })) << "there is room again";
}

TEST_F(ChannelTest, givesUpAtTheDeadlineAndTellsTheNode) {
  start();
  bool gone = false;
  node.on_request = [&](Bytes, Reply reply) {
    reply.whenGone([&] { gone = true; });
    node.kept.push_back(std::move(reply));
  };
  loop.in([&] { ask(io::Reactor::now() + 20ms); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("DeadlineExceeded"));
  if (loop.in([&] { return node.seen > 0; })) {  // it may have been over before the connection was made
    ASSERT_TRUE(loop.until([&] { return gone; }));
    loop.in([&] {
      EXPECT_FALSE(node.kept[0].alive());
      EXPECT_EQ(node.kept[0].send(MessageType::MapReply, wire::pb::MapReply()).error().code, Code::Cancelled);
      EXPECT_EQ(server->openRequests(), 0U);
    });
  }
}

TEST_F(ChannelTest, doesNotSendWhatIsAlreadyTooLate) {
  answerEverything();
  start();
  loop.in([&] { ask(io::Reactor::now() - 1ms); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("DeadlineExceeded"));
  EXPECT_EQ(node.seen, 0);
}

TEST_F(ChannelTest, forgetsWhatIsCancelled) {
  start();
  RequestId id = 0;
  loop.in([&] { id = ask(); });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 1; }));
  loop.in([&] { channel->cancel(id); });
  ASSERT_TRUE(loop.until([&] { return !node.kept[0].alive(); }));
  loop.in([&] {
    answerEverything();
    channel->cancel(id);  // twice is fine
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre("map 7"));
}

TEST_F(ChannelTest, failsWhatIsOpenWhenTheNodeDiesAndFindsItAgain) {
  start();
  loop.in([&] {
    ask();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 2; }));
  loop.in([&] { server.reset(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Unavailable"), HasSubstr("Unavailable")));
  EXPECT_FALSE(loop.in([&] { return node.kept[0].alive(); }));

  loop.in([&] {
    answers.clear();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Unavailable"));

  answerEverything();
  serve(address);
  ASSERT_TRUE(loop.until([&] {
    if (channel->stats().outstanding == 0) ask();
    return answers.back() == "map 7";
  }));
  EXPECT_EQ(loop.in([&] { return channel->stats().reconnects; }), 1U);
}

TEST_F(ChannelTest, saysHowLongItWaitsBeforeItTriesANodeAgain) {
  channel_options.min_backoff = 10s;
  channel_options.max_backoff = 20s;
  start();
  loop.in([&] {
    server.reset();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  std::uint32_t retry_after_ms = 0;
  loop.in([&] {
    channel->call(MessageType::MapRequest, wire::pb::MapRequest(), soon(),
                  [&](Result<Answer> answer) { retry_after_ms = answer.error().retry_after_ms; });
  });
  ASSERT_TRUE(loop.until([&] { return retry_after_ms > 0; }));
  EXPECT_GE(retry_after_ms, 4'000U);
  EXPECT_LE(retry_after_ms, 10'001U);
}

TEST_F(ChannelTest, tellsWhyVersionsDontMeet) {
  channel_options.connection.self.min_version = 2;
  channel_options.connection.self.max_version = 2;
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Unsupported"));
  EXPECT_THAT(answers[0], HasSubstr("upgrade the older one"));
}

TEST_F(ChannelTest, letsBothSidesHearOfNewerMaps) {
  answerEverything();
  std::vector<std::uint64_t> heard;
  channel_options.on_map_version = [&](std::uint64_t version) { heard.push_back(version); };
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    node_map = 8;
    channel->call(
        MessageType::MapRequest, wire::pb::MapRequest(), soon(), [&](Result<Answer>) { answers.push_back(""); }, 9);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(heard, ElementsAre(5, 8));
  EXPECT_EQ(node.heard_map, 9U);
}

TEST_F(ChannelTest, closedFailsWhatIsOpenAndWhatComesAfter) {
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 1; }));
  loop.in([&] {
    channel->close();
    EXPECT_EQ(answers.size(), 1U);
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Cancelled"), HasSubstr("Cancelled")));
  EXPECT_TRUE(loop.until([&] { return !node.kept[0].alive(); }));
}

TEST_F(ChannelTest, mayBeDestroyedInsideACallback) {
  answerEverything();
  start();
  bool answered = false;
  loop.in([&] {
    for (int i = 0; i < 3; ++i)
      channel->call(MessageType::MapRequest, wire::pb::MapRequest(), soon(), [&](Result<Answer>) {
        EXPECT_FALSE(answered) << "what was open is dropped";
        answered = true;
        channel.reset();
      });
  });
  EXPECT_TRUE(loop.until([&] { return answered && server->connections() == 0; }));
}

// ---- Reads

TEST_F(ChannelTest, readsStraightIntoTheReadersMemory) {
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

TEST_F(ChannelTest, readsWhatDidNotGoWellItemByItem) {
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
TEST_F(ChannelTest, readsNothingThatItDidNotAskFor) {
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

TEST_F(ChannelTest, hangsUpOnAnAnswerAboutNoItemOfTheRead) {
  node.on_read = [&](Reply reply) { EXPECT_TRUE(sendData(reply, 1, 0, 10, kEnd)); };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, 10)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::Unavailable);
  EXPECT_TRUE(reader.outcomes.empty());
}

TEST_F(ChannelTest, noticesAReadThatEndsWithoutItsItems) {
  node.on_read = [&](Reply reply) { EXPECT_TRUE(sendData(reply, 0, 0, 10, kEnd)); };
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, 10), item(10, 10)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::Corrupt);
}

TEST_F(ChannelTest, refusesAReadThatMakesNoSense) {
  start();
  Reader reader;
  loop.in([&] { read(reader, {item(0, kChunk + 1)}); });
  ASSERT_TRUE(loop.until([&] { return reader.dones == 1; }));
  EXPECT_EQ(reader.status.error().code, Code::InvalidArgument);
  EXPECT_EQ(node.seen, 0);
}

// A node played by hand, because it has to stop in the middle of a frame.
class HandPlayedNode {
 public:
  HandPlayedNode() : listener_(std::move(*io::startListen(*io::Address::parse("127.0.0.1:0"), 1))) {}
  io::Address address() const { return *io::localAddress(listener_.get()); }

  void accept() {
    wait(listener_.get());
    peer_ = io::Descriptor(::accept(listener_.get(), nullptr, nullptr));
    hear();  // Hello
    wire::pb::HelloReply reply;
    reply.set_version(1);
    std::vector<std::byte> body;
    EXPECT_TRUE(wire::serialize(reply, body));
    say(MessageType::HelloReply, 0, body);
  }
  std::uint64_t hear() {  // the id of the next request
    std::array<std::byte, wire::kHeaderBytes> bytes;
    EXPECT_EQ(recv(peer_.get(), bytes.data(), bytes.size(), MSG_WAITALL), wire::kHeaderBytes);
    const auto header = wire::decodeHeader(bytes);
    EXPECT_TRUE(header);
    std::vector<std::byte> body(header->body_length);
    if (!body.empty()) recv(peer_.get(), body.data(), body.size(), MSG_WAITALL);
    return header->request_id;
  }
  void say(MessageType type, std::uint64_t id, Bytes body, std::uint32_t bulk_length = 0) const {
    wire::FrameHeader header{.type = type, .request_id = id};
    header.bulk_length = bulk_length;
    wire::describeBody(header, body);
    std::array<std::byte, wire::kHeaderBytes> bytes;
    wire::encodeHeader(header, bytes);
    write(bytes);
    write(body);
  }
  void write(Bytes bytes) const {
    if (!bytes.empty()) EXPECT_EQ(send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes));
  }

 private:
  static void wait(int fd) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&p, 1, 30'000), 1);
  }
  io::Descriptor listener_, peer_;
};

TEST_F(ChannelTest, keepsItsHandsOffMemoryOnceAReadIsOver) {
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

TEST_F(ChannelTest, mayBeCancelledInsideAnyOfTheObserversCalls) {
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

TEST_F(ChannelTest, mayAskAgainInsideDone) {
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

TEST_F(ChannelTest, failsAReadWhoseNodeDiesInTheMiddle) {
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

TEST_F(ChannelTest, letsANodeSendAsFastAsTheReaderTakes) {
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

}  // namespace
}  // namespace forebay::reader
