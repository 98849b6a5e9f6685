#include "base/config_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <vector>

#include "base/bytes.h"

namespace forebay::config {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::uint64_t kTiB = 1024 * kGiB;
constexpr std::array kSizeUnits = {
    Unit{"B", 1},
    Unit{"KiB", kKiB},
    Unit{"MiB", kMiB},
    Unit{"GiB", kGiB},
    Unit{"TiB", kTiB},
    Unit{"Ki", kKiB},
    Unit{"Mi", kMiB},
    Unit{"Gi", kGiB},
    Unit{"Ti", kTiB},
    Unit{"KB", 1'000},
    Unit{"MB", 1'000'000},
    Unit{"GB", 1'000'000'000U},
    Unit{"TB", 1'000'000'000'000U},
};
constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::array kDurationUnits = {Unit{"ms", kMs}, Unit{"s", kSecond}, Unit{"m", 60 * kSecond},
                                       Unit{"h", 3600 * kSecond}, Unit{"d", 86'400 * kSecond}};

struct Split {
  std::uint64_t number = 0;
  std::string_view unit;
};
// "4 GiB" -> 4, "GiB".
Result<Split> splitNumber(std::string_view text) {
  text = trimmed(text);
  Split split;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), split.number);
  if (error != std::errc()) return fail(Code::InvalidArgument, "doesn't start with a whole number");
  split.unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  return split;
}

// The product, or nothing where it doesn't fit in `most`.
Result<std::uint64_t> times(std::uint64_t number, std::uint64_t factor, std::uint64_t most) {
  if (number > most / factor) return fail(Code::InvalidArgument, "too large");
  return number * factor;
}

}  // namespace

Result<std::uint64_t> parseSize(std::string_view text) {
  const auto split = splitNumber(text);
  if (!split) return fail(Code::InvalidArgument, "not a size: write a number and a unit, such as \"4GiB\"");
  if (split->unit.empty()) return split->number;
  const auto unit = std::ranges::find(kSizeUnits, split->unit, &Unit::name);
  if (unit != kSizeUnits.end()) return times(split->number, unit->factor, UINT64_MAX);
  constexpr std::string_view kAmbiguous = "KMGT";
  if (split->unit.size() == 1 && kAmbiguous.find(split->unit[0]) != std::string_view::npos) {
    return fail(Code::InvalidArgument, fmt::format("ambiguous: write \"{0}{1}iB\" (1024s) or \"{0}{1}B\" (1000s)",
                                                   split->number, split->unit));
  }
  return fail(Code::InvalidArgument, "no such unit of size: there are B, KiB, MiB, GiB, TiB and KB, MB, GB, TB");
}

std::string sizeText(std::uint64_t bytes) {
  constexpr std::array kUnits = {Unit{"TiB", kTiB}, Unit{"GiB", kGiB}, Unit{"MiB", kMiB}, Unit{"KiB", kKiB}};
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
  }
  return fmt::format("{}B", bytes);
}

Result<Duration> parseDuration(std::string_view text) {
  const auto split = splitNumber(text);
  if (!split) return fail(Code::InvalidArgument, "not a duration: write a number and a unit, such as \"30s\"");
  if (split->unit.empty() && split->number == 0) return Duration{0};
  const auto unit = std::ranges::find(kDurationUnits, split->unit, &Unit::name);
  if (unit == kDurationUnits.end()) {
    return fail(Code::InvalidArgument, "a duration needs one of the units ms, s, m, h, d, such as \"30s\"");
  }
  const auto ns = TRY(times(split->number, unit->factor, INT64_MAX));
  return Duration{static_cast<std::int64_t>(ns)};
}

std::string durationText(Duration duration) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  for (const Unit& unit : {kDurationUnits[4], kDurationUnits[3], kDurationUnits[2], kDurationUnits[1]}) {
    if (ns != 0 && ns % unit.factor == 0) return fmt::format("{}{}", ns / unit.factor, unit.name);
  }
  return fmt::format("{}ms", ns / kMs);
}

Result<std::uint64_t> parseInteger(std::string_view text) {
  const auto split = splitNumber(text);
  if (!split || !split->unit.empty()) return fail(Code::InvalidArgument, "not a whole number");
  return split->number;
}

std::string HostPort::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

Result<HostPort> parseHostPort(std::string_view text) {
  const auto wrong = [] {
    return fail(Code::InvalidArgument, "not an address: write host:port, such as \"127.0.0.1:7440\" or \"[::1]:7440\"");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return wrong();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong();  // an IPv6 address needs brackets, or its last group reads as a port
  }
  const bool odd = std::ranges::any_of(host, [](char c) { return c <= ' ' || c == '[' || c == ']' || c == '/'; });
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (odd || error != std::errc() || end != digits.data() + digits.size() || port > 65'535) return wrong();
  return HostPort{.host = std::string(host), .port = static_cast<std::uint16_t>(port)};
}

bool isLoopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // A name may start with "127." too; it is loopback only if it is an address: four numbers and three dots.
  return host.starts_with("127.") && std::ranges::count(host, '.') == 3 &&
         std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

namespace {
// Levenshtein's distance. Words are keys and flags: short, so the square doesn't matter.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}
}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t kLongest = 64;
  if (word.size() > kLongest) return {};
  std::string best;
  std::size_t best_distance = word.size() / 3 + 2;  // beyond that it is another word, not a slip
  for (const std::string& candidate : candidates) {
    const std::size_t d = candidate.size() > kLongest ? kLongest : distance(word, candidate);
    if (d < best_distance && d < candidate.size()) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace forebay::config
