// Whether it pays that an open waits until all of an object is on this node, so that the kernel can read it by itself.
//
// It pays when what is missing comes soon, and when it will be read. Inflow says how soon, from how fast bytes lately
// came: the bytes of large fetches over the time in which any of them was on its way. Small ones are all latency and
// say nothing about it. DirectoryUse says what will be read, from how much of their objects the last handles of the
// same directory read.
//
// Bounds: Inflow has no memory to speak of; DirectoryUse has kMost directories, the least recently used leave.
// Pure; integers only. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>

#include "base/bytes.h"
#include "base/time.h"

namespace forebay::core {

struct InflowLimits {
  // Half a Gbit/s network: until more is known, an object of 2 MiB takes 30 ms, and one of 7 MiB too long for 100 ms.
  std::uint64_t first_guess = 64 * kMiB;  // bytes a second
  std::uint64_t enough = 2 * kMiB;        // bytes that make a better guess
  std::uint64_t least_fetch = kMiB;       // smaller ones don't count
  Duration window = 1s;                   // of time with bytes on their way: what is older counts half, and so on
  Duration old = 10s;                     // after so long without any, new ones soon outweigh what was
};

// How fast bytes come from one kind of source.
class Inflow {
 public:
  explicit Inflow(InflowLimits limits = {}) : limits_(limits) {}

  bool counts(std::uint64_t fetch_bytes) const { return fetch_bytes >= limits_.least_fetch; }
  void began(TimePoint now);  // a fetch that counts is on its way
  void came(TimePoint now, std::uint64_t bytes);
  void ended(TimePoint now);

  // What a so large fetch, or several at once, would take.
  Duration timeFor(TimePoint now, std::uint64_t bytes) const;

 private:
  void pass(TimePoint now);

  InflowLimits limits_;
  std::uint32_t on_their_way_ = 0;
  TimePoint since_{};  // on_their_way_ != 0: counted until then; else: the last one's end
  std::uint64_t bytes_ = 0;
  Duration busy_{0};
};

class DirectoryUse {
 public:
  static constexpr std::size_t kMost = 1'024;
  static constexpr std::uint8_t kLast = 8, kEnough = 4;  // handles of a directory

  // A handle has gone that was asked for `read` bytes of an object of `size`. One that was asked for nothing says
  // nothing: nobody read, or the kernel had all of it.
  void closed(std::uint64_t directory, std::uint64_t read, std::uint64_t size);
  // Whether its last handles read half or more of their objects, as far as is known.
  bool readsWhole(std::uint64_t directory) const;

  std::size_t size() const { return directories_.size(); }

 private:
  struct Directory {
    std::array<std::uint16_t, kLast> per_mille{};  // read of its object, by the last ones
    std::uint8_t handles = 0, next = 0;
    std::list<std::uint64_t>::iterator used;
  };
  std::map<std::uint64_t, Directory> directories_;
  std::list<std::uint64_t> used_;  // latest first
};

}  // namespace forebay::core
