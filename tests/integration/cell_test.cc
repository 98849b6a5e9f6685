// A cell of nodes in one process, with a real client: bytes are right, filled once, and survive the loss of nodes.
#include <arpa/inet.h>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/random.h"
#include "client/node_client.h"
#include "node/mount_request.h"
#include "node/node.h"
#include "origin/origin_url.h"

namespace forebay {
namespace {

namespace fs = std::filesystem;
using client::Attributes;
using client::DirectoryPage;
using client::NodeClient;

std::string randomText(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return text;
}

std::uint16_t freePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

struct Running {
  std::unique_ptr<node::Node> node;
  std::thread thread;
  std::shared_ptr<NodeClient> client;
  std::string socket;
};

class CellTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "forebay-cell-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir = pattern;
    fs::create_directory(dir / "data");
  }
  void TearDown() override {
    for (std::size_t i = 0; i < nodes.size(); ++i) stopNode(i);
    fs::remove_all(dir);
  }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((dir / "data" / path).parent_path());
    std::ofstream(dir / "data" / path, std::ios::binary) << text;
  }

  void startCell(std::size_t n, const std::string& mount_extra = "") {
    std::string members;
    for (std::size_t i = 0; i < n; ++i) ports.push_back(freePort());
    for (std::size_t i = 0; n > 1 && i < n; ++i)
      members += "[[cell.member]]\nname = \"n" + std::to_string(i) +
                 "\"\naddress = \"127.0.0.1:" + std::to_string(ports[i]) + "\"\n";
    for (std::size_t i = 0; i < n; ++i) {
      const std::string name = "n" + std::to_string(i);
      fs::create_directory(dir / name);
      fs::permissions(dir / name, fs::perms::owner_all);
      texts.push_back("[node]\nname = \"" + name + "\"\nlisten = \"127.0.0.1:" + std::to_string(ports[i]) +
                      "\"\nsocket = \"" + (dir / name / "sock").string() + "\"\nrun_dir = \"" + (dir / name).string() +
                      "\"\nmemory = \"192MiB\"\n" + members + "[[mount]]\nname = \"d\"\nurl = \"file://" +
                      (dir / "data").string() + "\"\nsecret = \"0123456789abcdef0123\"\n" + mount_extra);
      nodes.emplace_back();
      startNode(i);
    }
  }
  void startNode(std::size_t i) {
    auto config = node::parseNodeConfig(texts[i], "test.toml", {});
    ASSERT_TRUE(config) << config.error().text();
    Running& running = nodes[i];
    running.socket = config->node.socket;
    auto node = node::Node::create(std::move(config->node));
    ASSERT_TRUE(node) << node.error().text();
    running.node = std::move(*node);
    running.thread = std::thread([&running] { running.node->run(); });
    running.client = *NodeClient::create(io::Address::unixPath(running.socket), "test");
  }
  void stopNode(std::size_t i) {
    Running& running = nodes[i];
    running.client.reset();
    if (!running.node) return;
    running.node->stop();
    running.thread.join();
    running.node.reset();
  }

  TimePoint deadline() { return io::Reactor::now() + 30s; }
  Result<Attributes> stat(std::size_t i, const std::string& path, client::ResolveOptions options = {}) {
    return client::wait<Attributes>(
        [&](auto done) { nodes[i].client->resolve("d", path, options, deadline(), std::move(done)); });
  }
  Result<DirectoryPage> list(std::size_t i, const std::string& path, std::string cursor = "",
                             client::ListOptions options = {}) {
    return client::wait<DirectoryPage>(
        [&](auto done) { nodes[i].client->list("d", path, cursor, options, deadline(), std::move(done)); });
  }
  Result<std::string> read(std::size_t i, const core::Plan& plan, std::uint64_t offset, std::size_t length) {
    std::string text(length, '?');
    const auto n = client::wait<std::size_t>([&](auto done) {
      nodes[i].client->read(plan, offset, std::as_writable_bytes(std::span(text)), deadline(), std::move(done));
    });
    if (!n) return fail(n.error());
    text.resize(*n);
    return text;
  }
  Result<std::string> cat(std::size_t i, const std::string& path) {
    const auto attributes = stat(i, path);
    if (!attributes) return fail(attributes.error());
    return read(i, attributes->plan, 0, attributes->plan.size + 10);
  }
  wire::pb::MountStatus cellStatus() {
    wire::pb::MountStatus sum;
    for (auto& running : nodes) {
      if (!running.node) continue;
      const auto status = client::wait<wire::pb::StatusReply>(
          [&](auto done) { running.client->status(false, deadline(), std::move(done)); });
      EXPECT_TRUE(status);
      const auto& mount = status->nodes(0).mounts(0);
      sum.set_origin_bytes(sum.origin_bytes() + mount.origin_bytes());
      sum.set_origin_gets(sum.origin_gets() + mount.origin_gets());
      sum.set_origin_heads(sum.origin_heads() + mount.origin_heads());
      sum.set_origin_lists(sum.origin_lists() + mount.origin_lists());
      sum.set_peer_bytes(sum.peer_bytes() + mount.peer_bytes());
      sum.set_direct_bytes(sum.direct_bytes() + mount.direct_bytes());
    }
    return sum;
  }

  fs::path dir;
  std::vector<std::uint16_t> ports;
  std::vector<std::string> texts;
  std::deque<Running> nodes;  // running threads refer to them
};

TEST_F(CellTest, oneNodeServesADirectory) {
  const std::string big = randomText(20'000'001, 1);
  write("big", big);
  write("a b/\xc3\xa4%", "small");
  write("empty", "");
  startCell(1);
  EXPECT_EQ(*cat(0, "big"), big);
  EXPECT_EQ(*cat(0, "a b/\xc3\xa4%"), "small");
  EXPECT_EQ(*cat(0, "empty"), "");
  EXPECT_TRUE(stat(0, "a b")->directory);
  EXPECT_EQ(stat(0, "nothing").error().code, Code::NotFound);
  EXPECT_EQ(cellStatus().origin_bytes(), big.size() + 5);
  const auto page = list(0, "");
  ASSERT_TRUE(page) << page.error().text();
  ASSERT_EQ(page->entries.size(), 3U);
  EXPECT_EQ(page->entries[1].name, "big");
  EXPECT_EQ(page->entries[1].size, big.size());
  EXPECT_EQ(list(0, "none").error().code, Code::NotFound);
}

TEST_F(CellTest, rangesOfEveryAlignmentAreRight) {
  const std::string text = randomText(3'333'333, 2);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  const auto plan = stat(0, "f")->plan;
  EXPECT_EQ(plan.chunkSize(), kMiB);
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t offset = random.below(text.size() + 100);
    const std::size_t length = random.below(i % 2 == 0 ? 5'000 : 2'500'000);
    const std::string expected = offset < text.size() ? text.substr(offset, length) : "";
    const auto got = read(0, plan, offset, length);
    ASSERT_TRUE(got) << got.error().text();
    ASSERT_EQ(*got == expected, true) << offset << "+" << length;
  }
}

TEST_F(CellTest, manyReadersOverThreeNodesCostTheOriginEachByteOnce) {
  const std::string text = randomText(50'000'000, 4);
  write("shard", text);
  startCell(3);
  const auto plan = stat(0, "shard")->plan;
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 12; ++r)
    readers.emplace_back([&, r] {
      const auto got = read(static_cast<std::size_t>(r % 3), plan, 0, text.size());
      if (!got || *got != text) {
        ++wrong;
        if (!got) ADD_FAILURE() << got.error().text();
      }
    });
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  const auto status = cellStatus();
  EXPECT_EQ(status.origin_bytes(), text.size());
  EXPECT_EQ(status.direct_bytes(), status.peer_bytes());
  EXPECT_GT(status.peer_bytes(), text.size());
}

TEST_F(CellTest, aListingsPlansCostNoRequestPerName) {
  for (int i = 0; i < 300; ++i) write("many/f" + std::to_string(i), "text " + std::to_string(i));
  startCell(3);
  std::size_t names = 0;
  std::string cursor;
  do {
    const auto page = list(1, "many", cursor, {.max = 100, .raw = false});
    ASSERT_TRUE(page) << page.error().text();
    names += page->entries.size();
    cursor = page->next_cursor;
  } while (!cursor.empty());
  EXPECT_EQ(names, 300U);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(*cat(1, "many/f" + std::to_string(i)), "text " + std::to_string(i));
  EXPECT_EQ(cellStatus().origin_heads(), 0U);
  EXPECT_EQ(cellStatus().origin_gets(), 300U);
}

TEST_F(CellTest, readersGoOnWhenNodesDie) {
  const std::string text = randomText(60'000'000, 5);
  write("shard", text);
  startCell(4, "chunk_size = \"1MiB\"\n");
  const auto plan = stat(0, "shard")->plan;
  std::atomic<int> rounds{0};
  std::thread reader([&] {
    Random random(6);
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t offset = random.below(text.size());
      const std::size_t length = std::min<std::size_t>(3'000'000, text.size() - offset);
      const auto got = read(0, plan, offset, length);
      if (!got)
        ADD_FAILURE() << got.error().text();
      else
        EXPECT_TRUE(*got == text.substr(offset, length));
      ++rounds;
    }
  });
  while (rounds < 10) std::this_thread::yield();
  stopNode(2);
  while (rounds < 20) std::this_thread::yield();
  stopNode(1);
  stopNode(3);
  reader.join();
  EXPECT_EQ(rounds, 60);
}

TEST_F(CellTest, aChangedObjectIsGoneForOldPlansAndNewForNewOnes) {
  const std::string before = randomText(5'000'000, 7), after = randomText(6'000'000, 8);
  write("f", before);
  startCell(2, "consistency = \"open\"\nchunk_size = \"1MiB\"\n");
  const auto old = stat(0, "f")->plan;
  ASSERT_EQ(*read(0, old, 0, kMiB), before.substr(0, kMiB));
  write("f", after);
  EXPECT_EQ(*read(0, old, 0, kMiB), before.substr(0, kMiB));  // cached: the old version, whole
  const auto gone = read(0, old, 4 * kMiB, 1000);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::Gone);
  const auto fresh = stat(0, "f", {.object_only = false, .revalidate = true});
  ASSERT_TRUE(fresh);
  EXPECT_NE(fresh->plan.version, old.version);
  EXPECT_TRUE(*read(1, fresh->plan, 0, after.size()) == after);
}

TEST_F(CellTest, anObjectLargerThanTheArenaIsReadWhole) {
  const std::string text = randomText(300'000'000, 9);
  write("large", text);
  startCell(1);
  const auto plan = stat(0, "large")->plan;
  for (std::uint64_t at = 0; at < text.size(); at += 10'000'000) {
    const auto got = read(0, plan, at, 10'000'000);
    ASSERT_TRUE(got) << at << ": " << got.error().text();
    ASSERT_TRUE(*got == text.substr(at, 10'000'000)) << at;
  }
}

TEST_F(CellTest, aMountIsAddedOnceHoweverManyAskForIt) {
  startCell(1);
  write("sub/f", "text");
  node::MountConfig mount;
  mount.name = "added";
  mount.url = *origin::parseUrl("file://" + (dir / "data/sub").string());
  std::vector<std::thread> commands;
  for (int i = 0; i < 4; ++i)
    commands.emplace_back([&] {
      const auto name = client::wait<std::string>(
          [&](auto done) { nodes[0].client->addMount(node::toRequest(mount), deadline(), std::move(done)); });
      EXPECT_TRUE(name) << name.error().text();
    });
  for (auto& command : commands) command.join();
  const auto f = client::wait<Attributes>(
      [&](auto done) { nodes[0].client->resolve("added", "f", {}, deadline(), std::move(done)); });
  ASSERT_TRUE(f) << f.error().text();
  EXPECT_EQ(*read(0, f->plan, 0, 10), "text");
}

TEST_F(CellTest, aMountWhoseOriginDoesntAnswerGoesAgainAndCanBeMadeAnew) {
  startCell(1);
  write("sub/f", "text");
  node::MountConfig mount;
  mount.name = "added";
  mount.url = *origin::parseUrl("s3://bucket");
  mount.origin.endpoint = "http://127.0.0.1:1";
  mount.origin.region = "test";
  mount.origin.anonymous = true;
  const auto add = [&] {
    return client::wait<std::string>(
        [&](auto done) { nodes[0].client->addMount(node::toRequest(mount), deadline(), std::move(done)); });
  };
  ASSERT_FALSE(add());
  const auto resolve = [&] {
    return client::wait<Attributes>(
        [&](auto done) { nodes[0].client->resolve("added", "f", {}, deadline(), std::move(done)); });
  };
  EXPECT_EQ(resolve().error().code, Code::NotFound);
  mount.url = *origin::parseUrl("file://" + (dir / "data/sub").string());
  const auto name = add();
  ASSERT_TRUE(name) << name.error().text();
  EXPECT_TRUE(resolve());
}

TEST_F(CellTest, whatIsntThereIsNotFoundOnEveryNode) {
  startCell(3);
  for (int round = 0; round < 2; ++round)
    for (std::size_t i = 0; i < 3; ++i)
      for (const char* path : {"none", "no/ne", "f"}) EXPECT_EQ(stat(i, path).error().code, Code::NotFound);
  EXPECT_LT(cellStatus().origin_heads(), 18U);  // believed, here and of an owner
}

TEST_F(CellTest, aForgedPlanIsRefused) {
  write("f", "text");
  startCell(1);
  auto plan = stat(0, "f")->plan;
  plan.path = "../secret";
  EXPECT_EQ(read(0, plan, 0, 4).error().code, Code::PermissionDenied);
}

}  // namespace
}  // namespace forebay
