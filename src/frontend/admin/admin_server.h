// A node's page for those who run it, over HTTP:
//
//   /metrics   Prometheus text           /healthz  200 as long as the loop turns
//   /status    JSON                      /readyz   200, or 503 with the reason
//
// Everything else is 404, every method but GET 405. One request per connection. Nothing here changes anything, nothing
// needs credentials, and nothing secret is shown; but names of mounts are, so it listens on loopback unless its
// configuration says otherwise (node/config.h refuses other addresses without allow_insecure).
//
// Bounds: `max_connections` at once (more are closed at once), heads of 8 KiB, `timeout` for a whole exchange.
// Threading: the reactor's loop, its callbacks too; they must not block. Make it and destroy it there, or while the
// loop isn't running.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "io/listener.h"
#include "io/reactor.h"

namespace forebay::admin {

struct AdminOptions {
  std::string address = "127.0.0.1:7441";       // port 0: any free one
  std::function<std::string()> not_ready = {};  // why the node isn't ready; empty text: it is
  std::function<std::string()> status = {};     // JSON
  std::size_t max_connections = 64;
  Duration timeout = 10s;
};

class AdminServer {
 public:
  static Result<std::unique_ptr<AdminServer>> start(io::Reactor& reactor, const Metrics& metrics, AdminOptions options);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // "host:port" with the port that was chosen.
  std::string address() const { return listener_->address().text(); }
  std::size_t connections() const { return connections_.size(); }

 private:
  class Connection;
  AdminServer(io::Reactor& reactor, const Metrics& metrics, AdminOptions options)
      : reactor_(reactor), metrics_(metrics), options_(std::move(options)) {}
  void accepted(io::Accepted accepted);
  std::string answer(std::string_view method, std::string_view path) const;
  void close(int fd);

  io::Reactor& reactor_;
  const Metrics& metrics_;
  const AdminOptions options_;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;  // by descriptor
  std::unique_ptr<io::Listener> listener_;
};

}  // namespace forebay::admin
