#include "client/shared_objects.h"

#include <algorithm>
#include <vector>

namespace forebay::client {

std::shared_ptr<const MappedObject> SharedObjects::find(TimePoint now, const core::ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end() || !known->second.object) return nullptr;
  known->second.used = now;
  return known->second.object;
}

bool SharedObjects::wants(TimePoint now, const core::Plan& plan) {
  std::shared_ptr<const MappedObject> gone;  // unmapped without the lock
  const std::lock_guard lock(mutex_);
  if (never_ || plan.size < kLeast) return false;
  const auto known = entries_.find(plan.key);
  if (known != entries_.end()) {
    Entry& entry = known->second;
    if (entry.object || now < entry.ask_after) return false;
    entry.ask_after = kNever;
    return true;
  }
  if (entries_.size() == kMost) gone = makeRoom();
  entries_[plan.key] = {.object = nullptr, .used = now, .ask_after = kNever};
  return true;
}

std::shared_ptr<const MappedObject> SharedObjects::makeRoom() {
  const auto oldest = std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.used; });
  auto object = std::move(oldest->second.object);
  entries_.erase(oldest);
  return object;
}

void SharedObjects::answered(TimePoint now, const core::Plan& plan, const Result<io::Descriptor>& file) {
  auto object = file ? MappedObject::of(file->get(), plan.size) : nullptr;
  const std::lock_guard lock(mutex_);
  if (!file && file.error().code == Code::Unsupported) never_ = true;
  const auto known = entries_.find(plan.key);
  if (known == entries_.end()) return;  // others took its place
  Entry& entry = known->second;
  entry.ask_after = now + (!file && file.error().code == Code::Busy ? kBusy : kAskAgain);
  entry.used = now;
  entry.object = std::move(object);
}

void SharedObjects::sweep(TimePoint now) {
  std::vector<std::shared_ptr<const MappedObject>> gone;
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool asked = !entry->second.object && entry->second.ask_after == kNever;
    if (asked || now < entry->second.used + kIdle) {
      ++entry;
      continue;
    }
    gone.push_back(std::move(entry->second.object));
    entry = entries_.erase(entry);
  }
}

std::size_t SharedObjects::mapped() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const auto& e) { return e.second.object != nullptr; }));
}

}  // namespace forebay::client
