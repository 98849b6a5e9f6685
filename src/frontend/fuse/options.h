// What a mount is told, with defaults that suit a training job.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>
#include <unistd.h>

#include "base/bytes.h"
#include "base/time.h"
#include "io/privileged.h"

namespace forebay::fuse {

// How long the kernel may believe a name. (What a version holds never changes, so its attributes and pages are
// believed for as long as the kernel likes, whatever the kind.)
struct Consistency {
  enum class Kind {
    Frozen,   // nothing ever changes: names, absent ones too, are believed for a day
    Bounded,  // for the client's time to live, and never longer than `bound`; absent names are asked for each time
    Open,     // never; and each open asks the origin, so an open sees what was there when it began
  };
  Kind kind = Kind::Bounded;
  Duration bound = 30s;  // Bounded only
};

// How requests and answers go between the kernel and the mount's process.
enum class Transport {
  Auto,     // io_uring where the kernel offers it and it can be had, otherwise plain
  Plain,    // read(2) and write(2) of /dev/fuse
  IoUring,  // Linux 6.14, where root has set the fuse module's parameter enable_uring
};

struct Options {
  std::string mount_point;
  std::string name = "forebay";  // the first word of /proc/mounts and `df`: what is mounted, such as "az://acme/data"
  Consistency consistency;

  // Whose files they seem to be. Files are 0444 and directories 0555, less `umask`; the kernel checks.
  std::uint32_t uid = ::getuid();
  std::uint32_t gid = ::getgid();
  std::uint32_t umask = 0;
  // Others than the mounting user may look in. Without root it needs "user_allow_other" in /etc/fuse.conf.
  bool allow_other = false;

  Transport transport = Transport::Auto;
  // Of the plain transport. Each reads requests from a descriptor of its own. None ever waits for bytes, so a few keep
  // many cores busy, and more than there are cores only take them from each other. (io_uring has one for each CPU,
  // RingShape::kMostThreads at most.)
  unsigned threads = std::clamp(std::thread::hardware_concurrency(), 2U, 4U);
  // An operation that takes longer ends in EIO.
  Duration deadline = 60s;
  // Bytes of replies that are being filled or kept for the next read. 128 requests of 1 MiB. With io_uring half of it
  // is the ring's.
  std::uint64_t reply_bytes = 128 * kMiB;
  // The kernel reads objects that this machine's node has complete, and of at least so many bytes, by itself, where it
  // can and somebody may give them to it (Linux 6.9; io/privileged.h).
  bool passthrough = true;
  std::uint64_t passthrough_least = 2 * kMiB;
  // An open waits so long for such an object to be complete, if that is likely to be enough, and if the last opens in
  // its directory read half of their objects or more. 0: none waits.
  Duration open_wait = 100ms;
  // Operations that wait for the client; beyond it requests stay with the kernel.
  std::uint32_t max_outstanding = 1024;
  // How far the kernel reads ahead of a sequential reader, and around a page fault. Applied by root only: for others
  // the kernel's own 128 KiB stands.
  std::uint64_t readahead = 4 * kMiB;
  // Nodes, about 600 bytes each. The kernel decides how many it remembers; beyond this number it is asked to forget the
  // oldest, and listings give it no more of them than it asks for by name.
  std::size_t max_nodes = 262'144;
  // Of names that are remembered beside the kernel, about 700 bytes each, for as long as their answers may be believed.
  std::size_t name_bytes = 32 * kMiB;
  // How long unmount() waits for files in use to be closed before it detaches the mount under its users.
  Duration unmount_grace = 5s;
  // The socket of `forebay helper`, which does what needs privileges for users who aren't root. Empty: none.
  std::string helper = io::kDefaultHelper;
  // What mounts for them where there is none.
  std::string fusermount = "fusermount3";
  // Mount by it even as root.
  bool always_fusermount = false;
};

}  // namespace forebay::fuse
