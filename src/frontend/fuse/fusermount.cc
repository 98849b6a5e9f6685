#include "frontend/fuse/fusermount.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "frontend/fuse/protocol.h"

namespace forebay::fuse {
namespace {

constexpr int kFusermountSocket = 3;  // fusermount3's descriptor, which _FUSE_COMMFD names
constexpr std::size_t kMaxComplaint = 2048;
constexpr Duration kFusermountPatience = 20s;

struct Ended {
  int status = 0;         // its exit status; 128 + signal if a signal ended it
  std::string complaint;  // what it wrote to stderr
};

class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

// What it writes until it ends; one that neither ends nor writes is killed.
std::string readComplaint(int fd, pid_t pid) {
  std::string text;
  std::array<char, 512> piece;
  for (;;) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(toMs(kFusermountPatience)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      ::kill(pid, SIGKILL);
      return text + "(it did not end)";
    }
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (text.size() < kMaxComplaint) text.append(piece.data(), static_cast<std::size_t>(n));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Runs it to its end. `socket`, if not -1, becomes its descriptor 3.
Result<Ended> runFusermount(const Options& options, std::vector<std::string> arguments, int socket) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failErrno("pipe", errno);
  Descriptor read_end(pipe[0]), write_end(pipe[1]);

  SpawnSettings settings;
  ::posix_spawn_file_actions_adddup2(&settings.actions, write_end.get(), STDERR_FILENO);
  if (socket >= 0) ::posix_spawn_file_actions_adddup2(&settings.actions, socket, kFusermountSocket);

  arguments.insert(arguments.begin(), options.fusermount);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string comm = fmt::format("_FUSE_COMMFD={}", kFusermountSocket);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  if (socket >= 0) environment.push_back(comm.data());
  environment.push_back(nullptr);

  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, options.fusermount.c_str(), &settings.actions, &settings.attributes,
                                   argv.data(), environment.data());
  if (error == ENOENT || error == EACCES)  // EACCES also where a directory of PATH may not be searched
    return fail(Code::Unsupported,
                fmt::format("{} can't be run ({}), which mounts for users who aren't root: install the fuse3 package",
                            options.fusermount, std::strerror(error)));
  if (error != 0) return failErrno(fmt::format("start {}", options.fusermount), error);
  write_end.reset();

  Ended ended;
  ended.complaint = readComplaint(read_end.get(), pid);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ended;
}

// In its list of options a comma ends one.
std::string escapeCommas(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ',' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

Descriptor receiveDescriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n <= 0) return {};
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (head == nullptr || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
      head->cmsg_len != CMSG_LEN(sizeof(int)))
    return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return Descriptor(fd);
}

}  // namespace

Result<Descriptor> mountByFusermount(const Options& options) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return failErrno("socketpair", errno);
  Descriptor ours(pair[0]), theirs(pair[1]);
  const std::string list = fmt::format("ro,nosuid,nodev,default_permissions,max_read={},subtype=forebay,fsname={}{}",
                                       kMaxRead, escapeCommas(options.name), options.allow_other ? ",allow_other" : "");
  const Ended ended = TRY(runFusermount(options, {"-o", list, "--", options.mount_point}, theirs.get()));
  // It sends the descriptor before it ends, so what it sent is here.
  Descriptor device = receiveDescriptor(ours.get());
  if (ended.status != 0 || !device)
    return fail(Code::PermissionDenied,
                fmt::format("{} could not mount {} on {}: {}", options.fusermount, options.name, options.mount_point,
                            ended.complaint.empty() ? fmt::format("exit status {}", ended.status) : ended.complaint));
  return device;
}

Status unmountByFusermount(const Options& options, bool lazily) {
  std::vector<std::string> arguments = {"-u"};
  if (lazily) arguments.emplace_back("-z");
  arguments.insert(arguments.end(), {"--", options.mount_point});
  const Ended ended = TRY(runFusermount(options, std::move(arguments), -1));
  if (ended.status == 0) return {};
  const Code code = ended.complaint.contains("busy") ? Code::Busy : Code::IoError;
  return fail(code, fmt::format("unmount {}: {}", options.mount_point, ended.complaint));
}

}  // namespace forebay::fuse
