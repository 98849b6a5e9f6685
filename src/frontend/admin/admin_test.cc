#include <arpa/inet.h>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "frontend/admin/admin_server.h"
#include "frontend/admin/http_request.h"

namespace forebay::admin {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using State = HttpRequest::State;

TEST(HttpRequest, isCompleteWithItsEmptyLine) {
  HttpRequest request;
  EXPECT_EQ(request.feed("GET /metrics?x=1 HT"), State::More);
  EXPECT_EQ(request.feed("TP/1.1\r\nHost: a\r\n"), State::More);
  EXPECT_EQ(request.feed("\r\n"), State::Complete);
  EXPECT_EQ(request.method(), "GET");
  EXPECT_EQ(request.path(), "/metrics");
}

TEST(HttpRequest, comesInAnyPieces) {
  const std::string whole = "GET /healthz HTTP/1.0\r\nUser-Agent: x\r\n\r\n";
  HttpRequest request;
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) ASSERT_EQ(request.feed(whole.substr(i, 1)), State::More) << i;
  EXPECT_EQ(request.feed("\n"), State::Complete);
  EXPECT_EQ(request.path(), "/healthz");
}

TEST(HttpRequest, refusesWhatItCannotTake) {
  const std::pair<std::string, unsigned> bad[] = {
      {"nonsense\r\n\r\n", 400},
      {std::string("\0\xff\x16\x03\x01\x02\x00\x01", 8) + "\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413},
      {"POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nX: " + std::string(9000, 'x'), 431},
      {std::string(9000, 'G'), 431},
  };
  for (const auto& [text, status] : bad) {
    HttpRequest request;
    EXPECT_EQ(request.feed(text), State::Refused) << text.substr(0, 40);
    EXPECT_EQ(request.refusal(), status) << text.substr(0, 40);
    EXPECT_EQ(request.feed("GET / HTTP/1.1\r\n\r\n"), State::Refused) << "it stays refused";
  }
}

class Admin : public testing::Test {
 protected:
  void start(AdminOptions options) {
    options.address = "127.0.0.1:0";
    reactor_ = io::Reactor::create().value();
    auto server = AdminServer::start(*reactor_, metrics_, std::move(options));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    const std::string address = server_->address();
    port_ = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    loop_ = std::thread([this] { reactor_->run(); });
  }
  ~Admin() override {
    if (!loop_.joinable()) return;
    reactor_->stop();
    loop_.join();
    server_.reset();
  }

  int connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  static std::string readAll(int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<std::size_t>(n));
    ::close(fd);
    return text;
  }
  std::string ask(const std::string& request) const {
    const int fd = connect();
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return readAll(fd);
  }
  std::string get(const std::string& path) const { return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }

  Metrics metrics_;
  std::unique_ptr<io::Reactor> reactor_;
  std::unique_ptr<AdminServer> server_;
  std::uint16_t port_ = 0;
  std::thread loop_;
};

TEST_F(Admin, servesMetricsHealthReadinessAndStatus) {
  metrics_.counter("forebay_reads_total", "Reads.").add(3);
  start({.not_ready = [] { return std::string(); }, .status = [] { return std::string(R"({"nodes":[]})"); }});
  EXPECT_THAT(get("/metrics"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("text/plain; version=0.0.4"),
                                     HasSubstr("\r\n\r\n# HELP"), HasSubstr("forebay_reads_total 3\n")));
  EXPECT_THAT(get("/healthz"), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\nok\n")));
  EXPECT_THAT(get("/readyz?verbose"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(get("/status"), AllOf(HasSubstr("application/json"), EndsWith("{\"nodes\":[]}\n")));
}

TEST_F(Admin, saysWhyItIsNotReadyWhileItIsHealthy) {
  start({.not_ready = [] { return std::string("origin az://a/b: no answer"); }});
  EXPECT_THAT(get("/readyz"), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("origin az://a/b: no answer\n")));
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Admin, refusesEverythingElse) {
  start({});
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(get("/metrics/x"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("DELETE /status HTTP/1.1\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET\r\n")));
  EXPECT_THAT(ask("\x16\x03\x01 hello\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 ")) << "and goes on";
}

TEST_F(Admin, anAnswerLargerThanTheSocketsBuffersArrivesWhole) {
  const std::string large(8 * 1024 * 1024, 'x');
  start({.status = [&large] { return large; }});
  const std::string answer = get("/status");
  EXPECT_GT(answer.size(), large.size());
  EXPECT_THAT(answer, EndsWith("xxx\n"));
}

TEST_F(Admin, aClientThatSaysNothingIsClosedAfterTheTimeout) {
  start({.timeout = 50ms});
  EXPECT_EQ(readAll(connect()), "");
}

TEST_F(Admin, connectionsAreBounded) {
  start({.max_connections = 2});
  const int first = connect(), second = connect();
  const std::string head = "GET /healthz HT";
  ASSERT_GT(::send(first, head.data(), head.size(), 0), 0);
  ASSERT_GT(::send(second, head.data(), head.size(), 0), 0);
  EXPECT_EQ(readAll(connect()), "") << "the third is closed at once";
  ::close(first);
  // The place is free once the loop has seen that the first one is gone.
  std::string answer;
  while (answer.empty()) answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  ::close(second);
}

TEST(AdminStart, anAddressInUseIsToldWithItsKey) {
  const auto reactor = io::Reactor::create().value();
  const Metrics metrics;
  const auto first = AdminServer::start(*reactor, metrics, {.address = "127.0.0.1:0"}).value();
  const auto second = AdminServer::start(*reactor, metrics, {.address = first->address()});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, AllOf(HasSubstr(first->address()), HasSubstr("node.admin")));
}

}  // namespace
}  // namespace forebay::admin
