#include "frontend/fuse/mount_point.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "frontend/fuse/fusermount.h"
#include "frontend/fuse/protocol.h"
#include "io/helper/mount_table.h"

namespace forebay::fuse {
namespace {

// Absolute, without links: of the parent only, because the last component may be a dead mount.
Result<std::string> absolutePath(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  if (trimmed.empty()) return fail(Code::InvalidArgument, "a mount needs a directory to be mounted on");
  if (trimmed == "/") return fail(Code::InvalidArgument, "cannot mount on /: choose an empty directory");
  const std::size_t slash = trimmed.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : trimmed.substr(0, slash);
  std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (name == "." || name == "..") {
    parent = trimmed;
    name.clear();
  }
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(parent.c_str(), nullptr), &std::free);
  if (!real) return failErrno(fmt::format("mount point {}", path), errno);
  std::string absolute = real.get();
  if (name.empty()) return absolute;
  if (absolute.back() != '/') absolute.push_back('/');
  return absolute + name;
}

Status clearDeadMount(const Options& options, const std::string& path) {
  const auto mounted = mountedAt(path);
  if (!mounted || mounted->type != kFileSystemType)
    return fail(
        Code::Unavailable,
        fmt::format("mount point {} is a dead mount{}: its process is gone. Run: fusermount3 -u -z '{}' (as root: "
                    "umount -l '{}')",
                    path, mounted ? fmt::format(" of type {}", mounted->type) : "", path, path));
  Options there = options;
  there.mount_point = path;
  TRY(unmountThere(there, *io::makePrivileged({.helper = options.helper}), true));
  log::info("fuse", "{}: took away a dead mount of {} that an earlier process left behind", path, mounted->source);
  return {};
}

Status checkEmptyDirectory(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) {
    if (errno == ENOENT)
      return fail(Code::NotFound,
                  fmt::format("mount point {} does not exist: make it first: mkdir -p '{}'", path, path));
    return failErrno(fmt::format("mount point {}", path), errno);
  }
  if (!S_ISDIR(about.st_mode))
    return fail(Code::InvalidArgument, fmt::format("mount point {} is not a directory", path));
  if (const auto mounted = mountedAt(path); mounted && mounted->type == kFileSystemType)
    return fail(Code::InvalidArgument,
                fmt::format("mount point {} already has {} mounted on it: choose another, or run: "
                            "fusermount3 -u '{}'",
                            path, mounted->source, path));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  if (!directory) return failErrno(fmt::format("mount point {}", path), errno);
  while (const dirent* entry = ::readdir(directory.get()))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      return fail(
          Code::InvalidArgument,
          fmt::format("mount point {} is not empty (it holds '{}', for one): choose an empty directory, as what "
                      "is there would be hidden",
                      path, entry->d_name));
  return {};
}

// Where nobody was meant to do it in this process's place there is nothing to be said.
void say(const Options& options, const char* what, const Error& error) {
  if (error.code != Code::Unsupported)
    log::warn("fuse", "{} {}: {}; trying {}", what, options.mount_point, error.message, options.fusermount);
}

}  // namespace

void Descriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::optional<MountInfo> mountedAt(const std::string& path) {
  std::ifstream lines("/proc/self/mountinfo");
  std::optional<MountInfo> found;
  for (std::string line; std::getline(lines, line);) {
    // "36 35 98:0 /root /mount/point options - type source superoptions", with optional fields before the dash
    std::istringstream words(line);
    std::string skip, where, word;
    words >> skip >> skip >> skip >> skip >> where;
    if (io::helper::unescapeOctal(where) != path) continue;
    while (words >> word && word != "-") continue;
    MountInfo info;
    words >> info.type >> info.source;
    info.source = io::helper::unescapeOctal(info.source);
    found = std::move(info);  // a later line lies on top of an earlier one
  }
  return found;
}

Result<std::string> prepareMountPoint(const Options& options) {
  std::string path = TRY(absolutePath(options.mount_point));
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 && errno == ENOTCONN) TRY(clearDeadMount(options, path));
  TRY(checkEmptyDirectory(path));
  return path;
}

Result<Descriptor> mountThere(const Options& options, io::Privileged& privileged) {
  if (!options.always_fusermount) {
    auto device = privileged.mountFuse(
        options.mount_point, {.source = options.name, .max_read = kMaxRead, .allow_other = options.allow_other});
    if (device) return Descriptor(device->release());
    if (::geteuid() == 0) return fail(std::move(device).error());
    say(options, "mount at", device.error());
  }
  return mountByFusermount(options);
}

Status unmountThere(const Options& options, io::Privileged& privileged, bool lazily) {
  if (!options.always_fusermount) {
    const Status done = privileged.unmountFuse(options.mount_point, lazily);
    if (done || ::geteuid() == 0 || done.error().code == Code::Busy) return done;
    if (!lazily) say(options, "unmount", done.error());
  }
  return unmountByFusermount(options, lazily);
}

}  // namespace forebay::fuse
