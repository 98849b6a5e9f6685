// Accepts connections: bounded in number, and on Unix sockets from the right users only.
//
//   auto listener = TRY(Listener::create(reactor, TRY(Address::parse("127.0.0.1:0")), {}, [&](Accepted a) { ... }));
//
// A connection beyond `max_connections` is given with a refusal, to be told so; beyond 64 more of these it is closed at
// once. A connection of another user is closed and counted. Out of descriptors: accepting rests for 100 ms.
// Threading: the reactor's loop; `Accepted` may be handed to another one.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "io/connection.h"
#include "io/reactor.h"
#include "io/socket.h"

namespace forebay::io {

struct Accepted {
  Descriptor fd;
  PeerIdentity identity;
  std::shared_ptr<const void> ticket;  // counts as an open connection until it is let go
  std::optional<Error> refusal;        // set: there are too many
};

struct ListenerOptions {
  std::size_t max_connections = 4'096;
  int backlog = 4'096;              // a restart brings all clients back at once; net.core.somaxconn holds if it is less
  std::vector<uid_t> allowed_uids;  // on Unix sockets, beside our own user and root
  ConnectionMetrics* metrics = nullptr;  // may be null
};

class Listener {
 public:
  static Result<std::unique_ptr<Listener>> create(Reactor& reactor, const Address& address, ListenerOptions options,
                                                  std::function<void(Accepted)> accepted);
  ~Listener();  // removes a Unix socket's file
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const Address& address() const { return address_; }  // with the port that was chosen
  std::size_t connections() const { return open_->load(std::memory_order_relaxed); }

 private:
  Listener(Reactor& reactor, ListenerOptions options, std::function<void(Accepted)> accepted);
  void acceptSome();
  void rest();
  bool allowed(const PeerIdentity& identity) const;
  void refuse(const PeerIdentity& identity, std::string_view why);
  using Count = std::shared_ptr<std::atomic<std::size_t>>;
  static std::shared_ptr<const void> ticket(const Count& of);

  Reactor& reactor_;
  ListenerOptions options_;
  std::function<void(Accepted)> accepted_;
  Address address_;
  Descriptor fd_;
  TimerId rest_ = 0;
  std::uint64_t refused_ = 0;
  Count open_ = std::make_shared<std::atomic<std::size_t>>(0);
  Count refusing_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace forebay::io
