#include "io/memory_directory.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/time.h"

namespace forebay::io {
namespace {

constexpr Duration kChildPatience = 5s;  // a mount takes milliseconds

// What the child does, decided before the fork: after it, a child of a process with threads may only make system calls.
struct Orders {
  bool user_namespace;
  bool noswap;
  char size[32];
  char uid[16], gid[16];  // whose the directory is
  char uid_map[64];
  char gid_map[64];
};

enum class Step : std::int32_t { Done, Namespace, UserMap, Open, Configure, Mount, ReadOnly, Directory, Send };
struct Answer {
  Step step;
  std::int32_t error;
};

bool writeFile(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto length = static_cast<ssize_t>(::strlen(text));
  const bool written = ::write(fd, text, static_cast<std::size_t>(length)) == length;
  const int error = errno;
  ::close(fd);
  errno = error;
  return written;
}

Step enterNamespace(const Orders& orders) {
  if (::unshare(CLONE_NEWNS | (orders.user_namespace ? CLONE_NEWUSER : 0)) != 0) return Step::Namespace;
  if (!orders.user_namespace) {
    // What is mounted below must not reach the machine's own namespace.
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? Step::Done : Step::Namespace;
  }
  // Our own user alone is mapped, to itself: so the node may make files there from outside the namespace.
  if (!writeFile("/proc/self/setgroups", "deny") && errno != ENOENT) return Step::UserMap;
  if (!writeFile("/proc/self/uid_map", orders.uid_map)) return Step::UserMap;
  return writeFile("/proc/self/gid_map", orders.gid_map) ? Step::Done : Step::UserMap;
}

bool setString(int context, const char* key, const char* value) {
  return ::fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) == 0;
}

// A read-only mount of the same tmpfs. Kernels before 6.15 clone only what is attached: then it is attached, in this
// child's own namespace, for as long as the child lives.
int readOnlyClone(int mounted) {
  int clone = ::open_tree(mounted, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (clone < 0) {
    if (::move_mount(mounted, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return -1;
    clone = ::open_tree(mounted, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (clone < 0) return -1;
  }
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) return -1;
  return clone;
}

Step mountMemory(const Orders& orders, std::array<int, 2>& directories) {
  if (const Step step = enterNamespace(orders); step != Step::Done) return step;
  const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return Step::Open;
  if (!setString(context, "size", orders.size) || !setString(context, "mode", "0700")) return Step::Configure;
  if (!setString(context, "uid", orders.uid) || !setString(context, "gid", orders.gid)) return Step::Configure;
  setString(context, "huge", "within_size");  // a kernel without 2 MiB pages refuses it, and gives 4 KiB ones
  if (orders.noswap && ::fsconfig(context, FSCONFIG_SET_FLAG, "noswap", nullptr, 0) != 0) return Step::Configure;
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return Step::Configure;
  const int mounted = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (mounted < 0) return Step::Mount;
  const int clone = readOnlyClone(mounted);
  if (clone < 0) return Step::ReadOnly;
  directories[0] = ::openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  directories[1] = ::openat(clone, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return directories[0] < 0 || directories[1] < 0 ? Step::Directory : Step::Done;
}

constexpr std::size_t kControlBytes = CMSG_SPACE(2 * sizeof(int));

[[noreturn]] void child(const Orders& orders, int socket) {
  std::array<int, 2> directories = {-1, -1};
  Answer answer{};
  answer.step = mountMemory(orders, directories);
  answer.error = answer.step == Step::Done ? 0 : errno;
  iovec body{&answer, sizeof answer};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  if (answer.step == Step::Done) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof directories);
    ::memcpy(CMSG_DATA(header), directories.data(), sizeof directories);
  }
  const bool sent = ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof answer);
  ::_exit(sent ? 0 : 1);
}

struct Reply {
  Answer answer{Step::Send, EPIPE};  // what a child that died says
  Descriptor directory, read_only;
};

Reply receive(int socket) {
  Reply reply;
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, static_cast<int>(toMs(kChildPatience)));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) {
    reply.answer = {Step::Send, ETIMEDOUT};
    return reply;
  }
  iovec body{&reply.answer, sizeof reply.answer};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof reply.answer)) {
    reply.answer = {Step::Send, got < 0 ? errno : EPIPE};
    return reply;
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(2 * sizeof(int)))
    return reply;
  std::array<int, 2> directories{};
  std::memcpy(directories.data(), CMSG_DATA(header), sizeof directories);
  reply.directory = Descriptor(directories[0]);
  reply.read_only = Descriptor(directories[1]);
  return reply;
}

Result<Reply> ask(const Orders& orders) {
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return failErrno("socketpair to mount the arena's tmpfs", errno);
  const Descriptor ours(sockets[0]);
  Descriptor theirs(sockets[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return failErrno("fork to mount the arena's tmpfs", errno);
  if (pid == 0) child(orders, theirs.get());
  theirs.reset();  // so that a child which died ends our wait
  Reply reply = receive(ours.get());
  if (reply.answer.error == ETIMEDOUT) ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return reply;
}

const char* stepName(Step step) {
  switch (step) {
    case Step::Done:
      return "done";
    case Step::Namespace:
      return "make a namespace";
    case Step::UserMap:
      return "map the user into a namespace";
    case Step::Open:
      return "fsopen tmpfs";
    case Step::Configure:
      return "configure the tmpfs";
    case Step::Mount:
      return "mount the tmpfs";
    case Step::ReadOnly:
      return "make its read-only mount";
    case Step::Directory:
      return "open its directory";
    case Step::Send:
      return "hear from the child that mounts";
  }
  return "";
}

Orders ordersFor(const MemoryOrder& order, bool noswap) {
  Orders made{};
  made.user_namespace = order.user_namespace;
  made.noswap = noswap;
  fmt::format_to_n(made.size, sizeof made.size - 1, "{}", order.size_bytes);
  fmt::format_to_n(made.uid, sizeof made.uid - 1, "{}", order.uid);
  fmt::format_to_n(made.gid, sizeof made.gid - 1, "{}", order.gid);
  fmt::format_to_n(made.uid_map, sizeof made.uid_map - 1, "{0} {0} 1\n", ::geteuid());
  fmt::format_to_n(made.gid_map, sizeof made.gid_map - 1, "{0} {0} 1\n", ::getegid());
  return made;
}

}  // namespace

Result<MemoryDirectory> mountMemoryDirectory(const MemoryOrder& order) {
  if (order.size_bytes == 0)
    return fail(Code::InvalidArgument, "a tmpfs of 0 bytes would have no bound: give it a size");
  Answer refusal{};
  for (const bool noswap : {true, false}) {
    Reply reply = TRY(ask(ordersFor(order, noswap)));
    if (reply.answer.step == Step::Done && reply.directory.valid())
      return MemoryDirectory{std::move(reply.directory), std::move(reply.read_only),
                             fmt::format("a tmpfs of its own{}{}", noswap ? ", never swapped" : ", may be swapped",
                                         order.user_namespace ? " (user namespace)" : "")};
    refusal = reply.answer;
    if (refusal.step != Step::Configure) break;  // noswap: not before 6.3, nor in user namespaces
  }
  return fail(Code::Unsupported, fmt::format("{}: {}", stepName(refusal.step), ::strerrordesc_np(refusal.error)));
}

}  // namespace forebay::io
