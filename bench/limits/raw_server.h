// The other process of a limit: it has the bytes in its memory and sends them over TCP on loopback, or over Unix
// sockets.
//
// RawServer forks before this process has threads. The child fills its memory, says the checksum of each granule in
// memory that both share, and runs `serve` in a thread per connection until that returns. It lives until this process
// ends it, so that its CPU clock can be read.
#pragma once

#include <csignal>
#include <functional>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <span>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/checksum.h"
#include "limits/measure.h"

namespace forebay::bench {

constexpr std::size_t kGranule = 64 * kKiB;

inline void setNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// False: the other side has hung up.
inline bool receiveAll(int fd, void* to, std::size_t bytes) {
  auto* at = static_cast<std::byte*>(to);
  while (bytes > 0) {
    const ssize_t got = recv(fd, at, bytes, MSG_WAITALL);
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

// Calls `move` (sendmsg or recvmsg) until all of `pieces` went; it changes them.
template <class Move>
bool moveAll(std::span<iovec> pieces, Move&& move) {
  while (!pieces.empty()) {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = std::min<std::size_t>(pieces.size(), 512);
    const ssize_t moved = move(&message);
    if (moved <= 0) return false;
    auto left = static_cast<std::size_t>(moved);
    while (!pieces.empty() && left >= pieces.front().iov_len) {
      left -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (left > 0) {
      pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + left;
      pieces.front().iov_len -= left;
    }
  }
  return true;
}
inline bool sendAll(int fd, std::span<iovec> pieces) {
  return moveAll(pieces, [fd](msghdr* message) { return sendmsg(fd, message, MSG_NOSIGNAL); });
}
inline bool receiveAll(int fd, std::span<iovec> pieces) {
  return moveAll(pieces, [fd](msghdr* message) { return recvmsg(fd, message, MSG_WAITALL); });
}

class RawServer {
 public:
  // Runs in the child, a thread for each connection: its socket, its number, the memory, and its granules' checksums.
  using Serve =
      std::function<void(int fd, std::size_t index, const Memory& memory, std::span<const std::uint32_t> checksums)>;

  RawServer(std::size_t memory_bytes, std::size_t connections, const Serve& serve, bool unix_sockets = false)
      : granules_(memory_bytes / kGranule) {
    void* const shared =
        mmap(nullptr, granules_ * sizeof(std::uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no shared memory");
    checksums_ = static_cast<std::uint32_t*>(shared);
    const Address address(unix_sockets);
    child_ = fork();
    if (child_ < 0) die("can't fork");
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      setsid();  // the kernel shares CPUs between sessions, and nodes have their own
      runChild(address.listener, memory_bytes, connections, serve);
    }
    close(address.listener);
    for (std::size_t i = 0; i < connections; ++i) {
      const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(fd, address.get(), address.length) != 0) die("can't connect to the server");
      setNoDelay(fd);
      char ready = 0;
      if (!receiveAll(fd, &ready, 1)) die("the server ended");
      sockets_.push_back(fd);
    }
  }
  ~RawServer() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    for (const int fd : sockets_) close(fd);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  const std::vector<int>& sockets() const { return sockets_; }
  std::vector<pid_t> processes() const { return {child_}; }
  std::uint32_t checksum(std::uint64_t offset) const { return checksums_[offset / kGranule]; }

 private:
  // Where the child listens: a port, or a name in no file system, that the kernel chooses.
  struct Address {
    explicit Address(bool unix_sockets) {
      if (unix_sockets) {
        of_unix.sun_family = AF_UNIX;
        length = sizeof of_unix.sun_family;
      } else {
        of_port.sin_family = AF_INET;
        of_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        length = sizeof of_port;
      }
      listener = socket(family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (bind(listener, get(), length) != 0 || listen(listener, 64) != 0) die("can't listen");
      length = sizeof of_unix;
      if (getsockname(listener, get(), &length) != 0) die("a listener without an address");
    }
    sa_family_t family() const { return of_unix.sun_family; }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&of_unix); }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&of_unix); }

    union {
      sockaddr_un of_unix = {};
      sockaddr_in of_port;
    };
    socklen_t length = 0;
    int listener = -1;
  };

  [[noreturn]] void runChild(int listener, std::size_t memory_bytes, std::size_t connections, const Serve& serve) {
    const Memory memory(memory_bytes);
    auto* const words = reinterpret_cast<std::uint64_t*>(memory.data());
    for (std::size_t i = 0; i < memory_bytes / 8; ++i) words[i] = wordAt(i * 8);
    for (std::size_t i = 0; i < granules_; ++i) checksums_[i] = crc32c(memory.bytes(i * kGranule, kGranule));
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < connections; ++i) {
      const int fd = accept(listener, nullptr, nullptr);
      if (fd < 0) die("can't accept");
      setNoDelay(fd);
      if (send(fd, "r", 1, MSG_NOSIGNAL) != 1) die("can't send");
      threads.emplace_back([&, fd, i] { serve(fd, i, memory, {checksums_, granules_}); });
    }
    for (;;) pause();
  }

  const std::size_t granules_;
  std::uint32_t* checksums_ = nullptr;
  pid_t child_ = -1;
  std::vector<int> sockets_;
};

}  // namespace forebay::bench
