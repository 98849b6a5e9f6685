#include "client/direct_ahead.h"

#include <algorithm>

#include "client/direct_read.h"

namespace forebay::client {
namespace {

constexpr Duration kWarmDeadline = 30s;

}  // namespace

bool DirectAhead::saw(const core::SharedPlan& plan, std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return false;
  said_.clear();
  const bool scan = readahead_.read(*plan, offset, length, said_);
  if (!said_.empty() && patience_ > 0) due_.push_back({plan, said_});
  return scan && patience_ > 0;
}

void DirectAhead::bringIn() {
  std::vector<Wanted> wanted;
  std::uint64_t bytes = 0;
  for (const Due& due : std::exchange(due_, {}))
    for (const core::RunsAhead& ahead : due.ahead) {
      const std::uint64_t start =
          (std::uint64_t{ahead.chunk} << due.plan->chunk_bits) + std::uint64_t{ahead.runs.first} * core::kRun;
      const std::uint64_t length = std::uint64_t{ahead.runs.size()} * core::kRun;
      if (bytes_ + bytes + length > kMaxBytes) continue;
      bytes += length;
      wanted.push_back(Wanted::of(due.plan, start, length, {}));
    }
  if (wanted.empty() || cell_.closing()) return;
  bytes_ += bytes;
  cell_.run(std::make_shared<DirectRead>(
      cell_, std::move(wanted),
      DirectRead::Options{.warm_only = true, .deadline = io::Reactor::now() + kWarmDeadline, .call = 0},
      [this, bytes](std::span<const Wanted>) { bytes_ -= bytes; }));
}

}  // namespace forebay::client
