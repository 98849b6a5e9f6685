// Answers about names (plans, listing pages), found once and used by everybody until their time is over.
//
//   wanted    a fresh answer is given at once; otherwise the first to ask starts a fetch, later ones wait for it
//   answered  whoever waits gets it; it is kept for its time to live (0: only for those who wait)
//   failed    whoever waits is told; nothing is kept (an absent name is an answer, not a failure)
//   put       an answer that came with another one (a listing's entries)
//   forgetFrom  what is known of some keys isn't any more, nor what is on its way to be known
//
// `revalidate` doesn't take an answer that was fetched before it asked, nor one whose fetch had started before: it
// starts, or joins, a fetch that starts after it.
//
// Bounds: `max_bytes` of kept answers by the caller's estimate (the least recently used leave), `max_waiters`.
// Pure: no clock, no I/O. One thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace forebay::core {

struct NameCacheLimits {
  std::size_t max_bytes = 32 << 20;
  std::size_t max_waiters = 65536;
};

template <class Key, class Answer>
class NameCache {
 public:
  using Waiter = std::uint64_t;
  using Shared = std::shared_ptr<const Answer>;

  struct Found {  // for one who asked
    Waiter waiter;
    Shared answer;
    Duration ttl;     // how much longer it may be used
    TimePoint until;  // the same as a time: of one kept answer always the same
  };
  struct Outcome {
    std::vector<Found> found;
    std::vector<Waiter> refused;  // answered by failed(): with its error; by wanted(): Busy
    std::optional<Key> fetch;     // start fetching this
  };

  explicit NameCache(NameCacheLimits limits) : limits_(limits) {}

  Outcome wanted(TimePoint now, Waiter waiter, const Key& key, bool revalidate) {
    Outcome out;
    if (!revalidate) {
      if (auto found = known(now, key)) {
        found->waiter = waiter;
        out.found.push_back(std::move(*found));
        return out;
      }
    }
    if (waiters_ >= limits_.max_waiters) {
      out.refused.push_back(waiter);
      return out;
    }
    ++waiters_;
    auto [flight, first] = flights_.try_emplace(key);
    if (first) out.fetch = key;
    // A fetch that is under way may have read the name before the one who revalidates asked, or before it was
    // forgotten.
    const bool joins = first || (!revalidate && !flight->second.old);
    (joins ? flight->second.now : flight->second.next).push_back(waiter);
    return out;
  }

  Outcome answered(TimePoint now, const Key& key, Answer answer, Duration ttl, std::size_t bytes) {
    Outcome out;
    auto shared = std::make_shared<const Answer>(std::move(answer));
    const auto flight = flights_.find(key);
    if (flight != flights_.end() && flight->second.old) ttl = Duration{0};
    keep(now, key, shared, ttl, bytes);
    for (Waiter waiter : take(key, out)) out.found.push_back({waiter, shared, ttl, endOf(now, ttl)});
    return out;
  }

  Outcome failed(const Key& key) {
    Outcome out;
    for (Waiter waiter : take(key, out)) out.refused.push_back(waiter);
    return out;
  }

  // Never shortens what is known: a fetch that is under way, or an answer that may be used longer, stays as it is.
  void put(TimePoint now, const Key& key, Answer answer, Duration ttl, std::size_t bytes) {
    auto kept = kept_.find(key);
    if (kept != kept_.end() && kept->second.until >= endOf(now, ttl)) return;
    keep(now, key, std::make_shared<const Answer>(std::move(answer)), ttl, bytes);
  }

  // What is known and fresh, without asking for it: of no waiter. Counts as a use.
  std::optional<Found> known(TimePoint now, const Key& key) {
    auto kept = kept_.find(key);
    if (kept == kept_.end() || kept->second.until <= now) return std::nullopt;
    touch(kept->second);
    return Found{{}, kept->second.answer, kept->second.until - now, kept->second.until};
  }
  std::optional<std::pair<Shared, Duration>> peek(TimePoint now, const Key& key) {
    auto found = known(now, key);
    if (!found) return std::nullopt;
    return std::pair(std::move(found->answer), found->ttl);
  }

  // Whether a fetch of it is under way that wanted() would join.
  bool coming(const Key& key) const {
    const auto flight = flights_.find(key);
    return flight != flights_.end() && !flight->second.old;
  }

  void forget(const Key& key) {
    auto kept = kept_.find(key);
    if (kept != kept_.end()) drop(kept);
  }

  // What is known of the keys from `first` on, as long as `in` holds of them, in their order; how many answers that
  // was. A fetch of one that is under way answers those who wait for it, and is kept for nobody else: it may have
  // started before what made somebody ask for this.
  template <class In>
  std::size_t forgetFrom(const Key& first, const In& in) {
    std::size_t forgotten = 0;
    for (auto kept = kept_.lower_bound(first); kept != kept_.end() && in(kept->first); ++forgotten) drop(kept++);
    distrustFrom(first, in);
    return forgotten;
  }
  // Of those keys, only what is under way.
  template <class In>
  void distrustFrom(const Key& first, const In& in) {
    for (auto flight = flights_.lower_bound(first); flight != flights_.end() && in(flight->first); ++flight)
      flight->second.old = true;
  }

  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return kept_.size(); }
  std::size_t waiters() const { return waiters_; }

 private:
  struct Kept {
    Shared answer;
    TimePoint until;
    std::size_t bytes;
    typename std::list<Key>::iterator used;
  };
  struct Flight {
    std::vector<Waiter> now;   // wait for the fetch that is under way
    std::vector<Waiter> next;  // need one that starts later
    bool old = false;          // it was forgotten while under way
  };
  using KeptAt = typename std::map<Key, Kept>::iterator;

  std::vector<Waiter> take(const Key& key, Outcome& out) {
    auto flight = flights_.find(key);
    if (flight == flights_.end()) return {};
    std::vector<Waiter> waiting = std::move(flight->second.now);
    waiters_ -= waiting.size();
    if (flight->second.next.empty()) {
      flights_.erase(flight);
    } else {
      flight->second.now = std::move(flight->second.next);
      flight->second.next.clear();
      flight->second.old = false;
      out.fetch = key;
    }
    return waiting;
  }

  void keep(TimePoint now, const Key& key, Shared answer, Duration ttl, std::size_t bytes) {
    auto kept = kept_.find(key);
    if (kept != kept_.end()) drop(kept);
    if (ttl <= Duration{0} || bytes > limits_.max_bytes) return;
    used_.push_front(key);
    kept_.emplace(key, Kept{std::move(answer), endOf(now, ttl), bytes, used_.begin()});
    bytes_ += bytes;
    while (bytes_ > limits_.max_bytes) drop(kept_.find(used_.back()));
  }

  // A frozen mount's answers live for ever: Duration::max() must not wrap around.
  static TimePoint endOf(TimePoint now, Duration ttl) { return ttl > kNever - now ? kNever : now + ttl; }
  void touch(Kept& kept) { used_.splice(used_.begin(), used_, kept.used); }
  void drop(KeptAt at) {
    bytes_ -= at->second.bytes;
    used_.erase(at->second.used);
    kept_.erase(at);
  }

  NameCacheLimits limits_;
  std::map<Key, Kept> kept_;
  std::list<Key> used_;  // most recently used first
  std::map<Key, Flight> flights_;
  std::size_t bytes_ = 0;
  std::size_t waiters_ = 0;
};

}  // namespace forebay::core
