// forebay unmount [--lazy] DIR
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/mount_table.h"
#include "cli/units.h"
#include "io/privileged.h"

namespace forebay::cli {
namespace {

// A dead mount can't be resolved (ENOTCONN), so only what is above it is.
std::string absolute(std::string directory) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  const std::size_t slash = directory.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : directory.substr(0, slash);
  const std::string last = slash == std::string::npos ? directory : directory.substr(slash + 1);
  std::array<char, PATH_MAX> resolved{};
  if (last.empty() || last == "." || last == ".." || ::realpath(parent.c_str(), resolved.data()) == nullptr) {
    return ::realpath(directory.c_str(), resolved.data()) != nullptr ? resolved.data() : directory;
  }
  const std::string above = resolved.data();
  return above == "/" ? "/" + last : fmt::format("{}/{}", above, last);
}

Status byPrivileged(const UnmountOptions& options, const std::string& directory) {
  const Status done = io::makePrivileged({.helper = options.helper})->unmountFuse(directory, options.lazy);
  if (done || done.error().code != Code::Busy) return done;
  return fail(Code::Busy,
              fmt::format("unmount {0}: somebody still uses it (fuser -vm {0} shows who); --lazy unmounts it "
                          "as soon as they are done",
                          directory));
}

// For users without a helper FUSE's setuid program does it; it tells what is wrong on stderr itself.
Status byFusermount(const std::string& directory, bool lazy) {
  std::string program = "fusermount3", flag = lazy ? "-uz" : "-u", end = "--", where = directory;
  std::array<char*, 5> arguments = {program.data(), flag.data(), end.data(), where.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ);
  if (error == ENOENT) {
    return fail(Code::NotFound, "fusermount3 is not installed (Debian: apt install fuse3); root needs none");
  }
  if (error != 0) return failErrno("start fusermount3", error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Code::IoError, fmt::format("fusermount3 could not unmount {}", directory));
}

}  // namespace

std::vector<MountEntry> parseMountTable(std::string_view text) {
  std::vector<MountEntry> entries;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    // 36 35 98:0 /root /mount/point options - type source options (proc_pid_mountinfo(5))
    std::istringstream fields(line);
    std::vector<std::string> words;
    for (std::string word; fields >> word;) words.push_back(std::move(word));
    std::size_t dash = 6;
    while (dash < words.size() && words[dash] != "-") ++dash;
    if (dash + 1 >= words.size()) continue;
    entries.push_back({.directory = unescapeMountPath(words[4]), .type = words[dash + 1]});
  }
  return entries;
}

std::string unescapeMountPath(std::string_view escaped) {
  std::string path;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    const auto octal = [&](std::size_t at) {
      return at < escaped.size() && escaped[at] >= '0' && escaped[at] <= '7' ? escaped[at] - '0' : -1;
    };
    if (escaped[i] == '\\' && octal(i + 1) >= 0 && octal(i + 2) >= 0 && octal(i + 3) >= 0) {
      path += static_cast<char>(octal(i + 1) * 64 + octal(i + 2) * 8 + octal(i + 3));
      i += 3;
    } else {
      path += escaped[i];
    }
  }
  return path;
}

int runUnmount(Terminal& terminal, const UnmountOptions& options) {
  const std::string directory = absolute(options.directory);
  std::ostringstream table;
  table << std::ifstream("/proc/self/mountinfo").rdbuf();
  std::string type;  // of the mount on top, which is the last one in the table
  for (const MountEntry& entry : parseMountTable(table.str())) {
    if (entry.directory == directory) type = entry.type;
  }
  if (type.empty()) {
    return terminal.fail(Error{Code::NotFound, fmt::format("{}: nothing is mounted there", printable(directory))});
  }
  if (type != kMountType) {
    return terminal.fail(Error{Code::InvalidArgument, fmt::format("{}: a mount of type {}, not one of Forebay's",
                                                                  printable(directory), type)});
  }
  Status done = byPrivileged(options, directory);
  if (!done && done.error().code != Code::Busy && ::geteuid() != 0) done = byFusermount(directory, options.lazy);
  return done ? static_cast<int>(kExitOk) : terminal.fail(done.error());
}

}  // namespace forebay::cli
