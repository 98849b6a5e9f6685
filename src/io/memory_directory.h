// A directory in RAM of its own (a tmpfs), which holds an arena's object regions. It is mounted detached: no path leads
// to it, only its descriptors do, so nobody else reaches it (the kernel's own check, not a mode) and it goes away with
// the last of them, also after kill -9. `size=` makes the kernel hold the cap too; `huge=within_size` gives 2 MiB pages
// (fresh 4 KiB pages cost 1.1 CPU seconds a GB, 2 MiB pages 0.25, measured), `noswap` where there is one.
//
// How: a short-lived child mounts and hands the descriptors back, so the calling process, which has many threads,
// changes nothing of its own. With CAP_SYS_ADMIN it mounts in a mount namespace, without in a user namespace, where the
// machine allows that (a container mostly doesn't).
//
// Threading: any thread. A call takes milliseconds; a child that takes seconds is killed.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

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

struct MemoryOrder {
  std::uint64_t size_bytes = 0;
  uid_t uid = 0;  // whose it is
  gid_t gid = 0;
  bool user_namespace = false;  // the only way without CAP_SYS_ADMIN; it is the caller's own then
};
// Unsupported where the kernel doesn't let this process: the message says at which step and why.
Result<MemoryDirectory> mountMemoryDirectory(const MemoryOrder& order);

}  // namespace forebay::io
