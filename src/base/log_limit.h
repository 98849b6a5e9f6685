// Bounds what can be written to the log about one kind of trouble: `lines` per `period`, and a count of those left out.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "base/time.h"

namespace forebay {

class LogLimit {
 public:
  LogLimit(std::uint32_t lines, Duration period) : lines_(lines), period_(period) {}

  // Whether to write a line now: then how many were left out since the last one.
  std::optional<std::uint64_t> admit(TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (now - period_start_ >= period_) {
      period_start_ = now;
      written_ = 0;
    }
    if (written_ == lines_) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    return std::exchange(left_out_, 0);
  }

 private:
  const std::uint32_t lines_;
  const Duration period_;
  std::mutex mutex_;
  TimePoint period_start_{};
  std::uint32_t written_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace forebay
