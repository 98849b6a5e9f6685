// For the tests of Channel: a node that does what the test says, one that is played by hand, and a reader's memory.
#pragma once

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <poll.h>
#include <sys/socket.h>

#include "base/checksum.h"
#include "io/server.h"
#include "io/test_loop.h"
#include "reader/channel.h"
#include "wire/messages.h"

namespace forebay::reader::channel_test {

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

}  // namespace forebay::reader::channel_test
