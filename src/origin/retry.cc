#include "origin/retry.h"

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

constexpr std::uint64_t kToken = 1'000'000;
constexpr std::int64_t kMaxRetryAfterMs = 3'600'000;

using io::HttpFailure;

bool worthAnother(const Attempt& attempt) {
  switch (attempt.failure) {
    case HttpFailure::None:
      break;
    case HttpFailure::Resolve:
    case HttpFailure::Connect:
    case HttpFailure::Tls:
    case HttpFailure::Proxy:
    case HttpFailure::Cut:
    case HttpFailure::Idle:
    case HttpFailure::Deadline:  // of the attempt; the call's own is looked at below
    case HttpFailure::Malformed:
      return true;
    case HttpFailure::Untrusted:
    case HttpFailure::TooLarge:
    case HttpFailure::Refused:
    case HttpFailure::Local:
      return false;
  }
  switch (attempt.status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return attempt.transient;
  }
}

// Between half of it and all of it.
Duration jittered(Duration most, Random& random) {
  const auto half = static_cast<std::uint64_t>(most.count() / 2);
  return Duration(half + random.below(half + 1));
}

Duration backoff(const RetryPolicy& policy, std::uint32_t in_a_row, Random& random) {
  const std::uint32_t doublings = std::min(in_a_row - 1, 20U);
  return jittered(std::min(policy.cap, policy.base * (std::int64_t{1} << doublings)), random);
}

}  // namespace

RetryBudget::RetryBudget(RetryBudgetOptions options, TimePoint now)
    : options_(options), micro_tokens_(options.burst * kToken), refilled_(now) {}

void RetryBudget::refill(TimePoint now) {
  if (now <= refilled_) return;
  const auto us = static_cast<std::uint64_t>(std::min(toUs(now - refilled_), std::int64_t{3'600'000'000}));
  micro_tokens_ = std::min(micro_tokens_ + us * options_.per_second, options_.burst * kToken);
  refilled_ = now;
}

void RetryBudget::onCall(TimePoint now) {
  refill(now);
  micro_tokens_ = std::min(micro_tokens_ + options_.per_mille * (kToken / 1000), options_.burst * kToken);
}

bool RetryBudget::take(TimePoint now) {
  refill(now);
  if (micro_tokens_ < kToken) return false;
  micro_tokens_ -= kToken;
  return true;
}

Decision decide(const RetryPolicy& policy, const Attempt& attempt, TimePoint now, TimePoint deadline,
                RetryBudget& budget, Random& random) {
  if (!worthAnother(attempt)) return {Decision::Final};
  const std::uint32_t in_a_row = attempt.progress ? 1 : attempt.in_a_row;
  const bool unresolved = attempt.failure == HttpFailure::Resolve;
  if (in_a_row >= (unresolved ? policy.max_unresolved : policy.max_attempts)) return {Decision::Exhausted};
  Duration wait = backoff(policy, in_a_row, random);
  if (attempt.retry_after && *attempt.retry_after >= wait)
    wait = *attempt.retry_after + jittered(std::min(*attempt.retry_after / 4, policy.cap), random);
  if (deadline != kNever && now + wait >= deadline) return {Decision::TooLate, wait};
  if (!budget.take(now)) return {Decision::NoBudget};
  return {Decision::Again, wait};
}

std::optional<Duration> retryAfter(const io::HttpHeaders& headers, std::int64_t wall_ns) {
  const auto at_most = [](std::uint64_t ms) {
    return Duration(std::chrono::milliseconds(std::min<std::uint64_t>(ms, kMaxRetryAfterMs)));
  };
  for (const std::string_view name : {"retry-after-ms", "x-ms-retry-after-ms"})
    if (const auto ms = parseNumber(headers.get(name))) return at_most(*ms);
  const std::string_view value = headers.get("retry-after");
  if (const auto seconds = parseNumber(value))
    return at_most(std::min<std::uint64_t>(*seconds, kMaxRetryAfterMs) * 1000);
  const auto date = parseHttpDate(value);
  if (!date) return std::nullopt;
  return *date > wall_ns ? at_most(static_cast<std::uint64_t>(*date - wall_ns) / 1'000'000) : Duration{};
}

}  // namespace forebay::origin
