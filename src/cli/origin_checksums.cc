#include "cli/origin_checksums.h"

#include <algorithm>

namespace forebay::cli {
namespace {

bool isAbove(const ObjectName& directory, const ObjectName& other) {
  if (directory.mount != other.mount) return false;
  return directory.path.empty() || other.path.starts_with(directory.path + "/");
}

// As origins order them: a directory by its name and a slash.
std::string keyOf(const client::DirectoryEntry& entry) {
  return entry.directory ? entry.name + "/" : entry.name;
}

}  // namespace

std::string OriginChecksums::md5Of(const ObjectName& name, const std::string& version) {
  if (none_) return {};
  const std::size_t slash = name.path.rfind('/');
  const ObjectName directory{.mount = name.mount, .path = slash == std::string::npos ? "" : name.path.substr(0, slash)};
  const std::string wanted = slash == std::string::npos ? name.path : name.path.substr(slash + 1);
  Level& level = levelOf(directory);
  for (;; ++level.index) {
    while (level.index == level.page.entries.size())
      if (!load(level)) return {};
    const client::DirectoryEntry& entry = level.page.entries[level.index];
    const std::string key = keyOf(entry);
    if (key > wanted) return {};
    if (key == wanted) return entry.version == version ? entry.md5 : "";
  }
}

OriginChecksums::Level& OriginChecksums::levelOf(const ObjectName& directory) {
  while (!levels_.empty() && levels_.back().directory != directory && !isAbove(levels_.back().directory, directory))
    levels_.pop_back();
  if (levels_.empty() || levels_.back().directory != directory) levels_.push_back({.directory = directory, .page = {}});
  return levels_.back();
}

// The next page; false: there is none.
bool OriginChecksums::load(Level& level) {
  const std::string cursor = level.page.next_cursor;
  if (none_ || (level.started && cursor.empty())) return false;
  auto page = cell_.listOrigin(level.directory, cursor);
  level.started = true;
  level.index = 0;
  level.page = {};
  if (!page || (!cursor.empty() && page->next_cursor == cursor)) return false;
  const auto objects = std::ranges::count_if(page->entries, [](const auto& entry) { return !entry.directory; });
  none_ = objects > 0 && std::ranges::all_of(page->entries, [](const auto& entry) { return entry.md5.empty(); });
  level.page = std::move(*page);
  return !none_;
}

}  // namespace forebay::cli
