// Values as people write them, in the configuration file, in flags and in the environment: sizes, durations, addresses.
//
// Each parser takes the whole text or fails with InvalidArgument and a message that says what would be right (the
// caller adds where the text came from). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace forebay::config {

// "4GiB", "512 MiB": a whole number and a unit. Units: B, KiB, MiB, GiB, TiB (also Ki, Mi, Gi, Ti), which
// count in 1024s, and KB, MB, GB, TB, which count in 1000s. No unit: bytes. "4G" is refused: it means one of two.
Result<std::uint64_t> parseSize(std::string_view text);
// Exact, in the largest unit of 1024s that divides it: "4GiB", "1000B".
std::string sizeText(std::uint64_t bytes);

// "250ms", "30s", "5m", "12h", "7d". A unit is required, except for 0.
Result<Duration> parseDuration(std::string_view text);
std::string durationText(Duration duration);

Result<std::uint64_t> parseInteger(std::string_view text);

struct HostPort {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 0;

  std::string text() const;  // "[::1]:7440"
  bool operator==(const HostPort&) const = default;
};
Result<HostPort> parseHostPort(std::string_view text);

// 127.0.0.0/8, ::1 and "localhost": what no other machine can reach.
bool isLoopback(std::string_view host);

// The candidate that `word` most likely meant, for "did you mean ...?"; empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace forebay::config
