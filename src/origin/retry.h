// Whether a request to an origin is sent again, and when. Pure: it is told what happened and what time it is.
//
//   RetryBudget budget({}, now);
//   budget.onCall(now);                                     // each new call earns a share of a retry
//   Decision d = decide(policy, attempt, {...}, budget, random);
//   if (d.what == Decision::Again) wait d.wait, then send again
//
// The rules, in order:
//   - an answer that repeating can't change is final: 2xx, 3xx, 4xx except 408 and 429, 501, a bad certificate
//   - after `max_attempts` without a byte of progress it is enough; a body cut midway starts the count again, because
//     the next attempt asks for less
//   - it waits base × 2^n with jitter, at least as long as the origin asked (Retry-After), plus jitter again: readers
//     that were refused together must not come back together
//   - a wait that ends after the call's deadline is no retry
//   - the budget is shared by all calls to an origin: when everything fails, retries add at most their share to the
//   load
#pragma once

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "io/http_client.h"

namespace forebay::origin {

struct RetryPolicy {
  std::uint32_t max_attempts = 6;    // in a row without progress: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s at most
  std::uint32_t max_unresolved = 2;  // a host without an address is usually a wrong name: say so soon
  Duration base = 200ms;
  Duration cap = 10s;
};

struct RetryBudgetOptions {
  std::uint32_t per_mille = 150;  // retries earned by 1,000 calls
  std::uint32_t per_second = 1;   // and by time, so that a quiet mount still retries
  std::uint32_t burst = 20;       // the most that is saved up; what one starts with
};

class RetryBudget {
 public:
  RetryBudget(RetryBudgetOptions options, TimePoint now);
  void onCall(TimePoint now);
  bool take(TimePoint now);  // one retry; false: none is left

 private:
  void refill(TimePoint now);
  RetryBudgetOptions options_;
  std::uint64_t micro_tokens_;
  TimePoint refilled_;
};

// What one attempt came to.
struct Attempt {
  io::HttpFailure failure = io::HttpFailure::None;
  int status = 0;              // where the failure is None
  bool transient = false;      // the service's own error code says "again", whatever the status
  std::uint32_t in_a_row = 1;  // attempts without progress, this one included
  bool progress = false;       // bytes of the body arrived and were kept
  std::optional<Duration> retry_after;
};

struct Decision {
  enum What { Final, Again, Exhausted, TooLate, NoBudget };
  What what = Final;
  Duration wait{};  // Again: before sending; TooLate: how long it would have been
};

Decision decide(const RetryPolicy& policy, const Attempt& attempt, TimePoint now, TimePoint deadline,
                RetryBudget& budget, Random& random);

// What an answer says about when to come back: retry-after-ms, x-ms-retry-after-ms, Retry-After (seconds or a date).
// At most an hour.
std::optional<Duration> retryAfter(const io::HttpHeaders& headers, std::int64_t wall_ns);

}  // namespace forebay::origin
