// Stream sockets for what speaks frames: addresses as people write them, descriptors that close themselves, and who is
// at the other end.
//
// Addresses: "host:port" ("[::1]:7411" for IPv6; port 0 to listen on any free one) and "unix:PATH". Opening one never
// blocks: a host that isn't numeric (or "localhost") has to go through resolve(), which asks the system's resolver on
// a WorkerPool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "io/descriptor.h"
#include "io/reactor.h"
#include "io/worker_pool.h"

namespace forebay::io {

struct Address {
  std::string host;  // TCP
  std::uint16_t port = 0;
  std::string path;  // of a Unix socket; empty: TCP

  // InvalidArgument says what is wrong with it. A Unix path is at most 107 bytes (the kernel's limit).
  static Result<Address> parse(std::string_view text);
  static Address unixPath(std::string path) { return {.host = {}, .port = 0, .path = std::move(path)}; }
  bool isUnix() const { return !path.empty(); }
  bool isNumeric() const;   // needs no resolver: a Unix path, an IP address or "localhost"
  bool isLoopback() const;  // reachable from this machine alone
  std::string text() const;
  bool operator==(const Address&) const = default;
};

// Who is at the other end, by the kernel's word.
struct PeerIdentity {
  bool is_unix = false;
  uid_t uid = 0;  // Unix sockets: of the process that connected (SO_PEERCRED)
  pid_t pid = 0;
  std::string address;  // TCP: "ip:port"
  std::string text() const;
};
PeerIdentity identify(int fd);
// A pidfd of the process that connected a Unix socket: readable once that process has ended, whoever else has inherited
// the socket. Unsupported: the kernel can't say, or the process isn't one that this one can see.
Result<Descriptor> processOf(int fd);

// Replaces a name by an IP address of it; numeric addresses come back as they are. `done` runs in the reactor's loop,
// never inside the call. Without a pool, a name is InvalidArgument.
void resolve(Reactor& reactor, WorkerPool* pool, const Address& address,
             std::move_only_function<void(Result<Address>)> done);

// A non-blocking socket that is connecting to a numeric address: writable once connected (or failed: connectError).
Result<Descriptor> startConnect(const Address& address);
Status connectError(int fd);

// A non-blocking listening socket. A Unix socket's file is for its owner alone (mode 0600); one that is there already
// is replaced if nobody listens on it, otherwise: Busy.
Result<Descriptor> startListen(const Address& address, int backlog);
// With the port that was chosen.
Result<Address> localAddress(int fd);

// TCP_NODELAY and keep-alive (a silent peer is gone after about 30 s); nothing for Unix sockets.
void tuneStream(int fd, bool is_unix);

}  // namespace forebay::io
