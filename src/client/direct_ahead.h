// Has the cell bring in what a direct client's readers will probably want next (core/readahead.h says what): the nodes
// fetch it, and no byte comes here.
//
//   before ranges are asked for:   scan = ahead.saw(plan, offset, length)
//   when they have been:           ahead.bringIn()
//   of an answer:                  ahead.heard(from_origin)
//
// Nothing is said while what is read is in the cell already: after kPatience reads and warmings in a row that fetched
// nothing, until one does again.
//
// Threading: the loop. Bounded: kMaxBytes on their way; beyond, nothing is asked for.
#pragma once

#include <cstdint>
#include <vector>

#include "core/readahead.h"
#include "core/types.h"

namespace forebay::client {

class DirectCell;

class DirectAhead {
 public:
  static constexpr std::uint64_t kMaxBytes = 128 * kMiB;
  static constexpr std::uint32_t kPatience = 64;

  explicit DirectAhead(DirectCell& cell) : cell_(cell), readahead_({}) {}

  // Whether the range's reader will want the rest of its chunk too.
  bool saw(const core::SharedPlan& plan, std::uint64_t offset, std::uint64_t length);
  void bringIn();
  void heard(bool from_origin) {
    if (from_origin)
      patience_ = kPatience;
    else if (patience_ > 0)
      --patience_;
  }

 private:
  struct Due {
    core::SharedPlan plan;
    std::vector<core::RunsAhead> ahead;
  };

  DirectCell& cell_;
  core::Readahead readahead_;
  std::vector<core::RunsAhead> said_;
  std::vector<Due> due_;
  std::uint64_t bytes_ = 0;  // on their way
  std::uint32_t patience_ = kPatience;
};

}  // namespace forebay::client
