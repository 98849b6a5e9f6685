#include "origin/refresh_policy.h"

#include <algorithm>

namespace forebay::origin {
namespace {

// Longer than any service issues, and far from where sums of times overflow.
constexpr Duration kLongestLife = std::chrono::hours(24 * 365);

}  // namespace

void RefreshPolicy::want(TimePoint now) {
  if (fetching_ || usable(now) || next_fetch_ != kNever) return;
  next_fetch_ = now;
}

void RefreshPolicy::began(TimePoint now) {
  fetching_ = true;
  ever_began_ = true;
  began_ = now;
  next_fetch_ = kNever;
}

void RefreshPolicy::fetched(TimePoint now, Duration lifetime, std::optional<Duration> refresh_after) {
  fetching_ = false;
  failures_ = 0;
  // Its life counts from the question: the answer may have been long on its way.
  const Duration life = std::clamp(lifetime, Duration{}, kLongestLife);
  usable_until_ = began_ + life - std::min(options_.safety, life / 10);
  const Duration ahead = std::min(options_.most_ahead, life / 4);
  Duration after = life >= options_.long_life ? life / 2 - jitter(ahead) : life - ahead - jitter(ahead);
  if (refresh_after && *refresh_after < after) after = *refresh_after - jitter(std::min(ahead, *refresh_after / 8));
  next_fetch_ = std::max({began_ + after, began_ + options_.min_gap, now});
}

void RefreshPolicy::failed(TimePoint now, bool refused, std::optional<Duration> retry_after) {
  fetching_ = false;
  const Duration base = refused ? options_.refused_backoff : options_.backoff;
  const Duration cap = refused ? options_.max_refused_backoff : options_.max_backoff;
  const Duration most = std::min(cap, base * (std::int64_t{1} << std::min(failures_, 20U)));
  ++failures_;
  Duration wait = most / 2 + jitter(most / 2);
  if (retry_after && *retry_after > wait) {
    const Duration asked = std::min(*retry_after, options_.max_refused_backoff);
    wait = asked + jitter(asked / 4);
  }
  next_fetch_ = std::max(now + wait, began_ + options_.min_gap);
}

void RefreshPolicy::refusedByStore(TimePoint now) {
  usable_until_ = TimePoint::min();
  if (fetching_ || failures_ > 0) return;  // another is on its way, or will be after the wait that a failure costs
  next_fetch_ = ever_began_ ? std::max(now, began_ + options_.min_gap) : now;
}

}  // namespace forebay::origin
