#include "io/socket.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace forebay::io {
namespace {

// The kernel's form of an address.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Result<SocketAddress> toKernel(const Address& address) {
  SocketAddress out;
  if (address.isUnix()) {
    auto* to = reinterpret_cast<sockaddr_un*>(&out.storage);
    if (address.path.size() >= sizeof to->sun_path)
      return fail(Code::InvalidArgument, fmt::format("{}: a Unix socket's path has at most {} bytes", address.text(),
                                                     sizeof to->sun_path - 1));
    to->sun_family = AF_UNIX;
    std::memcpy(to->sun_path, address.path.data(), address.path.size());
    out.length = sizeof(sockaddr_un);
    return out;
  }
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    out.length = sizeof *v4;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    out.length = sizeof *v6;
  } else {
    return fail(Code::InvalidArgument, fmt::format("{}: not an IP address", address.text()));
  }
  return out;
}

Address fromKernel(const SocketAddress& from) {
  char host[INET6_ADDRSTRLEN] = {};
  if (from.family() == AF_UNIX) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&from.storage);
    return Address::unixPath(std::string(un->sun_path, strnlen(un->sun_path, sizeof un->sun_path)));
  }
  if (from.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&from.storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    return {.host = host, .port = ntohs(v6->sin6_port), .path = {}};
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&from.storage);
  inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
  return {.host = host, .port = ntohs(v4->sin_port), .path = {}};
}

Result<Descriptor> makeSocket(const SocketAddress& address) {
  Descriptor fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failErrno("socket", errno);
  return fd;
}

// Removes the file of a Unix socket that nobody listens on any more.
Status removeStaleSocket(const Address& address, const SocketAddress& kernel) {
  struct stat info;
  if (lstat(address.path.c_str(), &info) != 0) return {};  // nothing there; another error shows at bind
  if (!S_ISSOCK(info.st_mode))
    return fail(Code::InvalidArgument, fmt::format("{}: there is a file that is no socket: remove it or choose another "
                                                   "path",
                                                   address.path));
  const Descriptor probe = TRY(makeSocket(kernel));
  if (connect(probe.get(), kernel.get(), kernel.length) == 0 || errno == EAGAIN)
    return fail(Code::Busy, fmt::format("{}: another process listens there", address.path));
  if (errno != ECONNREFUSED) return failErrno(fmt::format("connect {}", address.path), errno);
  if (unlink(address.path.c_str()) != 0 && errno != ENOENT)
    return failErrno(fmt::format("remove the old socket {}", address.path), errno);
  return {};
}

Status bindTo(int fd, const Address& address, const SocketAddress& kernel) {
  if (!address.isUnix()) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, kernel.get(), kernel.length) != 0)
      return failErrno(fmt::format("listen on {}", address.text()), errno);
    return {};
  }
  TRY(removeStaleSocket(address, kernel));
  // The file's mode follows the socket's own at bind: no moment at which others could connect.
  if (fchmod(fd, 0600) != 0) return failErrno("fchmod of a socket", errno);
  if (bind(fd, kernel.get(), kernel.length) != 0) return failErrno(fmt::format("listen on {}", address.text()), errno);
  if (chmod(address.path.c_str(), 0600) != 0) return failErrno(fmt::format("chmod {}", address.path), errno);
  return {};
}

Result<Address> lookUp(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int rc = getaddrinfo(address.host.c_str(), nullptr, &hints, &found);
  if (rc != 0) {
    const Code code = rc == EAI_AGAIN ? Code::Unavailable : Code::NotFound;
    return fail(code, fmt::format("look up {}: {}", address.host, gai_strerror(rc)));
  }
  SocketAddress kernel;
  kernel.length = found->ai_addrlen;
  std::memcpy(&kernel.storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  Address out = fromKernel(kernel);
  out.port = address.port;
  return out;
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    Address address = unixPath(std::string(text.substr(kUnix.size())));
    if (address.path.empty() || address.path.contains('\0'))
      return fail(Code::InvalidArgument, fmt::format("\"{}\": a path must follow \"unix:\"", text));
    TRY(toKernel(address));
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(Code::InvalidArgument, fmt::format("\"{}\" is no address: write host:port, or unix:PATH", text));
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size())
    return fail(Code::InvalidArgument, fmt::format("\"{}\": a port is a number from 0 to 65535", text));
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.contains(':'))
    return fail(Code::InvalidArgument, fmt::format("\"{}\": write an IPv6 address in brackets: [::1]:7411", text));
  if (host.empty() || host.size() > 253 || host.contains('\0'))
    return fail(Code::InvalidArgument, fmt::format("\"{}\": not a host's name", text));
  return Address{.host = std::string(host), .port = port, .path = {}};
}

bool Address::isNumeric() const {
  return toKernel(*this).has_value();
}

bool Address::isLoopback() const {
  if (isUnix()) return true;
  const auto kernel = toKernel(*this);
  if (!kernel) return false;
  if (kernel->family() == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&kernel->storage)->sin6_addr);
  return (ntohl(reinterpret_cast<const sockaddr_in*>(&kernel->storage)->sin_addr.s_addr) >> 24) == 127;
}

std::string Address::text() const {
  if (isUnix()) return "unix:" + path;
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string PeerIdentity::text() const {
  return is_unix ? fmt::format("pid {} of user {}", pid, uid) : address;
}

PeerIdentity identify(int fd) {
  PeerIdentity who;
  SocketAddress from;
  from.length = sizeof from.storage;
  if (getpeername(fd, from.get(), &from.length) != 0) return who;
  who.is_unix = from.family() == AF_UNIX;
  if (!who.is_unix) {
    who.address = fromKernel(from).text();
    return who;
  }
  ucred credentials{};
  socklen_t length = sizeof credentials;
  // Nobody's uid if the kernel doesn't say: an unknown peer must not pass for root.
  who.uid = static_cast<uid_t>(-1);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
    who.uid = credentials.uid;
    who.pid = credentials.pid;
  }
  return who;
}

Result<Descriptor> processOf(int fd) {
#ifdef SO_PEERPIDFD
  constexpr int kPeerProcess = SO_PEERPIDFD;
#else
  constexpr int kPeerProcess = 77;  // Linux 6.5
#endif
  int process = -1;
  socklen_t length = sizeof process;
  if (getsockopt(fd, SOL_SOCKET, kPeerProcess, &process, &length) == 0 && process >= 0) return Descriptor(process);
  // Where the kernel knows the option, no process means that it has ended: its number may be another's by now.
  const bool ended = errno != ENOPROTOOPT;
  const PeerIdentity who = identify(fd);
  if (ended || !who.is_unix || who.pid <= 0)
    return fail(Code::Unsupported, "the kernel doesn't say whose socket it is");
  process = static_cast<int>(syscall(SYS_pidfd_open, who.pid, 0));
  if (process < 0) return fail(Code::Unsupported, "the kernel doesn't tell when the client's process ends");
  return Descriptor(process);
}

void resolve(Reactor& reactor, WorkerPool* pool, const Address& address,
             std::move_only_function<void(Result<Address>)> done) {
  const auto later = [&](Result<Address> result) {
    reactor.post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
  };
  if (address.isNumeric()) return later(address);
  if (pool == nullptr)
    return later(fail(Code::InvalidArgument, fmt::format("{}: an IP address is needed here", address.text())));
  struct LookUp {
    std::move_only_function<void(Result<Address>)> done;
    Result<Address> result;
  };
  auto shared = std::make_shared<LookUp>(std::move(done), fail(Code::Cancelled, "not looked up"));
  const Status queued = pool->submit([shared, address] { shared->result = lookUp(address); },
                                     [shared] { shared->done(std::move(shared->result)); });
  if (queued) return;
  reactor.post([shared, error = queued.error()]() mutable { shared->done(fail(std::move(error))); });
}

Result<Descriptor> startConnect(const Address& address) {
  const SocketAddress kernel = TRY(toKernel(address));
  Descriptor fd = TRY(makeSocket(kernel));
  if (connect(fd.get(), kernel.get(), kernel.length) != 0 && errno != EINPROGRESS) {
    // A Unix socket whose backlog is full says EAGAIN: nothing would wake us.
    if (errno == EAGAIN)
      return fail(Code::Unavailable, fmt::format("connect to {}: it has no room for more connections", address.text()));
    if (errno == ENOENT) return fail(Code::Unavailable, fmt::format("connect to {}: no such socket", address.text()));
    return failErrno(fmt::format("connect to {}", address.text()), errno);
  }
  return fd;
}

Status connectError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == 0) return {};
  return fail(Code::Unavailable, fmt::format("connect: {}", std::strerror(error)));
}

Result<Descriptor> startListen(const Address& address, int backlog) {
  const SocketAddress kernel = TRY(toKernel(address));
  Descriptor fd = TRY(makeSocket(kernel));
  TRY(bindTo(fd.get(), address, kernel));
  if (listen(fd.get(), backlog) != 0) return failErrno(fmt::format("listen on {}", address.text()), errno);
  return fd;
}

Result<Address> localAddress(int fd) {
  SocketAddress at;
  at.length = sizeof at.storage;
  if (getsockname(fd, at.get(), &at.length) != 0) return failErrno("getsockname", errno);
  return fromKernel(at);
}

void tuneStream(int fd, bool is_unix) {
  if (is_unix) return;
  const auto set = [fd](int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);  // frames are written whole: waiting for more only adds latency
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

}  // namespace forebay::io
