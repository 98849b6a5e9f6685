#include "cli/tree_walk.h"

#include <algorithm>
#include <fmt/format.h>

#include "cli/units.h"

namespace forebay::cli {

TreeWalk::TreeWalk(Cell& cell, ObjectName root, Options options) : cell_(cell), options_(options) {
  levels_.push_back({.directory = std::move(root), .page = {}, .held = {}});
}

// The next page of a level.
Status TreeWalk::load(Level& level) {
  const std::string cursor = level.page.next_cursor;
  level.page = TRY(options_.from_origin ? cell_.listOrigin(level.directory, cursor)
                                        : cell_.list(level.directory, cursor, options_.raw));
  level.index = 0;
  level.started = true;
  hidden_ += level.page.hidden;
  if (!cursor.empty() && level.page.next_cursor == cursor) {
    return fail(Code::Corrupt, "the listing repeats itself: its next page is the page that was just read");
  }
  return {};
}

namespace {
std::string keyOf(const client::DirectoryEntry& entry) {
  return entry.directory ? entry.name + "/" : entry.name;
}
}  // namespace

// The next entry of what is loaded of a level; nothing if more has to be loaded first, or there is no more.
std::optional<client::DirectoryEntry> TreeWalk::take(Level& level) const {
  const bool complete = level.started && level.page.next_cursor.empty();
  while (true) {
    const bool more = level.index < level.page.entries.size();
    if (!level.held.empty() && (more ? keyOf(level.held.back()) < keyOf(level.page.entries[level.index]) : complete)) {
      auto entry = std::move(level.held.back());
      level.held.pop_back();
      return entry;
    }
    if (!more) return std::nullopt;
    client::DirectoryEntry entry = std::move(level.page.entries[level.index++]);
    if (!options_.sorted || !entry.directory) return entry;
    const auto later = std::ranges::find_if(level.held, [&](const auto& held) { return keyOf(held) < keyOf(entry); });
    level.held.insert(later, std::move(entry));  // the next last
  }
}

TreeWalk::Step TreeWalk::enter(client::DirectoryEntry entry) {
  Level& level = levels_.back();
  Step step{.name = level.directory.below(entry.name), .entry = std::move(entry), .error = {}};
  step.last_of_page = level.index == level.page.entries.size();
  if (!step.entry.directory || !options_.recursive) return step;
  if (step.name.path.empty()) {
    // The prefix "/" is no path: "" is the root itself, which would never end.
    step.error = Error{Code::Unsupported, "names that begin with '/' can't be listed, only read by their full name"};
  } else if (levels_.size() == kMaxDepth) {
    step.error = Error{Code::InvalidArgument, fmt::format("more than {} directories deep", kMaxDepth)};
  } else {
    levels_.push_back({.directory = step.name, .page = {}, .held = {}});
  }
  return step;
}

std::optional<TreeWalk::Step> TreeWalk::next() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (auto entry = take(level)) return enter(std::move(*entry));
    if (level.started && level.page.next_cursor.empty()) {
      levels_.pop_back();
      continue;
    }
    if (Status loaded = load(level); !loaded) {
      Step step{.name = level.directory, .entry = {}, .error = std::move(loaded.error()), .last_of_page = true};
      levels_.pop_back();
      return step;
    }
  }
  return std::nullopt;
}

}  // namespace forebay::cli
