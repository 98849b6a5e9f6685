// When an answer is slow enough to ask somebody else who should have the bytes, and how often that may be done.
//
// Slow is what takes longer than the mean of the answers lately and four times their mean deviation (as TCP's
// retransmission does, RFC 6298), within bounds. Each question adds a fiftieth of a hedge to the budget, so hedges
// are at most 2% more questions, and after a quiet time at most `most` at once: when everything is slow, asking more
// doesn't help.
//
// Pure; integers only. One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace forebay::core {

struct HedgeLimits {
  Duration at_least = 20ms, at_most = 1s;
  std::uint32_t per_mille = 20;  // hedges per thousand questions
  std::uint32_t most = 10;
};

class Hedging {
 public:
  explicit Hedging(HedgeLimits limits) : limits_(limits) {}

  void asked() { budget_ = std::min(budget_ + limits_.per_mille, limits_.most * kOne); }
  void answered(Duration took) {
    const Duration off = took > mean_ ? took - mean_ : mean_ - took;
    mean_ += (took - mean_) / 8;
    deviation_ += (off - deviation_) / 4;
  }
  // How long after its question an answer is slow.
  Duration after() const { return std::clamp(mean_ + 4 * deviation_, limits_.at_least, limits_.at_most); }
  // Whether one more may be asked now; it counts if so.
  bool take() {
    if (budget_ < kOne) return false;
    budget_ -= kOne;
    return true;
  }

 private:
  static constexpr std::uint32_t kOne = 1'000;
  HedgeLimits limits_;
  std::uint32_t budget_ = kOne;  // in thousandths of a hedge
  Duration mean_ = 100ms, deviation_ = 25ms;
};

}  // namespace forebay::core
