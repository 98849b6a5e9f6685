#include "frontend/admin/admin_server.h"

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/admin/http_request.h"

namespace forebay::admin {
namespace {

std::string_view reason(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

std::string response(unsigned status, std::string_view type, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}\r\n{}",
      status, reason(status), type, body.size(), status == 405 ? "Allow: GET\r\n" : "", body);
}

}  // namespace

// One exchange: read a head, write an answer, wait until the other end has read it, close.
class AdminServer::Connection {
 public:
  Connection(AdminServer& server, io::Accepted accepted) : server_(server), accepted_(std::move(accepted)) {}
  ~Connection() {
    server_.reactor_.cancel(timer_);
    server_.reactor_.unwatch(fd());
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return accepted_.fd.get(); }

  Status start(std::weak_ptr<Connection> self) {
    const int fd_number = fd();
    AdminServer& server = server_;
    timer_ = server_.reactor_.after(server_.options_.timeout, [&server, fd_number] { server.close(fd_number); });
    // The callback may close the connection: it holds it while it runs.
    return server_.reactor_.watch(fd(), EPOLLIN, [self = std::move(self)](std::uint32_t) {
      if (const auto held = self.lock()) held->step();
    });
  }

 private:
  enum class Phase { Reading, Writing, Draining };

  void step() {
    if (phase_ == Phase::Reading) read();
    if (phase_ == Phase::Writing) write();
    if (phase_ == Phase::Draining) drain();
  }

  void end() { server_.close(fd()); }

  // -1: nothing now; 0: the other end is done, or broken.
  ssize_t receive(std::array<char, 4096>& buffer) const {
    const ssize_t n = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    return n < 0 ? 0 : n;
  }

  void read() {
    std::array<char, 4096> buffer;
    const ssize_t n = receive(buffer);
    if (n < 0) return;
    if (n == 0) return end();
    const auto state = request_.feed({buffer.data(), static_cast<std::size_t>(n)});
    if (state == HttpRequest::State::More) return;
    out_ = state == HttpRequest::State::Refused
               ? response(request_.refusal(), kPlain, fmt::format("{}\n", reason(request_.refusal())))
               : server_.answer(request_.method(), request_.path());
    phase_ = Phase::Writing;
    (void)server_.reactor_.modify(fd(), EPOLLOUT);
  }

  void write() {
    while (written_ < out_.size()) {
      const ssize_t n = ::send(fd(), out_.data() + written_, out_.size() - written_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        phase_ = Phase::Reading;  // so that step() does nothing more with a connection that is gone
        return end();
      }
      written_ += static_cast<std::size_t>(n);
    }
    ::shutdown(fd(), SHUT_WR);
    phase_ = Phase::Draining;
    (void)server_.reactor_.modify(fd(), EPOLLIN);
  }

  // To close while unread bytes wait would reset the connection, and the answer might be lost with it. Bounded by the
  // exchange's timer.
  void drain() {
    std::array<char, 4096> buffer;
    if (receive(buffer) == 0) end();
  }

  AdminServer& server_;
  io::Accepted accepted_;
  io::TimerId timer_ = 0;
  Phase phase_ = Phase::Reading;
  HttpRequest request_;
  std::string out_;
  std::size_t written_ = 0;
};

Result<std::unique_ptr<AdminServer>> AdminServer::start(io::Reactor& reactor, const Metrics& metrics,
                                                        AdminOptions options) {
  auto address = io::Address::parse(options.address);
  if (!address) return fail(address.error().code, fmt::format("admin address: {}", address.error().message));
  const std::size_t max_connections = options.max_connections;
  std::unique_ptr<AdminServer> server(new AdminServer(reactor, metrics, std::move(options)));
  auto listener =
      io::Listener::create(reactor, *address, {.max_connections = max_connections, .backlog = 64},
                           [raw = server.get()](io::Accepted accepted) { raw->accepted(std::move(accepted)); });
  if (!listener) {
    return fail(listener.error().code,
                fmt::format("admin address {} (node.admin): {}", address->text(), listener.error().message));
  }
  server->listener_ = std::move(*listener);
  return server;
}

AdminServer::~AdminServer() = default;

void AdminServer::accepted(io::Accepted accepted) {
  const int fd = accepted.fd.get();
  auto connection = std::make_shared<Connection>(*this, std::move(accepted));
  if (connection->start(connection)) connections_.emplace(fd, std::move(connection));
}

void AdminServer::close(int fd) {
  connections_.erase(fd);
}

std::string AdminServer::answer(std::string_view method, std::string_view path) const {
  const bool known = path == "/metrics" || path == "/healthz" || path == "/readyz" || path == "/status";
  if (!known) return response(404, kPlain, "there are /metrics, /healthz, /readyz and /status\n");
  if (method != "GET") return response(405, kPlain, "only GET\n");
  if (path == "/metrics") return response(200, "text/plain; version=0.0.4; charset=utf-8", metrics_.prometheus());
  if (path == "/status" && options_.status) return response(200, "application/json", options_.status() + "\n");
  const std::string reason_not = path == "/readyz" && options_.not_ready ? options_.not_ready() : "";
  if (!reason_not.empty()) return response(503, kPlain, reason_not + "\n");
  return response(200, kPlain, "ok\n");
}

}  // namespace forebay::admin
