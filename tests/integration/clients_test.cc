// Very many clients of a cell of this process, and clients that end in the middle of everything.
#include <forebay/forebay.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include "cell_fixture.h"
#include "io/test_loop.h"
#include "reader/channel.h"

namespace forebay {
namespace {

class ClientsTest : public CellTest {
 protected:
  wire::pb::NodeStatus status(std::size_t node) {
    const auto said = client::wait<wire::pb::StatusReply>(
        [&](auto done) { nodes[node].client->status(false, deadline(), std::move(done)); });
    EXPECT_TRUE(said);
    return said ? said->nodes(0) : wire::pb::NodeStatus();
  }
  bool hasConnections(std::size_t node, std::uint64_t count) {
    const TimePoint until = io::Reactor::now() + 30s;
    while (io::Reactor::now() < until) {
      if (status(node).connections() == count) return true;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "node " << node << " has " << status(node).connections() << " connections, not " << count;
    return false;
  }
};

// One client of very many: a connection of its own, and one read on it.
struct OneOfMany : reader::ReadObserver {
  void room(std::uint16_t, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    target.add(std::as_writable_bytes(std::span(bytes)).subspan(offset - at, length));
  }
  void arrived(std::uint16_t, const wire::ReadDataView&) override {}
  void finished(std::uint16_t, const reader::ItemResult& result) override { outcome = result.outcome; }
  void done(Status ended) override {
    status = std::move(ended);
    ++*over;
  }

  std::unique_ptr<reader::Channel> channel;
  std::uint32_t at = 0;  // in the chunk
  std::string bytes;
  wire::ReadOutcome outcome = wire::ReadOutcome::Error;
  Status status;
  std::size_t* over = nullptr;
};

TEST_F(ClientsTest, aThousandAtOnceEachGetTheirBytes) {
  constexpr std::size_t kClients = 1'000;
  constexpr std::uint32_t kLength = 50'000;
  const std::string text = randomText(8'000'000, 1);
  write("f", text);
  startCell(2);
  // The nodes have met, both ways, before connections are counted.
  for (std::size_t i = 0; i < 32; ++i) {
    write("met/" + std::to_string(i), "x");
    ASSERT_EQ(*cat(i % 2, "met/" + std::to_string(i)), "x");
  }
  const auto plan = stat(0, "f")->plan;
  const auto before = status(0).connections();
  const auto origin_bytes = cellStatus().origin_bytes();
  io::TestLoop loop;
  std::deque<OneOfMany> clients(kClients);
  std::size_t over = 0;
  Random random(2);
  loop.in([&] {
    const wire::ReadObject object = wire::ReadObject::of(plan);
    for (OneOfMany& client : clients) {
      client.over = &over;
      client.at = static_cast<std::uint32_t>(random.below(text.size() - kLength));
      client.bytes.assign(kLength, '?');
      reader::ChannelOptions options;
      options.connection.self.name = "client";
      client.channel =
          std::make_unique<reader::Channel>(loop.reactor(), io::Address::unixPath(nodes[0].socket), options);
      const wire::ReadItem item{.object = 0, .flags = wire::kRelay, .range = {0, client.at, kLength}};
      client.channel->read({.objects = {&object, 1}, .items = {&item, 1}}, client, deadline());
    }
  });
  ASSERT_TRUE(loop.until([&] { return over == kClients; }));
  for (const OneOfMany& client : clients) {
    ASSERT_TRUE(client.status) << client.status.error().text();
    ASSERT_EQ(client.outcome, wire::ReadOutcome::Ok);
    ASSERT_TRUE(client.bytes == text.substr(client.at, kLength));
  }
  EXPECT_EQ(status(0).connections(), before + kClients);
  EXPECT_EQ(cellStatus().origin_bytes() - origin_bytes, text.size());
  loop.in([&] { clients.clear(); });
  EXPECT_TRUE(hasConnections(0, before));
}

// Far more clients than the node has places for: it never holds more, and says so to those who have to wait.
TEST_F(ClientsTest, clientsBeyondTheBoundWaitOrHearThatTheNodeIsBusy) {
  constexpr std::size_t kClients = 120, kPlaces = 32;
  const std::string text = randomText(500'000, 3);
  write("f", text);
  startCell(1);
  stopNode(0);
  texts[0].replace(texts[0].find("[node]\n"), 7, "[node]\nmax_connections = 32\n");
  startNode(0);
  ASSERT_TRUE(stat(0, "f"));  // has a place, and keeps it
  std::atomic<std::size_t> right{0}, refused{0}, over{0};
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < kClients; ++i)
    clients.emplace_back([&] {
      forebay_options options = {};
      options.size = sizeof options;
      const std::string address = "unix:" + nodes[0].socket;
      options.node = address.c_str();
      options.connect_timeout_ms = 5'000;
      forebay_error error = {};
      error.size = sizeof error;
      forebay_client* library = nullptr;
      forebay_code code = forebay_connect(&options, &library, &error);
      if (code == FOREBAY_OK) {
        forebay_object* object = nullptr;
        std::string room(text.size(), '?');
        std::uint64_t got = 0;
        code = forebay_open(library, "d/f", 0, &object, nullptr, &error);
        if (code == FOREBAY_OK) code = forebay_read(object, 0, room.data(), room.size(), &got, nullptr, &error);
        if (code == FOREBAY_OK && got == text.size() && room == text) ++right;
        forebay_close(object);
        forebay_disconnect(library);
      }
      const bool busy = code == FOREBAY_BUSY || code == FOREBAY_UNAVAILABLE || code == FOREBAY_DEADLINE_EXCEEDED;
      if (code != FOREBAY_OK) EXPECT_TRUE(busy) << error.message;
      if (busy) ++refused;
      ++over;
    });
  while (over < kClients) EXPECT_LE(status(0).connections(), kPlaces);
  for (auto& client : clients) client.join();
  EXPECT_EQ(right + refused, kClients);
  EXPECT_GT(right, 0U);
  EXPECT_TRUE(hasConnections(0, 1));
}

TEST_F(ClientsTest, aClientWithoutAPlaceIsToldThatTheNodeIsBusy) {
  write("f", "text");
  startCell(1);
  stopNode(0);
  texts[0].replace(texts[0].find("[node]\n"), 7, "[node]\nmax_connections = 8\n");
  startNode(0);
  std::vector<std::shared_ptr<NodeClient>> holders;
  const auto ask = [&](NodeClient& node, Duration patience) {
    return client::wait<wire::pb::StatusReply>(
        [&](auto done) { node.status(false, io::Reactor::now() + patience, std::move(done)); });
  };
  for (int i = 0; i < 8; ++i) {
    holders.push_back(*NodeClient::create(io::Address::unixPath(nodes[0].socket), "holder"));
    ASSERT_TRUE(ask(*holders.back(), 30s));
  }
  const auto one_more = *NodeClient::create(io::Address::unixPath(nodes[0].socket), "one more");
  const auto refused = ask(*one_more, 1s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_NE(refused.error().message.find("node.max_connections"), std::string::npos) << refused.error().text();
  holders.pop_back();
  EXPECT_TRUE(ask(*one_more, 30s)) << "a place became free";
}

// In a process of its own: reads, prefetches and lists, hundreds at a time, until it is killed.
[[noreturn]] void doEverything(const std::string& node, const std::string& direct, int told) {
  forebay_options options = {};
  options.size = sizeof options;
  const char* const member = direct.c_str();
  options.node = direct.empty() ? node.c_str() : nullptr;
  options.direct = &member;
  options.direct_count = direct.empty() ? 0 : 1;
  forebay_client* library = nullptr;
  forebay_queue* queue = nullptr;
  forebay_object* object = nullptr;
  if (forebay_connect(&options, &library, nullptr) != FOREBAY_OK) _exit(1);
  if (forebay_queue_new(512, &queue, nullptr) != FOREBAY_OK) _exit(1);
  if (forebay_open(library, "d/f", 0, &object, nullptr, nullptr) != FOREBAY_OK) _exit(1);
  std::vector<char> room(30'000'000);
  static std::uint64_t got[512];
  static forebay_page* pages[512];
  static forebay_range ranges[512];
  for (std::size_t i = 0; i < 512; ++i) {
    forebay_call call = {};
    call.size = sizeof call;
    call.queue = queue;
    ranges[i].size = sizeof ranges[i];
    ranges[i].name = "d/f";
    ranges[i].length = UINT64_MAX;
    if (i % 3 == 0) forebay_read(object, 0, room.data(), room.size(), &got[i], &call, nullptr);
    if (i % 3 == 1) forebay_prefetch(library, &ranges[i], 1, &call, nullptr);
    if (i % 3 == 2) forebay_list(library, "d", "", 0, &pages[i], &call, nullptr);
    if (i == 100 && ::write(told, "x", 1) != 1) _exit(1);
  }
  for (;;) pause();
}

// This program again, to be that process: a forked child of a program with threads may not do as much.
TEST(ClientProcess, doesEverythingWhereItIsToldTo) {
  const char* const node = std::getenv("FOREBAY_TEST_CLIENT_NODE");
  if (node == nullptr) return;
  doEverything(node, std::getenv("FOREBAY_TEST_CLIENT_DIRECT"), std::atoi(std::getenv("FOREBAY_TEST_CLIENT_TELLS")));
}
pid_t startClient(const std::string& node, const std::string& direct, int tells) {
  std::vector<std::string> variables = {"FOREBAY_TEST_CLIENT_NODE=" + node, "FOREBAY_TEST_CLIENT_DIRECT=" + direct,
                                        "FOREBAY_TEST_CLIENT_TELLS=" + std::to_string(tells)};
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=ClientProcess.*";
  char* const arguments[] = {program.data(), filter.data(), nullptr};
  pid_t child = 0;
  return posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environment.data()) == 0 ? child : -1;
}

TEST_F(ClientsTest, killedInTheMiddleOfEverythingTheyLeaveNothingBehind) {
  const std::string text = randomText(60'000'000, 4);
  write("f", text);
  startCell(2, "chunk_size = \"1MiB\"\n");
  ASSERT_TRUE(stat(0, "f"));
  ASSERT_TRUE(stat(1, "f"));
  ASSERT_EQ(read(1, stat(1, "f")->plan, 0, text.size())->size(), text.size());  // so that the nodes know each other
  ASSERT_EQ(read(0, stat(0, "f")->plan, 0, text.size())->size(), text.size());
  const std::uint64_t before[] = {status(0).connections(), status(1).connections()};
  for (int round = 0; round < 6; ++round) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const std::string direct = round % 2 == 0 ? "" : "127.0.0.1:" + std::to_string(ports[0]);
    const pid_t child = startClient("unix:" + nodes[0].socket, direct, told[1]);
    ASSERT_GT(child, 0);
    close(told[1]);
    pollfd wake{.fd = told[0], .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&wake, 1, 60'000), 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(told[0]);
  }
  EXPECT_TRUE(hasConnections(0, before[0]));
  EXPECT_TRUE(hasConnections(1, before[1]));
  // Nothing that they asked for holds the arena, a fetch or a place of a request: more than the arena holds goes
  // through.
  const std::string large = randomText(150'000'000, 5);
  write("large", large);
  for (std::size_t node = 0; node < 2; ++node) {
    const auto plan = stat(node, "large")->plan;
    for (std::uint64_t at = 0; at < large.size(); at += 10'000'000) {
      const auto got = read(node, plan, at, 10'000'000);
      ASSERT_TRUE(got) << got.error().text();
      ASSERT_TRUE(*got == large.substr(at, 10'000'000));
    }
  }
}

}  // namespace
}  // namespace forebay
