#include "sim/world.h"

namespace forebay::sim {

bool World::runUntil(TimePoint until, std::uint64_t max_events) {
  for (std::uint64_t i = 0; i < max_events; ++i) {
    if (tasks_.empty() || tasks_.begin()->first.first > until) {
      if (until != kNever) now_ = std::max(now_, until);
      return true;
    }
    auto due = tasks_.extract(tasks_.begin());
    now_ = due.key().first;
    ++events_;
    due.mapped()();
  }
  return false;
}

}  // namespace forebay::sim
