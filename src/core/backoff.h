// How long to wait before the next attempt: doubling, with full jitter over the upper half. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"

namespace forebay::core {

struct Backoff {
  Duration first = 10ms;
  Duration most = 1s;

  // `attempt` counts from 0. Between half and the whole of first × 2^attempt, at most `most`. Where `at_least` is
  // longer, that and the same jitter on top: all whom one node told "in 50 ms" mustn't come back together.
  Duration wait(std::uint32_t attempt, Random& random, Duration at_least = Duration{0}) const {
    const Duration full = std::min(most, first * (std::int64_t{1} << std::min(attempt, 20U)));
    const auto half = static_cast<std::uint64_t>(full.count()) / 2;
    const Duration jitter(static_cast<std::int64_t>(random.below(half + 1)));
    return std::max(at_least, Duration(static_cast<std::int64_t>(half))) + jitter;
  }
};

}  // namespace forebay::core
