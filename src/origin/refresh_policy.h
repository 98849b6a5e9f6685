// When a temporary credential is renewed, until when the old one is used, and how long to wait after a failure. Pure:
// it is told what happened and what time it is.
//
//   RefreshPolicy policy({}, seed);
//   policy.want(now);                          // somebody needs one
//   if (policy.due(now)) { policy.began(now); fetch... }
//   policy.fetched(now, lifetime, hint)        // or failed(now, final, retry_after)
//   policy.usable(now), policy.nextFetch()
//
// The rules:
//   - renewed ahead of its end: a quarter of its life, at most 5 minutes (what AWS promises: a role's next credentials
//     are there 5 minutes before the old ones end), plus jitter of as much again, so that nodes that started together
//     don't ask together; at half of a life of 2 hours and more, as Azure's managed identities want it; when the issuer
//     says, where that is earlier
//   - used until shortly before its end: a request that is on its way then must still arrive with a good one
//   - a failure is followed by a wait: 1 s doubling to 60 s (a refusal: 5 s to 300 s), with jitter, at least as long as
//     the endpoint asked
//   - between two beginnings there is at least `min_gap`, whatever stores and issuers say: nobody hammers an endpoint
#pragma once

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "base/time.h"

namespace forebay::origin {

struct RefreshOptions {
  Duration min_gap = 1s;
  Duration most_ahead = std::chrono::minutes(5);
  Duration long_life = std::chrono::hours(2);
  Duration safety = 5s;  // before the end; at most a tenth of the life
  Duration backoff = 1s, max_backoff = 60s;
  Duration refused_backoff = 5s, max_refused_backoff = 300s;
};

class RefreshPolicy {
 public:
  RefreshPolicy(RefreshOptions options, std::uint64_t seed) : options_(options), random_(seed) {}

  void want(TimePoint now);  // nothing has been fetched yet, or the last one ended
  void began(TimePoint now);
  void fetched(TimePoint now, Duration lifetime, std::optional<Duration> refresh_after);
  void failed(TimePoint now, bool refused, std::optional<Duration> retry_after);
  void refusedByStore(TimePoint now);

  bool fetching() const { return fetching_; }
  bool usable(TimePoint now) const { return now < usable_until_; }
  TimePoint usableUntil() const { return usable_until_; }
  // When to fetch next; kNever: not before somebody wants one.
  TimePoint nextFetch() const { return next_fetch_; }
  bool due(TimePoint now) const { return !fetching_ && now >= next_fetch_; }
  std::uint32_t failuresInARow() const { return failures_; }

 private:
  Duration jitter(Duration most) { return Duration(random_.below(static_cast<std::uint64_t>(most.count()) + 1)); }

  const RefreshOptions options_;
  Random random_;
  bool fetching_ = false;
  bool ever_began_ = false;
  TimePoint began_{};
  TimePoint usable_until_ = TimePoint::min();
  TimePoint next_fetch_ = kNever;
  std::uint32_t failures_ = 0;
};

}  // namespace forebay::origin
