// One receiver's part of bringing an object to many nodes: which of its chunks to fetch next.
//
// Every receiver fetches in an order of its own, random inside a window that starts at the first chunk it lacks: so
// receivers have different chunks to give to each other, and what they have grows from the object's start. The owners
// of the chunks are the trackers (core/spread.h). The bound is (1 + floor(log2 N)/M) * S / bandwidth.
//
// How wide the window is decides who is busy: a few chunks have few owners, and those send while others idle; all
// chunks are no order at all. Measured on 8 nodes with links of 200 Mbit/s (bench row broadcast.time), 256 chunks, hot
// after four times their bytes, as a share of the bound, one to three runs each: windows of 16 chunks, 8 on their way,
// 71%; 32 and 16, 78%; 64 and 16, 68-83%; 128 and 16, 85%. Which nodes own how many chunks differs from run to run.
// Simulations of 1,000 and 5,000 equal nodes without other traffic had 89-97% with 16, 42-50% in strict order.
//
//   next       a chunk to fetch now; none: as many as allowed are on their way, nothing is left, or `most_looked_at`
//              chunks in a row weren't this receiver's: then ask again
//   finished   it is here, or failed; what failed is tried again, `max_tries` times in all
//
// Pure; one thread at a time. Cost: O(window) per call, and one question `mine` per chunk of the object in all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"

namespace forebay::core {

struct BroadcastLimits {
  std::uint32_t window = 64;
  std::uint32_t at_once = 16;
  std::uint32_t max_tries = 3;
  std::uint32_t most_looked_at = 4'096;  // in one call: 4 ms, where `mine` has to hash
};

class Broadcast {
 public:
  using Mine = std::function<bool(std::uint32_t chunk)>;

  // Of an object of `chunks` chunks, those for which `mine` says true.
  Broadcast(std::uint32_t chunks, Mine mine, BroadcastLimits limits, std::uint64_t seed)
      : limits_(limits), chunks_(chunks), mine_(std::move(mine)), random_(seed) {}

  std::optional<std::uint32_t> next() {
    if (running_.size() >= limits_.at_once) return std::nullopt;
    fillWindow();
    if (window_.empty()) return std::nullopt;
    std::swap(window_[random_.below(window_.size())], window_.back());
    const Place place = window_.back();
    window_.pop_back();
    running_.emplace(place.chunk, place.at);
    return place.chunk;
  }

  void finished(std::uint32_t chunk, bool here) {
    const auto known = running_.extract(chunk);
    if (known.empty()) return;
    if (here)
      ++done_;
    else if (++tries_[chunk] < limits_.max_tries)
      window_.push_back({chunk, known.mapped()});
    else
      ++failed_;
  }

  // What wasn't begun is left, as failed.
  void giveUp() {
    failed_ += static_cast<std::uint32_t>(window_.size());
    window_.clear();
    looked_at_ = chunks_;
    limits_.max_tries = 0;
  }

  bool over() const { return running_.empty() && window_.empty() && looked_at_ == chunks_; }
  bool idle() const { return running_.empty(); }
  std::uint32_t done() const { return done_; }
  std::uint32_t failed() const { return failed_; }

 private:
  struct Place {
    std::uint32_t chunk;
    std::uint32_t at;  // among this receiver's chunks
  };

  void fillWindow() {
    // From the first that is lacking: a window that only counted its chunks would leave unlucky ones far behind.
    std::uint32_t first = taken_;
    for (const Place& place : window_) first = std::min(first, place.at);
    for (const auto& [chunk, at] : running_) first = std::min(first, at);
    for (std::uint32_t i = 0; i < limits_.most_looked_at; ++i) {
      if (looked_at_ == chunks_ || taken_ >= first + limits_.window) return;
      const std::uint32_t chunk = looked_at_++;
      if (mine_(chunk)) window_.push_back({chunk, taken_++});
    }
  }

  BroadcastLimits limits_;
  const std::uint32_t chunks_;
  Mine mine_;
  Random random_;
  std::uint32_t looked_at_ = 0;  // chunks before this one are taken, or another's
  std::uint32_t taken_ = 0;      // chunks of this receiver that came into the window so far
  std::vector<Place> window_;
  std::map<std::uint32_t, std::uint32_t> running_;  // and their places
  std::map<std::uint32_t, std::uint32_t> tries_;    // of what failed
  std::uint32_t done_ = 0, failed_ = 0;
};

}  // namespace forebay::core
