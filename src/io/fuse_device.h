// What the kernel asks privileges for around /dev/fuse: mounting, unmounting, and files for passthrough. Nothing here
// checks who asks for it: that is for the callers, io/privileged.cc for this process and io/helper/ for others.
//
// Threading: any thread. None of these waits for a file system's process.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::io {

constexpr const char* kFuseType = "fuse.forebay";  // in /proc/mounts

struct FuseMountOrder {
  std::string source;  // the first word of /proc/mounts and `df`
  std::uint32_t max_read = 0;
  bool allow_other = false;
};

// Read-only, nosuid, nodev, with default_permissions, for a user: who may look in without allow_other. `at` is a
// directory's path, or "/proc/self/fd/N" for one that is open already.
Result<Descriptor> mountFuseAt(const std::string& at, const FuseMountOrder& order, uid_t uid, gid_t gid);
// Busy: files there are in use. `named`: what messages call it.
Status unmountAt(const std::string& at, const std::string& named, bool lazily);

// The kernel's number of the backing file, or minus the errno of its refusal (Linux 6.9, CAP_SYS_ADMIN).
int openBacking(int device, int file);
// 0 or an errno.
int closeBacking(int device, std::uint32_t id);

bool isFuseDevice(int fd);

}  // namespace forebay::io
