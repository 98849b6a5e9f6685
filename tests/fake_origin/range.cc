#include "fake_origin/range.h"

#include <algorithm>
#include <charconv>

namespace forebay::fake {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

AskedRange parseRange(std::string_view text, std::uint64_t size, bool suffix_allowed) {
  if (text.empty()) return {.kind = RangeKind::Whole, .offset = 0, .length = size};
  constexpr AskedRange kMalformed{.kind = RangeKind::Malformed};
  constexpr AskedRange kUnsatisfiable{.kind = RangeKind::Unsatisfiable};
  if (!text.starts_with("bytes=")) return kMalformed;
  text.remove_prefix(6);
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return kMalformed;
  const auto first = number(text.substr(0, dash));
  const auto last = number(text.substr(dash + 1));
  if (dash == 0) {
    if (!suffix_allowed || !last) return kMalformed;
    if (*last == 0 || size == 0) return kUnsatisfiable;
    const std::uint64_t length = std::min(*last, size);
    return {.kind = RangeKind::Part, .offset = size - length, .length = length};
  }
  if (!first || (!last && dash + 1 != text.size()) || (last && *last < *first)) return kMalformed;
  if (*first >= size) return kUnsatisfiable;
  const std::uint64_t end = last ? std::min(*last, size - 1) + 1 : size;
  return {.kind = RangeKind::Part, .offset = *first, .length = end - *first};
}

bool namesEtag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const auto comma = header.find(',');
    std::string_view item = header.substr(0, comma);
    header.remove_prefix(comma == std::string_view::npos ? header.size() : comma + 1);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item == "*" || item == etag) return true;
  }
  return false;
}

void IntervalSet::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  auto next = ends_.upper_bound(begin);
  if (next != ends_.begin() && std::prev(next)->second >= begin) --next;
  while (next != ends_.end() && next->first <= end) {
    begin = std::min(begin, next->first);
    end = std::max(end, next->second);
    total_ -= next->second - next->first;
    next = ends_.erase(next);
  }
  ends_.emplace(begin, end);
  total_ += end - begin;
}

bool globMatches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;  // where to go on after the last '*' took one more
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace forebay::fake
