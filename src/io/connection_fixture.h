// Two sides of a connection in one loop, that keep what they hear, and sockets of a test's own.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "base/random.h"
#include "io/connection.h"
#include "io/listener.h"
#include "io/test_loop.h"
#include "wire/messages.h"

namespace forebay::io::test {

inline std::vector<std::byte> randomBytes(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

inline wire::FrameHeader headerOf(wire::MessageType type, std::uint64_t id) {
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

}  // namespace forebay::io::test
