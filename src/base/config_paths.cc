#include "base/config_paths.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace forebay::config {

std::string defaultRunDir() {
  // Read at start, before threads; nothing in Forebay writes the environment.
  const char* said = std::getenv("FOREBAY_NODE_RUN_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (said != nullptr && said[0] == '/') return said;
  if (::geteuid() == 0) return "/run/forebay";
  const char* xdg = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (xdg != nullptr && xdg[0] == '/') return fmt::format("{}/forebay", xdg);
  return fmt::format("/tmp/forebay-{}", ::geteuid());
}

std::string defaultSocketPath() {
  return defaultRunDir() + "/node.sock";
}

Status checkPrivateDir(const std::string& dir) {
  struct stat info = {};
  if (::lstat(dir.c_str(), &info) != 0) return failErrno(fmt::format("look at directory {}", dir), errno);
  if (!S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, fmt::format("{} is not a directory", dir));
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(Code::PermissionDenied,
                fmt::format("{} belongs to user {}, not to user {}: a socket there could be anybody's; choose another "
                            "directory (node.run_dir)",
                            dir, info.st_uid, ::geteuid()));
  }
  if ((info.st_mode & 022) != 0) {
    return fail(Code::PermissionDenied, fmt::format("{} can be written to by other users (mode {:o}): chmod 700 {}",
                                                    dir, info.st_mode & 07777, dir));
  }
  return {};
}

Status preparePrivateDir(const std::string& dir) {
  const std::filesystem::path path(dir);
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return failErrno(fmt::format("make directory {}", path.parent_path().string()), error.value());
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return failErrno(fmt::format("make directory {}", dir), errno);
  return checkPrivateDir(dir);
}

}  // namespace forebay::config
