#include "base/metrics.h"

#include <bit>
#include <cstdlib>
#include <fmt/format.h>
#include <iterator>

namespace forebay {

std::size_t Counter::stripe() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kStripes;
  return mine;
}

std::uint64_t Counter::value() const {
  std::uint64_t sum = 0;
  for (const Stripe& s : stripes_) sum += s.value.load(std::memory_order_relaxed);
  return sum;
}

void Histogram::record(Duration d) {
  const std::uint64_t us = d.count() <= 0 ? 0 : static_cast<std::uint64_t>(toUs(d));
  const auto width = static_cast<std::size_t>(std::bit_width(us));
  buckets_[width < kBuckets ? width : kBuckets - 1].fetch_add(1, std::memory_order_relaxed);
  if (d.count() > 0) sum_ns_.fetch_add(static_cast<std::uint64_t>(d.count()), std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t n = 0;
  for (const auto& b : buckets_) n += b.load(std::memory_order_relaxed);
  return n;
}

double Histogram::sumSeconds() const {
  return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
}

Duration Histogram::quantile(double q) const {
  const std::uint64_t n = count();
  if (n == 0) return Duration{0};
  const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(n));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += bucket(i);
    if (seen > wanted) return std::chrono::microseconds(1ULL << i);
  }
  return std::chrono::microseconds(1ULL << (kBuckets - 1));
}

struct Metrics::Family {
  std::string help;
  char kind = 0;  // c, g, h
  std::map<std::string, std::unique_ptr<Counter>> counters;
  std::map<std::string, std::unique_ptr<Gauge>> gauges;
  std::map<std::string, std::unique_ptr<Histogram>> histograms;
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

namespace {
std::string labelText(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    if (!text.empty()) text += ',';
    text += key;
    text += "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') {
        text += '\\';
        text += c;
      } else if (c == '\n') {
        text += "\\n";
      } else {
        text += c;
      }
    }
    text += '"';
  }
  return text;
}
std::string withLabels(std::string_view name, std::string_view labels, std::string_view more = {}) {
  if (labels.empty() && more.empty()) return std::string(name);
  return fmt::format("{}{{{}{}{}}}", name, labels, !labels.empty() && !more.empty() ? "," : "", more);
}
template <class T>
T& in(std::map<std::string, std::unique_ptr<T>>& map, const Labels& labels) {
  auto& slot = map[labelText(labels)];
  if (!slot) slot = std::make_unique<T>();
  return *slot;
}
}  // namespace

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, char kind) {
  auto known = families_.find(name);
  if (known == families_.end()) {
    auto made = std::make_unique<Family>();
    made->help = help;
    made->kind = kind;
    known = families_.emplace(std::string(name), std::move(made)).first;
  }
  if (known->second->kind != kind) std::abort();  // one name, two kinds: a bug that the first start shows
  return *known->second;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return in(family(name, help, 'c').counters, labels);
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return in(family(name, help, 'g').gauges, labels);
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return in(family(name, help, 'h').histograms, labels);
}

namespace {
void histogramText(std::string& out, const std::string& name, const std::string& labels, const Histogram& h) {
  auto to = std::back_inserter(out);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i) {
    seen += h.bucket(i);
    const auto bound = fmt::format("le=\"{}\"", static_cast<double>(1ULL << i) / 1e6);
    fmt::format_to(to, "{} {}\n", withLabels(name + "_bucket", labels, bound), seen);
  }
  seen += h.bucket(Histogram::kBuckets - 1);
  fmt::format_to(to, "{} {}\n", withLabels(name + "_bucket", labels, "le=\"+Inf\""), seen);
  fmt::format_to(to, "{} {}\n", withLabels(name + "_sum", labels), h.sumSeconds());
  fmt::format_to(to, "{} {}\n", withLabels(name + "_count", labels), seen);
}
}  // namespace

std::string Metrics::prometheus() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  auto to = std::back_inserter(out);
  for (const auto& [name, family] : families_) {
    const char* type = family->kind == 'c' ? "counter" : family->kind == 'g' ? "gauge" : "histogram";
    fmt::format_to(to, "# HELP {} {}\n# TYPE {} {}\n", name, family->help, name, type);
    for (const auto& [labels, counter] : family->counters)
      fmt::format_to(to, "{} {}\n", withLabels(name, labels), counter->value());
    for (const auto& [labels, gauge] : family->gauges)
      fmt::format_to(to, "{} {}\n", withLabels(name, labels), gauge->value());
    for (const auto& [labels, histogram] : family->histograms) histogramText(out, name, labels, *histogram);
  }
  return out;
}

}  // namespace forebay
