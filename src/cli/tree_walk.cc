#include "cli/tree_walk.h"

#include <fmt/format.h>

#include "cli/units.h"

namespace forebay::cli {

TreeWalk::TreeWalk(Cell& cell, ObjectName root, Options options) : cell_(cell), options_(options) {
  levels_.push_back({.directory = std::move(root), .page = {}});
}

// The next page of a level.
Status TreeWalk::load(Level& level) {
  const std::string cursor = level.page.next_cursor;
  level.page = TRY(cell_.list(level.directory, cursor, options_.raw));
  level.index = 0;
  level.started = true;
  hidden_ += level.page.hidden;
  if (!cursor.empty() && level.page.next_cursor == cursor) {
    return fail(Code::Corrupt, "the listing repeats itself: its next page is the page that was just read");
  }
  return {};
}

std::optional<TreeWalk::Step> TreeWalk::next() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.index < level.page.entries.size()) {
      Step step{.name = {}, .entry = std::move(level.page.entries[level.index++]), .error = {}};
      step.name = level.directory.below(step.entry.name);
      step.last_of_page = level.index == level.page.entries.size();
      if (step.entry.directory && options_.recursive) {
        if (step.name.path.empty()) {
          // The prefix "/" is no path: "" is the root itself, which would never end.
          step.error =
              Error{Code::Unsupported, "names that begin with '/' can't be listed, only read by their full name"};
        } else if (levels_.size() == kMaxDepth) {
          step.error = Error{Code::InvalidArgument, fmt::format("more than {} directories deep", kMaxDepth)};
        } else {
          levels_.push_back({.directory = step.name, .page = {}});
        }
      }
      return step;
    }
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
