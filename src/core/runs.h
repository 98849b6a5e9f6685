// Runs of a chunk, and sets of them. A run is 256 KiB, the unit of fills; a chunk has at most 256.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstdint>

#include "core/types.h"

namespace forebay::core {

constexpr std::uint32_t kMaxRuns = (1U << kMaxChunkBits) / kRun;

struct RunRange {  // [first, end)
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  std::uint32_t size() const { return end - first; }
  bool empty() const { return end <= first; }
  auto operator<=>(const RunRange&) const = default;
};

// The runs that hold any of `length` bytes from `offset`.
constexpr RunRange runsOf(std::uint32_t offset, std::uint32_t length) {
  return {offset / kRun, static_cast<std::uint32_t>(divideUp(std::uint64_t{offset} + length, kRun))};
}

class RunSet {
 public:
  bool has(std::uint32_t run) const { return (words_[run / 64] >> (run % 64) & 1) != 0; }
  void add(std::uint32_t run) { words_[run / 64] |= std::uint64_t{1} << (run % 64); }
  void add(RunRange range) {
    for (std::uint32_t r = range.first; r < range.end; ++r) add(r);
  }
  void remove(std::uint32_t run) { words_[run / 64] &= ~(std::uint64_t{1} << (run % 64)); }
  std::uint32_t count() const {
    int n = 0;
    for (std::uint64_t w : words_) n += std::popcount(w);
    return static_cast<std::uint32_t>(n);
  }
  auto operator<=>(const RunSet&) const = default;

 private:
  std::array<std::uint64_t, kMaxRuns / 64> words_{};
};

}  // namespace forebay::core
