#include "core/completion.h"

#include <algorithm>

namespace forebay::core {

void Inflow::began(TimePoint now) {
  if (on_their_way_ == 0) {
    if (bytes_ != 0 && now - since_ >= limits_.old) {
      bytes_ /= 4;
      busy_ /= 4;
    }
    since_ = now;
  }
  pass(now);
  ++on_their_way_;
}

void Inflow::came(TimePoint now, std::uint64_t bytes) {
  pass(now);
  bytes_ += bytes;
}

void Inflow::ended(TimePoint now) {
  pass(now);
  if (on_their_way_ > 0) --on_their_way_;
}

void Inflow::pass(TimePoint now) {
  if (on_their_way_ != 0) busy_ += now - since_;
  since_ = now;
  while (busy_ > limits_.window) {
    bytes_ /= 2;
    busy_ /= 2;
  }
}

Duration Inflow::timeFor(TimePoint now, std::uint64_t bytes) const {
  // In KiB and microseconds, so that no product leaves 64 bits: 4 TiB times a second.
  constexpr std::uint64_t kMost = 4096 * kGiB;
  const std::uint64_t kib = divideUp(std::min(bytes, kMost), kKiB);
  if (bytes_ < limits_.enough) return std::chrono::microseconds(kib * 1'000'000 / (limits_.first_guess / kKiB));
  // A stall that goes on counts, or a source that stopped would go on to look fast.
  const Duration stalled = on_their_way_ != 0 ? std::min(now - since_, limits_.window) : Duration{0};
  const auto busy_us = static_cast<std::uint64_t>(toUs(busy_ + stalled));
  return std::chrono::microseconds(kib * busy_us / (bytes_ / kKiB));
}

void DirectoryUse::closed(std::uint64_t directory, std::uint64_t read, std::uint64_t size) {
  if (read == 0 || size == 0) return;
  auto [at, is_new] = directories_.try_emplace(directory);
  Directory& entry = at->second;
  if (!is_new) used_.erase(entry.used);
  used_.push_front(directory);
  entry.used = used_.begin();
  // Divided first: sizes may have all of 64 bits.
  const std::uint64_t share = read >= size ? 1'000 : size < 1'000'000 ? read * 1'000 / size : read / (size / 1'000);
  entry.per_mille[entry.next] = static_cast<std::uint16_t>(std::min<std::uint64_t>(share, 1'000));
  entry.next = static_cast<std::uint8_t>((entry.next + 1) % kLast);
  entry.handles = std::min<std::uint8_t>(static_cast<std::uint8_t>(entry.handles + 1), kLast);
  if (directories_.size() <= kMost) return;
  directories_.erase(used_.back());
  used_.pop_back();
}

bool DirectoryUse::readsWhole(std::uint64_t directory) const {
  const auto known = directories_.find(directory);
  if (known == directories_.end() || known->second.handles < kEnough) return true;
  std::uint32_t sum = 0;
  for (std::uint8_t i = 0; i < known->second.handles; ++i) sum += known->second.per_mille[i];
  return sum * 2 >= std::uint32_t{1'000} * known->second.handles;
}

}  // namespace forebay::core
