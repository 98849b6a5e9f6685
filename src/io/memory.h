// How much memory there is: of the machine, of this process's cgroups (v1 and v2), and what the process takes.
//
// A container's limit is lower than its machine's memory, and the kernel kills what passes it: a node's default share
// counts from the lower of the two. Limits are read from every level between the process's cgroup and the root of what
// it can see, because the tightest one holds.
//
// Threading: any thread. A few small files are read: for the start, and for status; not for hot paths.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay::io {

struct MemoryLimits {
  std::uint64_t machine_bytes = 0;
  std::optional<std::uint64_t> cgroup_bytes;  // none: no limit below the machine's memory
  std::string cgroup;                         // the directory that sets it
  std::uint64_t bytes() const { return cgroup_bytes ? *cgroup_bytes : machine_bytes; }
  // What a mount without configuration takes: a quarter, the rest is for the jobs. Whole MiB.
  std::uint64_t quarter() const { return bytes() / 4 / (1U << 20) * (1U << 20); }
};

// `root` stands for "/" in tests: /proc/meminfo, /proc/self/cgroup, /proc/self/mountinfo and the cgroup files below it.
Result<MemoryLimits> memoryLimits(const std::string& root = "");

struct ProcessMemory {
  std::uint64_t anonymous_bytes = 0;  // heap and stacks
  std::uint64_t shared_bytes = 0;     // shared memory that is mapped and touched: the arena's, mostly
  std::uint64_t file_bytes = 0;       // program text and mapped files: the kernel may drop them
  std::uint64_t counted() const { return anonymous_bytes + shared_bytes; }
};
// Of this process (/proc/self/status).
Result<ProcessMemory> processMemory(const std::string& root = "");

// Where a cgroup file system is mounted, and which of its directories it shows there (mountinfo's root).
struct CgroupMount {
  std::string path, shown;
  bool v2 = false;
};
// From texts of the kernel; lines that don't parse are passed over.
struct CgroupPlace {
  CgroupMount mount;
  std::string directory;  // the process's own, below mount.path; empty: the mount itself
};
std::optional<CgroupPlace> memoryCgroup(std::string_view proc_cgroup, std::string_view mountinfo);

}  // namespace forebay::io
