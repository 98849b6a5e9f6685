#include "frontend/fuse/remembered_names.h"

namespace forebay::fuse {
namespace {

// With the plan, the list's and the table's nodes.
std::size_t costOf(const Inode& inode) {
  constexpr std::size_t kEntry = sizeof(Inode) + sizeof(core::Plan) + 160;
  return kEntry + 2 * inode.path.size() + 2 * inode.version.size();
}

}  // namespace

void RememberedNames::drop(Entries::iterator entry) {
  bytes_ -= costOf(entry->inode);
  by_path_.erase(entry->inode.path);
  entries_.erase(entry);
}

void RememberedNames::remember(const Inode& inode, TimePoint until) {
  forget(inode.path);
  entries_.push_front({inode, until});
  by_path_.emplace(entries_.front().inode.path, entries_.begin());
  bytes_ += costOf(inode);
  while (bytes_ > max_bytes_) drop(std::prev(entries_.end()));
}

std::optional<RememberedNames::Known> RememberedNames::find(std::string_view path, TimePoint now) {
  const auto known = by_path_.find(path);
  if (known == by_path_.end()) return std::nullopt;
  const auto entry = known->second;
  if (now >= entry->until) {
    drop(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return Known{entry->inode, entry->until - now};
}

void RememberedNames::forget(std::string_view path) {
  if (const auto known = by_path_.find(path); known != by_path_.end()) drop(known->second);
}

void RememberedNames::forgetBelow(std::string_view path) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto at = entry++;
    const std::string_view name = at->inode.path;
    if (path.empty() || name == path ||
        (name.size() > path.size() && name.starts_with(path) && name[path.size()] == '/'))
      drop(at);
  }
}

}  // namespace forebay::fuse
