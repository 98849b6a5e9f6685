// Counters, gauges and histograms, and their Prometheus text.
//
//   Metrics metrics;
//   Counter& bytes = metrics.counter("forebay_origin_bytes_total", "Bytes read from origins.", {{"mount", "data"}});
//   bytes.add(n);
//
// A metric is made once, at start, and lives as long as its registry: keep the reference, the hot path looks nothing
// up. Adding is one relaxed atomic on a cache line that few threads share (striped, summed on read: one shared word
// stops scaling at four threads). Thread-safe. Making the same name and labels again gives the same metric.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace forebay {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t n = 1) { stripes_[stripe()].value.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const;

 private:
  static constexpr std::size_t kStripes = 8;
  struct alignas(64) Stripe {
    std::atomic<std::uint64_t> value{0};
  };
  static std::size_t stripe();
  std::array<Stripe, kStripes> stripes_;
};

class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Durations in buckets of powers of two from 1 µs to 67 s. Quantiles are a bucket's upper bound.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 28;  // 2^0 µs .. 2^26 µs, and everything above
  void record(Duration d);
  std::uint64_t count() const;
  double sumSeconds() const;
  Duration quantile(double q) const;
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels = {});

  // The text exposition format 0.0.4, families sorted by name.
  std::string prometheus() const;

 private:
  struct Family;
  Family& family(std::string_view name, std::string_view help, char kind);
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
};

}  // namespace forebay
