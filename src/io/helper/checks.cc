#include "io/helper/checks.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "io/fuse_device.h"

namespace forebay::io::helper {
namespace {

// Where users keep directories. Others hold what the kernel says of processes and groups, some of it in directories
// that belong to a user (/proc/PID, cgroups), and programs of root's believe what they read there.
constexpr auto kFileSystems = std::to_array<std::uint32_t>({
    EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC,
    OVERLAYFS_SUPER_MAGIC, NFS_SUPER_MAGIC, CEPH_SUPER_MAGIC,
    0x2FC12FC1,  // ZFS
    0x0BD00BD0,  // Lustre
    0x47504653,  // GPFS
    0x19830326,  // BeeGFS
});

constexpr std::uint32_t kStatfsReadOnly = ST_RDONLY;

Result<struct stat> about(int fd, const char* what) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return failErrno(what, errno);
  return status;
}

Result<struct statfs> fileSystem(int fd, const char* what) {
  struct statfs status{};
  if (::fstatfs(fd, &status) != 0) return failErrno(what, errno);
  return status;
}

std::string shown(int fd) {
  const std::string path = pathOf(fd);
  return path.empty() ? "a directory without a path" : path;
}

}  // namespace

Status checkMountPoint(int fd, uid_t user, const MountTable& mounts) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) == 0)
    return fail(Code::InvalidArgument, "mount point: its descriptor must be opened with O_PATH");
  const struct stat status = TRY(about(fd, "mount point"));
  if (!S_ISDIR(status.st_mode)) return fail(Code::InvalidArgument, "mount point: not a directory");
  if (user != 0 && status.st_uid != user)
    return fail(Code::PermissionDenied,
                fmt::format("mount point {}: it belongs to uid {}, not to uid {}, who asks: choose a directory of your "
                            "own",
                            shown(fd), status.st_uid, user));
  const auto type = static_cast<std::uint32_t>(TRY(fileSystem(fd, "mount point")).f_type);
  if (std::ranges::find(kFileSystems, type) == kFileSystems.end())
    return fail(Code::PermissionDenied,
                fmt::format("mount point {}: on a file system of type {:#x}, on which nothing is mounted for users: "
                            "choose a directory in your home, in /tmp or in /mnt",
                            shown(fd), type));
  const std::string path = pathOf(fd);
  const std::uint64_t mount = mountIdOf(fd);
  if (path.empty() || mount == 0)
    return fail(Code::PermissionDenied,
                "mount point: this process can't see where it is: it must be in the helper's mount namespace");
  if (const MountLine* on_it = mounts.on(mount, path))
    return fail(Code::PermissionDenied,
                fmt::format("mount point {}: {} is mounted on it already", path, on_it->source));
  return {};
}

Status checkMounted(int parent, const std::string& name, uid_t user, const MountTable& mounts) {
  const int flags = ::fcntl(parent, F_GETFL);
  if (flags < 0 || (flags & O_PATH) == 0)
    return fail(Code::InvalidArgument, "unmount: the directory's descriptor must be opened with O_PATH");
  std::string path = pathOf(parent);
  const std::uint64_t mount = mountIdOf(parent);
  if (path.empty() || mount == 0)
    return fail(Code::PermissionDenied,
                "unmount: this process can't see where it is: it must be in the helper's mount "
                "namespace");
  if (path.back() != '/') path.push_back('/');
  path += name;
  const MountLine* line = mounts.on(mount, path);
  if (line == nullptr) return fail(Code::NotFound, fmt::format("unmount {}: nothing is mounted there", path));
  if (line->type != kFuseType)
    return fail(Code::PermissionDenied,
                fmt::format("unmount {}: a mount of type {}, not one of Forebay's", path, line->type));
  if (user != 0 && line->fuse_user != user)
    return fail(Code::PermissionDenied,
                fmt::format("unmount {}: it was mounted for another user than uid {}, who asks", path, user));
  return {};
}

Status checkFuseDevice(int fd) {
  if (isFuseDevice(fd)) return {};
  return fail(Code::InvalidArgument, "backing file: the first descriptor isn't one of /dev/fuse");
}

Status checkBackingFile(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) != O_RDONLY)
    return fail(Code::PermissionDenied, "backing file: it must be opened for reading alone");
  const struct stat status = TRY(about(fd, "backing file"));
  if (!S_ISREG(status.st_mode)) return fail(Code::PermissionDenied, "backing file: not a regular file");
  const struct statfs system = TRY(fileSystem(fd, "backing file"));
  if (system.f_type != TMPFS_MAGIC)
    return fail(Code::PermissionDenied,
                "backing file: not on a tmpfs: only what a node's memory directory holds may be "
                "given to the kernel");
  if ((static_cast<std::uint32_t>(system.f_flags) & kStatfsReadOnly) == 0)
    return fail(Code::PermissionDenied,
                "backing file: not opened through a read-only mount, so that somebody could "
                "write through it");
  return {};
}

}  // namespace forebay::io::helper
