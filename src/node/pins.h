// What clients of this machine have in view: bytes of the arena's slabs that they read in place, and that stay as they
// are until the client says that it needs them no more, or its process has ended.
//
//   if (pins.mayMap(request.from)) ... tell it places ...
//   if (pins.pin(client, id, std::move(view), reply)) ... tell it that they are pinned ...
//
// A pin outlives its connection, because its reader does: a client that lost its connection still reads what it has
// pinned, and unpins over the next one. So the node watches the process itself (a pidfd): a child that has inherited
// the socket keeps nothing alive, and neither does a pid that another process has got since.
//
// Bounds: all pins together hold at most node.max_pinned of the arena (Arena::pinForClient), kMost of them, of
// kMostClients connections. Beyond a bound the client gets a copy. Threading: the node's loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "io/server.h"
#include "store/arena.h"
#include "wire/messages.h"

namespace forebay::node {

class Pins {
 public:
  static constexpr std::size_t kMost = 65'536, kMostClients = 1'024;

  // A client's connection.
  struct Who {
    std::uint64_t session = 0;
    pid_t pid = 0;
    std::string name;
    static Who of(const io::RemoteInfo& from) {
      return {.session = from.session, .pid = from.identity.pid, .name = from.name};
    }
  };

  Pins(io::Reactor& reactor, store::Arena& arena) : reactor_(reactor), arena_(arena) {}
  ~Pins();
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;

  // Whether it may have the slabs as a file: they hold what every mount of this node has read, so a program of this
  // machine, and of the node's own user or root, whom no mode would keep out.
  bool mayMap(const io::RemoteInfo& from) const;

  // What the view shows stays until unpin(), or the end of the process at the other end of `reply`. An error: the view
  // is let go.
  Status pin(const Who& who, std::uint64_t id, store::View view, const io::Reply& reply);
  // Pins of that process, by whichever of its connections. Others are ignored.
  void unpin(const Who& who, std::span<const std::uint64_t> ids);
  void left(const io::RemoteInfo& from);

  void report(wire::pb::NodeStatus& status) const;
  std::size_t count() const { return count_; }

 private:
  struct Pin {
    std::shared_ptr<const void> held;
    std::uint32_t bytes = 0;
    TimePoint since;
  };
  struct Client {
    Who who;
    io::Descriptor process;
    bool connected = true, dead = false;
    std::uint64_t bytes = 0;
    std::map<std::uint64_t, Pin> pins;
  };
  using Clients = std::map<std::uint64_t, Client>;  // by session

  Result<Client*> clientOf(const Who& who, const io::Reply& reply);
  bool drop(Client& client, std::uint64_t id);
  void dropAll(Client& client);
  void ended(std::uint64_t session);
  Clients::iterator erase(Clients::iterator client);

  io::Reactor& reactor_;
  store::Arena& arena_;
  Clients clients_;
  std::size_t count_ = 0;
};

}  // namespace forebay::node
