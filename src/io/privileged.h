// The few things that a node or a mount can't do without privileges, behind one interface:
//
//   memory directory  a tmpfs for the arena (io/memory_directory.h)
//   FUSE mount        a /dev/fuse descriptor that is mounted somewhere, and its end
//   backing files     what FUSE passthrough reads from: FUSE_DEV_IOC_BACKING_OPEN on the mount's /dev/fuse
//
// With CAP_SYS_ADMIN this process does them itself. Without, `forebay helper` does them, a small process of root's that
// is reached over a Unix socket (io/helper/): so nodes and mounts run without any capability. Where there is none
// either, Unsupported says so, and everything works without: slabs only, fusermount3, whole objects read from a
// mapping.
//
//   auto privileged = makePrivileged({.helper = "/run/forebay-helper/helper.sock"});
//   auto memory = privileged->memoryDirectory(1 << 30);
//   auto backings = privileged->backingFiles(device);    // of a mount
//   int id = backings->open(file);                       // > 0; minus the errno of a refusal; -EAGAIN: nobody to ask
//
// Threading: any thread. Calls of Privileged take milliseconds and at most kHelperPatience; they belong to the start
// and the end of a node or a mount. BackingFiles is for the threads that answer opens: see there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "io/descriptor.h"
#include "io/fuse_device.h"
#include "io/memory_directory.h"

namespace forebay::io {

constexpr const char* kDefaultHelper = "/run/forebay-helper/helper.sock";
constexpr Duration kHelperPatience = 10s;

// The files that a FUSE mount's kernel side reads by itself. By the helper, an open is one round trip (tens of
// microseconds) of at most kBackingPatience; after one that failed, nobody asks again until a thread of its own has
// reached the helper anew, and opens get -EAGAIN at once meanwhile. Closes never wait; those that the helper can't be
// told wait for it, and end with the mount.
class BackingFiles {
 public:
  virtual ~BackingFiles() = default;
  // The kernel's number of it, or minus the errno of the refusal.
  virtual int open(int file) = 0;
  virtual void close(std::uint32_t id) = 0;
  // Somebody can be asked now. Cheap.
  virtual bool available() const { return true; }
  // For status: by whom, "by the helper at PATH"; while nobody can be asked, or after a refusal: why. Empty: nothing to
  // be said.
  virtual std::string note() const { return {}; }
};

class Privileged {
 public:
  virtual ~Privileged() = default;
  // Unsupported where this process may not and nobody does it for it: the message says why, for status.
  virtual Result<MemoryDirectory> memoryDirectory(std::uint64_t size_bytes) = 0;
  // At an existing directory of this user's, an absolute path. The descriptor's first request is INIT.
  virtual Result<Descriptor> mountFuse(const std::string& mount_point, const FuseMountOrder& order) = 0;
  // Of a mount of this user's. Busy: files there are in use; `lazily` detaches it all the same.
  virtual Status unmountFuse(const std::string& mount_point, bool lazily) = 0;
  // Of the connection that a /dev/fuse descriptor belongs to, which must outlive it.
  virtual std::unique_ptr<BackingFiles> backingFiles(int device) = 0;
};

struct PrivilegedOptions {
  std::string helper = {};  // its socket; empty: none
};
std::unique_ptr<Privileged> makePrivileged(const PrivilegedOptions& options = {});

// Of this process, in effect.
bool haveSysAdmin();

}  // namespace forebay::io
