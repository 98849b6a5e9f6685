// Time as a type, without a clock: pure code receives `now`, and only src/io reads a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace forebay {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::steady_clock::time_point;  // monotonic; the epoch means nothing

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

constexpr TimePoint kNever = TimePoint::max();

inline std::int64_t toMs(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
inline std::int64_t toUs(Duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

}  // namespace forebay
