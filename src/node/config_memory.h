// How much memory this process may count on: the machine's, or less where a cgroup limits it.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

namespace forebay::node {

// The smallest of MemTotal and the limits (memory.max, or memory.limit_in_bytes) of this process's cgroup and all above
// it. `root` is "/" but in tests. 0 if nothing can be read.
std::uint64_t availableMemory(const std::string& root = "/");

// What an amount means on a machine with `available` bytes; a whole number of 2 MiB pages.
std::uint64_t memoryBytes(const config::Amount& amount, std::uint64_t available);

}  // namespace forebay::node
