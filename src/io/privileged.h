// The few things that a node can't do without privileges, behind one interface.
//
// Today: a directory in RAM of its own (a tmpfs), which holds the arena's object regions. It is mounted detached: no
// path leads to it, only the node's descriptor does, so nobody else reaches it (the kernel's own check, not a mode) and
// it goes away with the node, also after kill -9. `size=` makes the kernel hold the cap too; `huge=within_size` gives
// 2 MiB pages (fresh 4 KiB pages cost 1.1 CPU seconds a GB, 2 MiB pages 0.25, measured), `noswap` where there is one.
//
// How, in this implementation: a short-lived child mounts and hands the descriptors back, so the calling process, which
// has many threads, changes nothing of its own. Root mounts in a mount namespace; everybody else in a user namespace,
// where the machine allows that (a container mostly doesn't): otherwise Unsupported, and the arena lives on slabs only.
//
// The seam: an implementation that asks a helper over a Unix socket (for nodes without capabilities in a container)
// implements the same interface; FUSE's backing descriptors (FUSE_DEV_IOC_BACKING_OPEN on the mount's /dev/fuse, which
// needs CAP_SYS_ADMIN and works from a helper) join it with passthrough.
//
// Threading: any thread, one call at a time. A call takes milliseconds; it belongs to the start of a node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::io {

struct MemoryDirectory {
  Descriptor directory;  // for openat and unlinkat
  // The same files through a mount that refuses every open for writing: what leaves the node is opened here. A mode
  // doesn't hold that: root in a default container reopened a 0600 file's read-only descriptor for writing (tested).
  Descriptor read_only;
  std::string how;  // for status: "a tmpfs of its own, never swapped"
};

class Privileged {
 public:
  virtual ~Privileged() = default;
  // Unsupported where this process may not: the message says why, for status.
  virtual Result<MemoryDirectory> memoryDirectory(std::uint64_t size_bytes) = 0;
};

std::unique_ptr<Privileged> makePrivileged();

}  // namespace forebay::io
