// A cell of nodes in this process, on real sockets, arenas and a directory as origin.
#pragma once

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

namespace fs = std::filesystem;
using client::Attributes;
using client::DirectoryPage;
using client::NodeClient;

inline std::string randomText(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return text;
}

// Below those that the kernel gives to connections: one of them would take it before the node listens.
inline std::uint16_t freePort() {
  static std::atomic<unsigned> next = static_cast<unsigned>(getpid()) * 64;
  for (;;) {
    const auto port = static_cast<std::uint16_t>(12'000 + next++ % 20'000);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return port;
  }
}

struct Running {
  std::unique_ptr<node::Node> node;
  std::thread thread;
  std::shared_ptr<NodeClient> client;
  std::string socket;
};

class CellTest : public testing::Test {
 protected:
  // These tests count what came from where: a node that a busy machine keeps waiting mustn't be taken for a dead one.
  static constexpr const char* kPatience = "peer_silence = \"15s\"\n";

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
                      "\"\nmemory = \"192MiB\"\n" + kPatience + members + "[[mount]]\nname = \"d\"\nurl = \"file://" +
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
      nodes[i].client->read(std::make_shared<const core::Plan>(plan), offset, std::as_writable_bytes(std::span(text)),
                            deadline(), std::move(done));
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

  // Of all nodes together: one that counts for the whole node.
  std::uint64_t counted(const char* counter) {
    std::uint64_t sum = 0;
    for (auto& running : nodes)
      if (running.node) sum += running.node->metrics().counter(counter, "").value();
    return sum;
  }

  fs::path dir;
  std::vector<std::uint16_t> ports;
  std::vector<std::string> texts;
  std::deque<Running> nodes;  // running threads refer to them
};

}  // namespace forebay
