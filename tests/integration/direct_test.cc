// The library without a node beside it: it reads a cell of this process from the nodes that hold the bytes.
#include <forebay/forebay.h>
#include <poll.h>

#include "cell_fixture.h"
#include "client/direct_client.h"
#include "io/server.h"
#include "io/test_loop.h"

namespace forebay {
namespace {

struct Failure : forebay_error {
  Failure() : forebay_error{} { size = sizeof(forebay_error); }
};

class DirectTest : public CellTest {
 protected:
  void TearDown() override {
    for (forebay_object* object : objects) forebay_close(object);
    forebay_disconnect(library);
    CellTest::TearDown();
  }
  std::string address(std::size_t node) const { return "127.0.0.1:" + std::to_string(ports[node]); }
  forebay_code tryConnect(const std::vector<std::string>& seeds, std::uint32_t patience_ms = 30'000) {
    std::vector<const char*> direct;
    for (const std::string& seed : seeds) direct.push_back(seed.c_str());
    forebay_options options = {};
    options.size = sizeof options;
    options.direct = direct.data();
    options.direct_count = direct.size();
    options.connect_timeout_ms = patience_ms;
    return forebay_connect(&options, &library, &error);
  }
  void connect(const std::vector<std::string>& seeds) { ASSERT_EQ(tryConnect(seeds), FOREBAY_OK) << error.message; }
  forebay_object* open(const std::string& name) {
    forebay_object* object = nullptr;
    EXPECT_EQ(forebay_open(library, name.c_str(), 0, &object, nullptr, &error), FOREBAY_OK) << error.message;
    if (object != nullptr) objects.push_back(object);
    return object;
  }
  Result<std::string> read(forebay_object* object, std::uint64_t offset, std::size_t length) {
    std::string room(length, '?');
    std::uint64_t got = 0;
    if (forebay_read(object, offset, room.data(), length, &got, nullptr, &error) != FOREBAY_OK)
      return fail(static_cast<Code>(error.code), error.message);
    room.resize(got);
    return room;
  }
  std::string cat(const std::string& name) {
    forebay_object* const object = open(name);
    if (object == nullptr) return "no object";
    const auto text = read(object, 0, forebay_object_bytes(object) + 10);
    return text ? *text : text.error().text();
  }

  Failure error;
  forebay_client* library = nullptr;
  std::vector<forebay_object*> objects;
};

TEST_F(DirectTest, namesListingsAndBytesComeFromTheirOwners) {
  const std::string big = randomText(20'000'001, 1);
  write("dir/big", big);
  write("dir/a b", "small");
  write("dir/empty", "");
  startCell(4, "chunk_size = \"1MiB\"\n");
  connect({address(2)});
  EXPECT_TRUE(cat("d/dir/big") == big);
  EXPECT_EQ(cat("d/dir/a b"), "small");
  EXPECT_EQ(cat("d/dir/empty"), "");
  const char* names[] = {"d/dir/big", "d/none", "d/dir", "nomount/x"};
  forebay_attributes attributes[4] = {};
  attributes[0].size = sizeof attributes[0];
  EXPECT_EQ(forebay_stat(library, names, 4, attributes, nullptr, &error), FOREBAY_NOT_FOUND);
  EXPECT_EQ(attributes[0].bytes, big.size());
  EXPECT_EQ(attributes[1].code, FOREBAY_NOT_FOUND);
  EXPECT_EQ(attributes[2].directory, 1);
  EXPECT_EQ(attributes[3].code, FOREBAY_NOT_FOUND);
  forebay_page* page = nullptr;
  ASSERT_EQ(forebay_list(library, "d/dir", "", 0, &page, nullptr, &error), FOREBAY_OK) << error.message;
  EXPECT_EQ(forebay_page_count(page), 3U);
  forebay_page_free(page);
  EXPECT_EQ(forebay_list(library, "d/none", "", 0, &page, nullptr, &error), FOREBAY_NOT_FOUND);

  // No node fetched a byte of another's for it: each was asked for what it owns.
  const auto status = cellStatus();
  EXPECT_EQ(status.origin_bytes(), big.size() + 5);
  EXPECT_EQ(status.peer_bytes(), 0U);
}

TEST_F(DirectTest, hotNamesComeFromNodesThatTheirOwnersName) {
  write("dir/f", "text");
  startCell(4);
  connect({address(0)});
  const char* const name = "d/dir/f";
  forebay_attributes attributes = {};
  attributes.size = sizeof attributes;
  const auto bytes = [&] {
    EXPECT_EQ(forebay_stat(library, &name, 1, &attributes, nullptr, &error), FOREBAY_OK) << error.message;
    return attributes.bytes;
  };
  const auto names = [&] {
    forebay_page* page = nullptr;
    EXPECT_EQ(forebay_list(library, "d/dir", "", 0, &page, nullptr, &error), FOREBAY_OK) << error.message;
    const std::size_t count = page == nullptr ? 0 : forebay_page_count(page);
    forebay_page_free(page);
    return count;
  };
  // Nodes know them; clients are named to nobody. A plan is hot when very many have asked for it.
  for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_TRUE(stat(i, "dir/f"));
  EXPECT_EQ(counted("forebay_name_in_stead_total"), 0U);
  for (int i = 0; i < 70; ++i) ASSERT_EQ(bytes(), 4U);
  EXPECT_GE(counted("forebay_name_in_stead_total"), 5U);

  for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_TRUE(list(i, "dir"));
  const std::uint64_t before = counted("forebay_name_in_stead_total");
  EXPECT_EQ(names(), 1U);
  EXPECT_EQ(counted("forebay_name_in_stead_total"), before + 1);
  EXPECT_EQ(cellStatus().origin_lists(), 2U) << "of the directory, and below the name";

  // What all have forgotten nobody is named for: the client sees what is there now.
  write("dir/f", "longer");
  write("dir/g", "");
  ASSERT_TRUE(client::wait<wire::pb::RefreshReply>(
      [&](auto done) { nodes[0].client->refresh("d", std::vector<std::string>{"dir"}, deadline(), std::move(done)); }));
  EXPECT_EQ(bytes(), 6U);
  EXPECT_EQ(names(), 2U);
}

TEST_F(DirectTest, aBatchIsOneRequestForEachHolder) {
  constexpr int kObjects = 600;
  for (int i = 0; i < kObjects; ++i) write("many/" + std::to_string(i), "text " + std::to_string(i));
  startCell(3);
  connect({address(0), address(1)});
  const auto read = [&] {
    std::vector<std::string> names, rooms(kObjects, std::string(20, '?'));
    std::vector<forebay_piece> pieces(kObjects);
    std::vector<forebay_range> ranges(kObjects);
    for (int i = 0; i < kObjects; ++i) names.push_back("d/many/" + std::to_string(i));
    for (std::size_t i = 0; i < kObjects; ++i) {
      pieces[i] = {rooms[i].data(), rooms[i].size()};
      ranges[i].size = sizeof ranges[i];
      ranges[i].name = names[i].c_str();
      ranges[i].length = UINT64_MAX;
      ranges[i].pieces = &pieces[i];
      ranges[i].piece_count = 1;
    }
    ASSERT_EQ(forebay_read_batch(library, ranges.data(), kObjects, nullptr, &error), FOREBAY_OK) << error.message;
    for (std::size_t i = 0; i < kObjects; ++i)
      ASSERT_EQ(rooms[i].substr(0, ranges[i].got), "text " + std::to_string(i));
  };
  read();
  const auto cold = cellStatus();
  EXPECT_EQ(cold.origin_gets(), static_cast<std::uint64_t>(kObjects));
  EXPECT_EQ(cold.peer_bytes(), 0U);
  read();
  EXPECT_EQ(cellStatus().origin_bytes(), cold.origin_bytes());
}

TEST_F(DirectTest, readersGoOnWhenNodesDieAndComeBack) {
  const std::string text = randomText(40'000'000, 2);
  write("shard", text);
  startCell(4, "chunk_size = \"1MiB\"\n");
  connect({address(0), address(3)});
  forebay_object* const shard = open("d/shard");
  std::atomic<int> rounds{0};
  std::thread reader([&] {
    Random random(3);
    for (int i = 0; i < 60; ++i, ++rounds) {
      const std::uint64_t offset = random.below(text.size());
      const std::size_t length = std::min<std::size_t>(5'000'000, text.size() - offset);
      const auto got = read(shard, offset, length);
      if (!got)
        ADD_FAILURE() << got.error().text();
      else
        EXPECT_TRUE(*got == text.substr(offset, length));
    }
  });
  while (rounds < 10) std::this_thread::yield();
  stopNode(2);
  while (rounds < 20) std::this_thread::yield();
  stopNode(1);
  stopNode(3);
  while (rounds < 40) std::this_thread::yield();
  startNode(2);
  stopNode(0);
  reader.join();
  EXPECT_EQ(rounds, 60);
  EXPECT_EQ(cat("d/shard").size(), text.size());  // names, too
}

TEST_F(DirectTest, aCellThatGoesAwayAndComesBackIsAPause) {
  const std::string text = randomText(3'000'000, 4);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  connect({address(0)});
  forebay_object* const f = open("d/f");
  stopNode(0);
  std::thread starts([&] { startNode(0); });
  const auto got = read(f, 0, text.size());
  starts.join();
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_TRUE(*got == text);
}

TEST_F(DirectTest, aCellThatStaysAwayIsAnErrorWithAReasonByTheDeadline) {
  write("f", "text");
  startCell(2);
  connect({address(0)});
  forebay_object* const f = open("d/f");
  stopNode(0);
  stopNode(1);
  char room[4];
  std::uint64_t got = 0;
  forebay_call call = {};
  call.size = sizeof call;
  call.timeout_ms = 500;
  const forebay_code code = forebay_read(f, 0, room, 4, &got, &call, &error);
  EXPECT_TRUE(code == FOREBAY_UNAVAILABLE || code == FOREBAY_DEADLINE_EXCEEDED) << error.message;
  EXPECT_STRNE(error.message, "");
}

TEST_F(DirectTest, withoutAMemberThatAnswersItSaysWhichWereAsked) {
  EXPECT_EQ(tryConnect({"127.0.0.1:1", "127.0.0.1:2"}, 300), FOREBAY_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("127.0.0.1:1"), std::string::npos) << error.message;
  EXPECT_NE(std::string(error.message).find("127.0.0.1:2"), std::string::npos) << error.message;
  EXPECT_EQ(tryConnect({"not an address"}, 300), FOREBAY_INVALID_ARGUMENT);
  EXPECT_EQ(tryConnect(std::vector<std::string>(65, "127.0.0.1:1"), 300), FOREBAY_INVALID_ARGUMENT);
}

TEST_F(DirectTest, callsAreCancelledAndEndedByDisconnecting) {
  const std::string text = randomText(8'000'000, 5);
  write("f", text);
  startCell(3, "chunk_size = \"1MiB\"\n");
  connect({address(0)});
  forebay_object* const f = open("d/f");
  forebay_queue* queue = nullptr;
  ASSERT_EQ(forebay_queue_new(64, &queue, &error), FOREBAY_OK);
  forebay_call call = {};
  call.size = sizeof call;
  call.queue = queue;
  forebay_completion told = {};
  told.size = sizeof told;
  Random random(6);
  for (int i = 0; i < 15; ++i) {
    auto room = std::make_unique<std::string>(text.size(), '?');
    std::uint64_t got = 0;
    ASSERT_EQ(forebay_read(f, 0, room->data(), room->size(), &got, &call, &error), FOREBAY_OK);
    for (std::uint64_t n = random.below(5'000); n > 0; --n) std::this_thread::yield();
    forebay_cancel(library, call.id);
    while (forebay_drain(queue, &told, 1) == 0) std::this_thread::yield();
    if (told.code == FOREBAY_OK) {
      EXPECT_TRUE(*room == text);
    } else {
      EXPECT_EQ(told.code, FOREBAY_CANCELLED) << told.message;
    }
  }
  for (std::size_t i = 0; i < 3; ++i) stopNode(i);
  std::vector<std::string> rooms(16, std::string(100, '?'));
  std::uint64_t got[16] = {};
  for (std::size_t i = 0; i < 16; ++i)
    ASSERT_EQ(forebay_read(f, 0, rooms[i].data(), 100, &got[i], &call, &error), FOREBAY_OK);
  forebay_disconnect(std::exchange(library, nullptr));
  std::size_t ended = 0;
  for (; forebay_drain(queue, &told, 1) == 1; ++ended) EXPECT_EQ(told.code, FOREBAY_CANCELLED) << told.message;
  EXPECT_EQ(ended, 16U);
  EXPECT_EQ(forebay_queue_free(queue), FOREBAY_OK);
}

// The client has map 1 with two members; the cell goes on with map 2 and four.
TEST_F(DirectTest, aStaleMapIsReplacedOnTheWay) {
  const std::string text = randomText(30'000'000, 7);
  write("f", text);
  startCell(4, "chunk_size = \"1MiB\"\n");
  for (std::size_t i = 0; i < 4; ++i) stopNode(i);
  const auto whole = texts;
  const auto member = [](const std::string& line, const std::string& name) {
    return line.contains("\"" + name + "\"");
  };
  for (std::size_t i = 0; i < 2; ++i) {
    std::string part;
    for (std::size_t at = 0; at < whole[i].size();) {
      const std::size_t next = whole[i].find("[[", at + 1);
      const std::string block = whole[i].substr(at, next - at);
      const bool gone = block.starts_with("[[cell.member]]") && (member(block, "n2") || member(block, "n3"));
      if (!gone) part += block;
      at = std::min(next, whole[i].size());
    }
    texts[i] = part;
    startNode(i);
  }
  connect({address(0)});
  forebay_object* const f = open("d/f");
  ASSERT_TRUE(*read(f, 0, 2'000'000) == text.substr(0, 2'000'000));
  for (std::size_t i = 0; i < 2; ++i) stopNode(i);
  for (std::size_t i = 0; i < 4; ++i) {
    texts[i] = "[cell]\nmap_version = 2\n" + whole[i];
    startNode(i);
  }
  const auto before = cellStatus();
  ASSERT_TRUE(*read(f, 0, text.size()) == text);
  ASSERT_TRUE(cat("d/f") == text);
  const auto after = cellStatus();
  EXPECT_EQ(after.origin_bytes() - before.origin_bytes(), text.size());  // nobody filled what another owns
  stopNode(0);
  stopNode(1);
  EXPECT_TRUE(cat("d/f") == text);  // it knows the new members by now
}

// A member that answers every read with the right lengths, and bytes and checksums that don't belong together.
struct LyingNode : io::RequestHandler {
  void request(const io::Request&, Bytes, io::Reply reply) override { (void)reply.fail({Code::Unavailable, "no", 0}); }
  void read(const io::Request&, const wire::ReadView& read, io::Reply reply) override {
    ++reads;
    for (std::size_t i = 0; i < read.items(); ++i) {
      const core::ChunkRange range = read.item(i).range;
      const std::uint32_t length =
          std::min<std::uint32_t>(range.length, core::kGranule - range.offset % core::kGranule);
      const std::uint32_t wrong = 1;
      const Bytes bulk[] = {Bytes(lies).first(length)};
      const int flags = wire::kLastOfItem | (i + 1 == read.items() ? wire::kLastOfRequest : 0);
      (void)reply.data({.item = static_cast<std::uint16_t>(i),
                        .outcome = wire::ReadOutcome::Ok,
                        .flags = static_cast<std::uint8_t>(flags),
                        .offset = range.offset,
                        .length = length},
                       {.checksums = {&wrong, 1}, .peers = {}, .message = {}}, bulk);
    }
  }
  void newerMap(const io::RemoteInfo&, std::uint64_t) override {}
  std::vector<std::byte> lies = std::vector<std::byte>(core::kGranule, std::byte{7});
  std::atomic<int> reads{0};
};

TEST_F(DirectTest, aNodeThatLiesIsLeftAloneAndTheBytesComeFromAnother) {
  const std::string text = randomText(20'000'000, 8);
  write("f", text);
  startCell(3, "chunk_size = \"1MiB\"\n");
  connect({address(0)});
  forebay_object* const f = open("d/f");
  stopNode(1);
  LyingNode liar;
  io::TestLoop loop;
  std::unique_ptr<io::Server> server;
  loop.in([&] {
    io::ServerOptions options;
    options.connection.self = {.name = "n1", .peer = true, .node_id = core::nodeIdOf("n1")};
    server = std::make_unique<io::Server>(loop.reactor(), options, liar);
    ASSERT_TRUE(server->listen(*io::Address::parse(address(1))));
  });
  const auto got = read(f, 0, text.size());
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_TRUE(*got == text);
  EXPECT_GT(liar.reads, 0);
  const int reads = liar.reads;
  EXPECT_TRUE(*read(f, 0, text.size()) == text);
  EXPECT_LE(liar.reads - reads, 8);  // it rests; a probe now and then
  loop.in([&] { server.reset(); });
}

// A member that takes every read and says nothing.
struct SilentNode : io::RequestHandler {
  void request(const io::Request&, Bytes, io::Reply reply) override { (void)reply.fail({Code::Unavailable, "no", 0}); }
  void read(const io::Request&, const wire::ReadView&, io::Reply reply) override { kept.push_back(std::move(reply)); }
  void newerMap(const io::RemoteInfo&, std::uint64_t) override {}
  std::vector<io::Reply> kept;
};

TEST_F(DirectTest, aSlowOwnerIsLeftForACopyOfWhatItHas) {
  const std::string text = randomText(12'000'000, 9);
  write("f", text);
  startCell(3, "chunk_size = \"1MiB\"\nread_copies = 3\n");
  connect({address(0)});
  ASSERT_TRUE(cat("d/f") == text);
  const auto copied = [&] {
    const auto where =
        client::wait<client::Where>([&](auto done) { nodes[0].client->where("d", "f", deadline(), std::move(done)); });
    return where && std::ranges::all_of(where->chunks, [](const auto& chunk) { return chunk.holders.size() == 3; });
  };
  while (!copied()) std::this_thread::sleep_for(10ms);

  auto direct = client::DirectClient::connect(
      {.seeds = {*io::Address::parse(address(0))}, .name = "hedging", .connect_by = deadline()});
  ASSERT_TRUE(direct) << direct.error().text();
  const std::string path = "f";
  auto plan = client::wait<client::CellReader::Answers>(
      [&](auto done) { (*direct)->resolveAll("d", {&path, 1}, {}, deadline(), std::move(done), 0); });
  ASSERT_TRUE(plan && (*plan)[0]);
  EXPECT_EQ((*plan)[0]->plan.copies, 3U);
  stopNode(1);
  SilentNode silent;
  io::TestLoop loop;
  std::unique_ptr<io::Server> server;
  loop.in([&] {
    io::ServerOptions options;
    options.connection.self = {.name = "n1", .peer = true, .node_id = core::nodeIdOf("n1")};
    server = std::make_unique<io::Server>(loop.reactor(), options, silent);
    ASSERT_TRUE(server->listen(*io::Address::parse(address(1))));
  });
  std::string room(text.size(), '?');
  const auto got = client::wait<std::uint64_t>([&](auto done) {
    std::vector<client::BatchItem> items;
    items.push_back({.plan = std::make_shared<const core::Plan>((*plan)[0]->plan),
                     .offset = 0,
                     .length = text.size(),
                     .into = {std::as_writable_bytes(std::span(room))}});
    (*direct)->readBatch(
        std::move(items), false, deadline(),
        [done = std::move(done)](client::CellReader::BatchResults results) mutable { done(std::move(results[0])); }, 0);
  });
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_TRUE(room == text);
  EXPECT_EQ((*direct)->hedges(), 1U);
  direct->reset();
  loop.in([&] {
    silent.kept.clear();
    server.reset();
  });
}

TEST_F(DirectTest, whatASequentialReaderWillWantIsBroughtIntoTheCellAhead) {
  const std::string text = randomText(64'000'000, 10);
  write("f", text);
  startCell(2, "chunk_size = \"8MiB\"\n");
  connect({address(0)});
  forebay_object* const f = open("d/f");
  constexpr std::size_t kRead = 1'000'000;
  for (std::size_t at = 0; at < 16 * kRead; at += kRead) ASSERT_TRUE(*read(f, at, kRead) == text.substr(at, kRead));
  const auto ahead = [&] { return cellStatus().origin_bytes() >= 24 * kRead; };
  const TimePoint until = deadline();
  while (!ahead() && io::Reactor::now() < until) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(ahead()) << cellStatus().origin_bytes();
  EXPECT_LE(cellStatus().origin_bytes(), text.size());
}

}  // namespace
}  // namespace forebay
