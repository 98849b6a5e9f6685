// Which chunks a sequential reader will want next. One table for all objects that a node's clients read.
//
// Three reads of an object that each go on near where the last one ended are taken for a scan (near: the kernel's own
// readahead arrives out of order, and a reader may skip headers). Then the `ahead` chunks after the one that is being
// read are wanted, each said once. Random reads say nothing.
//
// Bounded: `max_objects`, the least recently read leave. Pure; one thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <map>

#include "core/types.h"

namespace forebay::core {

struct ReadaheadLimits {
  std::size_t max_objects = 4096;
  std::uint32_t ahead = 2;        // chunks; 2 × 8 MiB cover 15 ms at 1 GB/s
  std::uint32_t near = 2 * kMiB;  // how far from the last read's end still counts as going on
  std::uint32_t scan = 3;         // reads
};

struct ChunkSpan {  // [first, end)
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  bool empty() const { return end <= first; }
  auto operator<=>(const ChunkSpan&) const = default;
};

class Readahead {
 public:
  explicit Readahead(ReadaheadLimits limits) : limits_(limits) {}

  // A read of [offset, offset + length) of an object: the chunks to bring in now.
  ChunkSpan read(const Plan& plan, std::uint64_t offset, std::uint64_t length) {
    Seen& seen = find(plan.key);
    const std::uint64_t end = offset + length;
    const bool goes_on = offset + limits_.near >= seen.end && offset <= seen.end + limits_.near;
    seen.streak = goes_on ? seen.streak + 1 : 1;
    seen.end = goes_on && seen.end > end ? seen.end : end;
    if (!goes_on) seen.told = 0;
    if (seen.streak < limits_.scan) return {};
    const auto chunk = static_cast<std::uint32_t>((end - 1) >> plan.chunk_bits);
    const std::uint32_t last = plan.chunks();
    ChunkSpan span{chunk + 1 > seen.told ? chunk + 1 : seen.told, chunk + 1 + limits_.ahead};
    if (span.end > last) span.end = last;
    if (span.end > seen.told) seen.told = span.end;
    return span;
  }
  std::size_t size() const { return objects_.size(); }

 private:
  struct Seen {
    std::uint64_t end = 0;  // of the furthest read of this scan
    std::uint32_t streak = 0;
    std::uint32_t told = 0;  // chunks before this one were said
    std::list<ObjectKey>::iterator used;
  };
  Seen& find(const ObjectKey& key) {
    auto known = objects_.find(key);
    if (known != objects_.end()) {
      used_.splice(used_.begin(), used_, known->second.used);
      return known->second;
    }
    if (objects_.size() >= limits_.max_objects) {
      objects_.erase(used_.back());
      used_.pop_back();
    }
    used_.push_front(key);
    Seen& seen = objects_[key];
    seen.used = used_.begin();
    return seen;
  }

  ReadaheadLimits limits_;
  std::map<ObjectKey, Seen> objects_;
  std::list<ObjectKey> used_;
};

}  // namespace forebay::core
