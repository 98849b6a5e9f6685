// Numbers as people read them. Rounded: never for programs (`--json` has the exact ones). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace forebay::cli {

std::string humanSize(std::uint64_t bytes);         // "0 B", "1.5 MiB", "140 GiB": three digits
std::string humanRate(double bytes_per_second);     // "210 MB/s": in 1000s, as network and disks are sold
std::string humanCount(std::uint64_t count);        // "12,345"
std::string humanDuration(Duration duration);       // "0.4 s", "42 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"
std::string humanTime(std::int64_t ns_since_1970);  // "2026-03-01 12:00:05Z"; empty for 0
// "93.1%": part of whole; "-" where the whole is 0. Never 100% unless it is all, never 0% unless it is nothing.
std::string humanShare(std::uint64_t part, std::uint64_t whole);

// Bytes of a name as one line: control characters, which could move the cursor or hide text, as \n, \x1b and so on;
// likewise bytes that aren't UTF-8.
std::string printable(std::string_view name);
// Columns that a terminal takes for it: code points, near enough for aligning.
std::size_t shownWidth(std::string_view utf8);

}  // namespace forebay::cli
