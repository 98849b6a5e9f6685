// Random numbers that are equal under every compiler: for jitter, choices and simulation; not for secrets.
#pragma once

#include <cstdint>

#include "base/hash.h"

namespace forebay {

// SplitMix64 as a generator. std::*_distribution is forbidden where a result must repeat: standards leave it open.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    const std::uint64_t value = mix64(state_);
    state_ += 0x9e3779b97f4a7c15U;
    return value;
  }
  // Uniform in [0, bound); bound > 0. Bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  bool chance(std::uint32_t per_million) { return below(1'000'000) < per_million; }

 private:
  std::uint64_t state_;
};

// From the operating system: for secrets, and to seed a Random outside tests.
std::uint64_t systemRandom();

}  // namespace forebay
