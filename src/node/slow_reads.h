// The log of slow reads: a line for each range that took longer than `node.slow_read` until its last byte was handed to
// the socket, with the time that each stage of it took, and a count of all of them.
//
//   queued      from its arrival until somebody was asked for what is missing: the node's bounds, a peer that had to be
//               asked again
//   earlier     attempts at other nodes before the one that brought the bytes
//   room        waiting for room in the arena
//   first byte  from asking that origin or node to its first granule
//   receive     from there to the last
//   send        from having the bytes to the last one in the socket: a reader that is slow to take them
//
// A node that was slow to a peer logs its own part. At most kLines lines per kPeriod; how many were left out is said
// with the next one. What isn't slow costs a comparison.
//
// Threading: the node's loop. No allocation but for a line that is logged.
#pragma once

#include <functional>
#include <string>

#include "base/log_limit.h"
#include "base/result.h"
#include "base/time.h"
#include "core/types.h"
#include "node/chunks.h"
#include "node/mounts.h"

namespace forebay::node {

struct SlowRead {
  Mount& mount;
  const core::Plan& plan;
  core::ChunkRange range;
  core::NodeId asker = core::kNoNode;  // none: a client
  TimePoint arrived, ended;
  TimePoint ready{};             // all bytes were in the arena; TimePoint{}: from the start, or never
  bool fetched = false;          // some of them weren't at the start
  FetchTrace trace;              // of a fetched one
  const Error* error = nullptr;  // it ended with that
};

class SlowReads {
 public:
  static constexpr std::uint32_t kLines = 10;
  static constexpr Duration kPeriod = 10s;
  using NameOf = std::function<std::string(core::NodeId)>;

  // `limit` 0: nothing is slow. `name_of` gives a node's name.
  SlowReads(Duration limit, NameOf name_of) : limit_(limit), name_of_(std::move(name_of)) {}

  bool slow(Duration took) const { return took >= limit_ && limit_ > Duration{0}; }
  void report(const SlowRead& read);
  // Names that were asked for together, of which `path` is one.
  void reportNames(Mount& mount, const std::string& path, std::size_t names, core::NodeId asker, Duration took);

  // The line without its count of others, for tests.
  std::string describe(const SlowRead& read) const;

 private:
  void log(const std::string& line);
  std::string asker(core::NodeId node) const;

  const Duration limit_;
  const NameOf name_of_;
  LogLimit limiter_{kLines, kPeriod};
};

}  // namespace forebay::node
