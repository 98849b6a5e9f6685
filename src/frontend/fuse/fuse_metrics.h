// What a mount counts. Made once, at mount; the hot path looks nothing up.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/metrics.h"

namespace forebay::fuse {

struct FuseMetrics {
  explicit FuseMetrics(Metrics& metrics);

  Counter& requestsOf(std::uint32_t opcode) { return *requests[opcode < requests.size() ? opcode : 0]; }
  Counter& errorsOf(int error);

  std::array<Counter*, 64> requests{};  // by opcode; what has no name of its own shares [0]
  std::vector<std::pair<int, Counter*>> errors;
  Counter& other_errors;
  Counter& bytes;
  Counter& passthrough_opens;
  Counter& remembered;
  Counter& hidden;
  Counter& malformed;
  Counter& late;
  Gauge& outstanding;
  Gauge& nodes;
  Gauge& handles;
  Gauge& reply_bytes;
  Histogram& read_time;
  Histogram& lookup_time;
};

}  // namespace forebay::fuse
