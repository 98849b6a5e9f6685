// The place in the file tree: checks it, mounts there, and takes it away again. Nothing here speaks to the kernel's
// FUSE connection but to hand over its descriptor.
//
// Who mounts is io/privileged.h's choice: this process, or `forebay helper`. Where neither can, and where the helper
// refuses, it is `fusermount3`, which is setuid and gives the descriptor back over a socket.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "frontend/fuse/options.h"

namespace forebay::fuse {

constexpr const char* kFileSystemType = io::kFuseType;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

struct MountInfo {
  std::string type;    // "fuse.forebay"
  std::string source;  // "az://acme/data"
};
// What is mounted exactly here (the topmost), if anything. Touches no file system but /proc.
std::optional<MountInfo> mountedAt(const std::string& path);

// The absolute path of an existing, empty directory that can be mounted on. A dead mount of ours that lies there (its
// process is gone) is taken away first.
Result<std::string> prepareMountPoint(const Options& options);

// Mounts at options.mount_point (prepared). The descriptor's first request is INIT.
Result<Descriptor> mountThere(const Options& options, io::Privileged& privileged);

// Busy: files there are in use. `lazily`: detaches it all the same; it goes when the last user does.
Status unmountThere(const Options& options, io::Privileged& privileged, bool lazily);

}  // namespace forebay::fuse
