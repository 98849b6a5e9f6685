// A world of its own: a clock that only events move, a queue of what happens when, one source of chance.
//
// Everything in src/sim runs in one World, in one thread, from one seed: the same seed gives the same run, event for
// event. What happened is folded into a hash (note()), so that two runs can be compared, also across compilers.
//
// Events of the same time happen in the order in which they were asked for. Cost: O(log events) each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "base/random.h"
#include "base/time.h"

namespace forebay::sim {

using Task = std::move_only_function<void()>;

class World {
 public:
  explicit World(std::uint64_t seed) : random_(mix64(seed)) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  TimePoint now() const { return now_; }
  Random& random() { return random_; }
  // Uniform in [least, most].
  Duration between(Duration least, Duration most) {
    return least +
           Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>((most - least).count()) + 1)));
  }

  void at(TimePoint when, Task task) { tasks_.emplace(std::pair{std::max(when, now_), next_++}, std::move(task)); }
  void after(Duration delay, Task task) { at(now_ + delay, std::move(task)); }

  // Runs what is due up to `until`, at most `max_events` of it. True if nothing due is left.
  bool runUntil(TimePoint until, std::uint64_t max_events);
  bool empty() const { return tasks_.empty(); }

  void note(std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0, std::uint64_t d = 0) {
    hash_ = mix64(hash_ ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    for (std::uint64_t value : {a, b, c, d}) hash_ = mix64(hash_ ^ value);
  }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_; }

 private:
  TimePoint now_{Duration(1s)};
  std::uint64_t next_ = 0, hash_ = 0, events_ = 0;
  Random random_;
  std::map<std::pair<TimePoint, std::uint64_t>, Task> tasks_;
};

}  // namespace forebay::sim
