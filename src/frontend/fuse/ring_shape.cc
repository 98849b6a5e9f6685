#include "frontend/fuse/ring_shape.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "frontend/fuse/protocol.h"

namespace forebay::fuse {

Result<RingShape> RingShape::within(std::uint64_t bytes, unsigned cpus, unsigned online) {
  RingShape shape{.cpus = std::max(cpus, 1U)};
  shape.online = std::clamp(online, 1U, shape.cpus);
  shape.threads = std::min(shape.online, kMostThreads);
  const unsigned offline = shape.cpus - shape.online;
  for (shape.payload = kMaxRead; shape.payload >= kLeastPayload; shape.payload /= 2) {
    const std::uint64_t fits = bytes / shape.payload;
    const std::uint64_t depth = fits > offline ? (fits - offline) / shape.online : 0;
    if (depth < (shape.payload > kLeastPayload ? kGoodDepth : kLeastDepth)) continue;
    shape.depth = static_cast<unsigned>(std::min<std::uint64_t>(depth, kMostDepth));
    return shape;
  }
  return fail(Code::Unsupported,
              fmt::format("{} CPUs need more memory for replies than {} MiB", shape.cpus, bytes / kMiB));
}

unsigned cpusIn(std::string_view list) {
  while (list.ends_with('\n')) list.remove_suffix(1);
  const std::size_t last = list.find_last_of(",-");
  if (last != std::string_view::npos) list.remove_prefix(last + 1);
  constexpr unsigned kMost = 65'535;  // a queue's number has 16 bits
  unsigned cpu = kMost;
  const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), cpu);
  return error == std::errc{} && end == list.data() + list.size() && cpu < kMost ? cpu + 1 : 0;
}

}  // namespace forebay::fuse
