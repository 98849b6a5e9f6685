// How much memory FUSE over io_uring takes, and for how many requests at once. Pure.
//
// The kernel has one queue for each CPU that the machine may ever have, and puts a request into the queue of the CPU
// that asks. A queue's places are registered before the first request, each with room for the largest answer, and a
// request keeps its place until it is answered. So memory is CPUs x depth x largest answer, and it is bounded first:
// depth falls with the number of CPUs to kLeastDepth, then the largest answer from 1 MiB to kLeastPayload.
// Memory of places that are never used at once is never touched: the kernel takes the place that was free last.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay::fuse {

struct RingShape {
  unsigned cpus = 0;          // queues
  unsigned online = 0;        // of those: the first so many have `depth` places, others one
  unsigned depth = 0;         // requests of one CPU that the mount's process can have at once
  std::uint32_t payload = 0;  // bytes of the largest answer
  unsigned threads = 0;       // that serve the queues

  unsigned depthOf(unsigned queue) const { return queue < online ? depth : 1; }
  unsigned places() const { return (online * depth) + (cpus - online); }
  std::uint64_t bytes() const { return std::uint64_t{places()} * payload; }

  static constexpr unsigned kMostDepth = 32, kGoodDepth = 4, kLeastDepth = 2;
  static constexpr std::uint32_t kLeastPayload = 128 * kKiB;
  // Each moves several GB/s: more would only be more to schedule.
  static constexpr unsigned kMostThreads = 16;

  // Unsupported where so many CPUs can't have their places within `bytes`.
  static Result<RingShape> within(std::uint64_t bytes, unsigned cpus, unsigned online);
};

// CPUs up to the last one in a list such as "0-3,8-11" (of /sys/devices/system/cpu): 12. 0 for what isn't one.
unsigned cpusIn(std::string_view list);

}  // namespace forebay::fuse
