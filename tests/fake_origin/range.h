// Ranges of bytes: what a request asks for, and which bytes of an object were ever sent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

namespace forebay::fake {

enum class RangeKind {
  Whole,          // no range, or one that the dialect ignores: 200 and everything
  Part,           // 206
  Unsatisfiable,  // 416
  Malformed,      // 400: forms that the real service doesn't document, so nobody should send them
};
struct AskedRange {
  RangeKind kind = RangeKind::Whole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// `text` is the header's value, empty if there was none. Azure knows "bytes=A-" and "bytes=A-B"; S3 also "bytes=-N".
AskedRange parseRange(std::string_view text, std::uint64_t size, bool suffix_allowed);

// Whether an If-Match or If-None-Match value names this (quoted) ETag. Strict: unquoted ETags match nothing.
bool namesEtag(std::string_view header, std::string_view etag);

// A set of byte positions, kept as disjoint intervals: what makes "distinct bytes" exact.
class IntervalSet {
 public:
  void add(std::uint64_t begin, std::uint64_t end);  // [begin, end)
  std::uint64_t total() const { return total_; }
  std::size_t intervals() const { return ends_.size(); }

 private:
  std::map<std::uint64_t, std::uint64_t> ends_;  // begin -> end
  std::uint64_t total_ = 0;
};

// '*' stands for any run of characters (also '/'), '?' for any one.
bool globMatches(std::string_view pattern, std::string_view text);

}  // namespace forebay::fake
