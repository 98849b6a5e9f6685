// For tests: an HTTP server on loopback that does what a function says, also what no server should: lie about lengths,
// cut, hang, reset. One thread per connection, real sockets, TLS if given a context.
//
//   ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
//     reply.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
//   });
//   ... server.url() + "/x" ...
#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/result.h"
#include "io/reactor.h"

namespace forebay::io {

struct ScriptedRequest {
  std::string method, target;                  // target: path and query, as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // as long as Content-Length says
  std::size_t number = 0;                      // of this request at this server, from 0
  std::size_t connection = 0;                  // which connection brought it, from 0
  std::size_t on_connection = 0;               // which request of its connection, from 0

  std::string header(const std::string& name) const {
    const auto known = headers.find(name);
    return known == headers.end() ? "" : known->second;
  }
};

class ScriptedReply {
 public:
  ScriptedReply(int fd, SSL* tls, const std::atomic<bool>& stopping) : fd_(fd), tls_(tls), stopping_(stopping) {}

  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = tls_ != nullptr ? SSL_write(tls_, text.data(), static_cast<int>(text.size()))
                                        : ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // A whole answer with its true length.
  bool answer(int status, std::string_view headers, std::string_view body, bool head = false) {
    return send(fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers,
                            head ? std::string_view{} : body));
  }
  void cut() { close_ = true; }
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_ = true;
  }
  // Says nothing more until the other side goes away or the server ends.
  void hang() {
    char byte;
    while (!stopping_) {
      pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 20) > 0 && recv(fd_, &byte, 1, MSG_PEEK) <= 0) break;
    }
    close_ = true;
  }
  std::string cipher() const { return tls_ != nullptr ? SSL_get_cipher_name(tls_) : ""; }
  bool stopping() const { return stopping_; }
  bool closed() const { return close_; }

 private:
  int fd_;
  SSL* tls_;
  const std::atomic<bool>& stopping_;
  bool close_ = false;
};

class ScriptedServer {
 public:
  using Script = std::function<void(const ScriptedRequest&, ScriptedReply&)>;

  explicit ScriptedServer(Script script, SSL_CTX* tls = nullptr) : script_(std::move(script)), tls_(tls) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 64) != 0) std::abort();
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { acceptAll(); });
  }
  ~ScriptedServer() {
    stopping_ = true;
    acceptor_.join();
    for (auto& thread : connections_) thread.join();
    close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }
  std::string authority() const { return fmt::format("127.0.0.1:{}", port_); }
  std::string url() const { return (tls_ != nullptr ? "https://" : "http://") + authority(); }
  std::vector<ScriptedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::size_t connections() const { return accepted_; }

 private:
  bool readable(int fd) const {
    while (!stopping_) {
      pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 20) > 0) return true;
    }
    return false;
  }
  void acceptAll() {
    while (readable(listener_)) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) connections_.emplace_back([this, fd, index = accepted_++] { serve(fd, index); });
    }
  }
  void serve(int fd, std::size_t connection) {
    SSL* tls = nullptr;
    if (tls_ != nullptr) {
      tls = SSL_new(tls_);
      SSL_set_fd(tls, fd);
      if (SSL_accept(tls) != 1) return finish(fd, tls);
    }
    std::string buffer;
    for (std::size_t on_connection = 0;; ++on_connection) {
      ScriptedRequest request{.connection = connection, .on_connection = on_connection};
      if (!readRequest(fd, tls, buffer, request)) break;
      {
        const std::lock_guard lock(mutex_);
        request.number = requests_.size();
        requests_.push_back(request);
      }
      ScriptedReply reply(fd, tls, stopping_);
      script_(request, reply);
      if (reply.closed()) break;
    }
    finish(fd, tls);
  }
  static void finish(int fd, SSL* tls) {
    SSL_free(tls);
    close(fd);
  }
  bool readRequest(int fd, SSL* tls, std::string& buffer, ScriptedRequest& request) const {
    std::size_t end;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos)
      if (!readMore(fd, tls, buffer)) return false;
    parse(std::string_view(buffer).substr(0, end), request);
    buffer.erase(0, end + 4);
    const std::size_t length = std::strtoull(request.header("content-length").c_str(), nullptr, 10);
    while (buffer.size() < length)
      if (!readMore(fd, tls, buffer)) return false;
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    return true;
  }
  bool readMore(int fd, SSL* tls, std::string& buffer) const {
    char piece[4096];
    if ((tls == nullptr || SSL_pending(tls) == 0) && !readable(fd)) return false;
    const ssize_t n = tls != nullptr ? SSL_read(tls, piece, sizeof piece) : recv(fd, piece, sizeof piece, 0);
    if (n <= 0) return false;
    buffer.append(piece, static_cast<std::size_t>(n));
    return true;
  }
  static void parse(std::string_view head, ScriptedRequest& request) {
    bool first = true;
    while (!head.empty()) {
      const auto line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(std::min(head.size(), line.size() + 2));
      if (first) {
        request.method = line.substr(0, line.find(' '));
        request.target = line.substr(line.find(' ') + 1, line.rfind(' ') - line.find(' ') - 1);
        first = false;
        continue;
      }
      std::string name(line.substr(0, line.find(':')));
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = line.substr(std::min(line.size(), name.size() + 2));
    }
  }

  const Script script_;
  SSL_CTX* const tls_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> accepted_{0};
  mutable std::mutex mutex_;
  std::vector<ScriptedRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

// A reactor that runs in a thread of its own; in() runs something there and waits for it.
class LoopThread {
 public:
  LoopThread() : reactor_(std::move(*Reactor::create())), thread_([this] { reactor_->run(); }) {}
  ~LoopThread() {
    reactor_->stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  Reactor& reactor() { return *reactor_; }

  void in(Task work) {
    std::mutex mutex;
    std::condition_variable done;
    bool finished = false;
    reactor_->post([&, task = std::move(work)]() mutable {
      task();
      const std::lock_guard lock(mutex);
      finished = true;
      done.notify_one();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return finished; });
  }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::thread thread_;
};

// A value that the loop gives and the test waits for: at most a minute.
template <class T>
class Awaited {
 public:
  void give(T value) {
    const std::lock_guard lock(mutex_);
    value_.emplace(std::move(value));
    there_.notify_all();
  }
  T wait() {
    std::unique_lock lock(mutex_);
    if (!there_.wait_for(lock, std::chrono::minutes(1), [&] { return value_.has_value(); })) std::abort();
    return std::move(*value_);
  }
  bool there() const {
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable there_;
  std::optional<T> value_;
};

}  // namespace forebay::io
