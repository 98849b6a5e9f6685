#include "frontend/fuse/passthrough.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <utility>

#include "base/log.h"
#include "frontend/fuse/channel.h"

namespace forebay::fuse {

void Passthrough::offered(bool by_kernel) {
  const std::lock_guard lock(mutex_);
  on_.store(by_kernel && wanted_);
  why_off_ = wanted_ ? "the kernel offers no FUSE passthrough (Linux 6.9 does)" : "the mount was told not to";
}

bool Passthrough::on() const {
  return on_.load(std::memory_order_relaxed) && channel_.backingAvailable();
}

std::string Passthrough::by() const {
  return channel_.backingNote();
}

std::string Passthrough::whyOff() const {
  if (on_.load(std::memory_order_relaxed)) return channel_.backingNote();
  const std::lock_guard lock(mutex_);
  return why_off_;
}

std::optional<Passthrough::Way> Passthrough::join(NodeNumber node) {
  const std::lock_guard lock(mutex_);
  const auto known = opened_.find(node);
  if (known == opened_.end() || (known->second.way.backing == 0 && known->second.way.map == nullptr))
    return std::nullopt;
  ++known->second.handles;
  return known->second.way;
}

Passthrough::Way Passthrough::decide(NodeNumber node, int file, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  Opened& opened = opened_[node];
  // With a mapping the bytes are here already, and the kernel refused the file before.
  if (opened.handles > 0 && opened.way.backing == 0 && opened.way.map == nullptr && file >= 0 && on() &&
      !std::exchange(opened.left, true))
    return {.elsewhere = true};
  if (opened.handles++ == 0 && file >= 0 && on()) opened.way.backing = give(file);
  if (opened.way.backing == 0 && opened.way.map == nullptr && file >= 0)
    opened.way.map = client::MappedObject::of(file, size);
  return opened.way;
}

void Passthrough::closed(NodeNumber node) {
  Way last;  // unmapped without the lock, which takes a while for a large object
  const std::lock_guard lock(mutex_);
  const auto known = opened_.find(node);
  if (known == opened_.end() || --known->second.handles > 0) return;
  last = std::move(known->second.way);
  // Mappings, and who still reads, keep the file: the kernel only forgets the number.
  if (last.backing != 0) channel_.closeBacking(last.backing);
  opened_.erase(known);
}

Passthrough::Backing Passthrough::give(int file) {
  const int id = channel_.openBacking(file);
  if (id > 0) return static_cast<Backing>(id);
  const int error = id == 0 ? EINVAL : -id;
  const bool for_good =
      error != ENOMEM && error != ENOSPC && error != EMFILE && error != ENFILE && error != EINTR && error != EAGAIN;
  if (for_good && on_.exchange(false)) {
    why_off_ = channel_.backingNote();
    if (why_off_.empty())
      why_off_ = fmt::format("{}{}", ::strerrordesc_np(error), error == EPERM ? ": it needs CAP_SYS_ADMIN" : "");
    log::info("fuse", "the kernel doesn't read complete objects by itself ({}): their reads come through this process",
              why_off_);
  }
  return 0;
}

}  // namespace forebay::fuse
