#include "io/fuse_device.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace forebay::io {
namespace {

// Of Linux 6.9, which older headers lack.
struct BackingMap {
  std::int32_t file = -1;
  std::uint32_t flags = 0;
  std::uint64_t padding = 0;
};
constexpr unsigned long kBackingOpen = _IOW(FUSE_DEV_IOC_MAGIC, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(FUSE_DEV_IOC_MAGIC, 2, std::uint32_t);

constexpr unsigned kFuseMajor = 10, kFuseMinor = 229;  // Documentation/admin-guide/devices.txt

}  // namespace

Result<Descriptor> mountFuseAt(const std::string& at, const FuseMountOrder& order, uid_t uid, gid_t gid) {
  Descriptor device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV || error == ENXIO)
      return fail(Code::Unsupported,
                  "/dev/fuse is not there: load the kernel module (modprobe fuse), or, in a container, pass the device "
                  "in (--device /dev/fuse)");
    return failErrno("open /dev/fuse", error);
  }
  const std::string data = fmt::format("fd={},rootmode=40000,user_id={},group_id={},max_read={},default_permissions{}",
                                       device.get(), uid, gid, order.max_read, order.allow_other ? ",allow_other" : "");
  if (::mount(order.source.c_str(), at.c_str(), kFuseType, MS_RDONLY | MS_NOSUID | MS_NODEV, data.c_str()) != 0)
    return failErrno(fmt::format("mount {} on {}", order.source, at), errno);
  return device;
}

Status unmountAt(const std::string& at, const std::string& named, bool lazily) {
  if (::umount2(at.c_str(), UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) == 0) return {};
  if (errno == EBUSY) return fail(Code::Busy, fmt::format("{} is in use", named));
  return failErrno(fmt::format("unmount {}", named), errno);
}

int openBacking(int device, int file) {
  BackingMap map{.file = file};
  const int id = ::ioctl(device, kBackingOpen, &map);
  return id >= 0 ? id : -errno;
}

int closeBacking(int device, std::uint32_t id) {
  return ::ioctl(device, kBackingClose, &id) == 0 ? 0 : errno;
}

bool isFuseDevice(int fd) {
  struct stat about{};
  return ::fstat(fd, &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(kFuseMajor, kFuseMinor);
}

}  // namespace forebay::io
