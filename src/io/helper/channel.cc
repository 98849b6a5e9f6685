#include "io/helper/channel.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "io/socket.h"

namespace forebay::io::helper {
namespace {

constexpr int kMaxAttempts = 50;
constexpr Duration kBetweenAttempts = 10ms;
constexpr std::size_t kControlBytes = CMSG_SPACE(kMaxDescriptors * sizeof(int));

std::vector<Descriptor> takeDescriptors(msghdr& message) {
  std::vector<Descriptor> taken;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      taken.emplace_back(fd);
    }
  }
  return taken;
}

// EINTR begins anew: signals are blocked where this is called, or end the process.
int waitFor(int socket, Duration patience) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, static_cast<int>(toMs(patience)));
  } while (ready < 0 && errno == EINTR);
  return ready;
}

ssize_t receiveOnce(int socket, msghdr& message) {
  ssize_t size = 0;
  // An end that refuses before it has read what was sent to it gives ECONNRESET first, and its last message then.
  for (int attempt = 0; attempt < 2; ++attempt) {
    do {
      size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size >= 0 || errno != ECONNRESET) break;
  }
  return size;
}

}  // namespace

Result<Received> receive(int socket, Duration patience) {
  if (waitFor(socket, patience) <= 0)
    return fail(Code::DeadlineExceeded, fmt::format("nothing came within {} ms", toMs(patience)));
  Received received;
  iovec body{received.message.bytes.data(), received.message.bytes.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = receiveOnce(socket, message);
  if (size < 0) return fail(Code::Gone, fmt::format("receive: {}", ::strerrordesc_np(errno)));
  received.descriptors = takeDescriptors(message);
  if (size == 0) return fail(Code::Gone, "the other end has closed the connection");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(Code::Corrupt,
                fmt::format("more than {} bytes or {} descriptors in a message", kMaxMessage, kMaxDescriptors));
  received.message.size = static_cast<std::size_t>(size);
  return received;
}

Status send(int socket, const Message& message, std::span<const int> descriptors) {
  iovec body{const_cast<std::byte*>(message.bytes.data()), message.size};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_iov = &body;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  return fail(Code::Gone, fmt::format("send: {}", ::strerrordesc_np(errno)));
}

Result<Answer> ask(int socket, const Request& request, std::span<const int> descriptors, Duration patience,
                   int* refused_with) {
  const Status sent = send(socket, encode(request), descriptors);
  // A helper that refuses a connection says why before it closes it, so there may be an answer all the same.
  auto received = receive(socket, sent ? patience : Duration{0});
  if (!received) return fail(sent ? received.error() : sent.error());
  Answer answer{.reply = TRY(parseReply(received->message.view(), request.operation, received->descriptors.size())),
                .descriptors = std::move(received->descriptors)};
  if (answer.reply.code == Code::Ok) return answer;
  if (refused_with != nullptr) *refused_with = answer.reply.error;
  return fail(answer.reply.code, std::move(answer.reply.text));
}

Result<Descriptor> connectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Code::InvalidArgument, fmt::format("the helper's socket {:?}: a path of 1 to {} bytes is needed", path,
                                                   sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return failErrno("socket", errno);
  int error = 0;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    error = ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    if (error != EAGAIN) break;
    std::this_thread::sleep_for(kBetweenAttempts);  // many connect at once: it takes them one after the other
  }
  if (error != 0) {
    const Code code = error == ENOENT || error == ENOTDIR ? Code::NotFound
                      : error == EACCES                   ? Code::PermissionDenied
                                                          : Code::Unavailable;
    return fail(code, fmt::format("no helper answers at {}: {}", path, ::strerrordesc_np(error)));
  }
  const PeerIdentity other = identify(made.get());
  if (!other.is_unix || (other.uid != 0 && other.uid != ::geteuid()))
    return fail(
        Code::PermissionDenied,
        fmt::format("what listens at {} belongs to uid {}, not to root: it isn't asked for anything", path, other.uid));
  return made;
}

}  // namespace forebay::io::helper
