// Walks a directory of a cell and everything below it, page by page.
//
//   TreeWalk walk(cell, directory, {.raw = false, .recursive = true});
//   while (auto step = walk.next()) { ... step->entry or step->error ... }
//
// Depth first, a directory before what is in it. A directory that can't be listed is one step with an error, and the
// walk goes on after it. Bounds: one page per level, kMaxDepth levels (deeper is an error step); a cursor that doesn't
// advance is an error step. Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "cli/cell.h"

namespace forebay::cli {

class TreeWalk {
 public:
  static constexpr std::size_t kMaxDepth = 256;
  struct Options {
    bool raw = false;
    bool recursive = true;
    bool from_origin = false;  // what is there now, raw, with checksums
    // In the order of the whole names' bytes, with all that is below a directory at the place of its name and a '/'
    // ("a-b" comes before "a/b"), whichever order the origin lists in. Recursive.
    bool sorted = false;
  };
  struct Step {
    ObjectName name;               // of the entry; of an error: of the directory
    client::DirectoryEntry entry;  // only without an error
    std::optional<Error> error;
    bool last_of_page = false;  // a good moment to print
  };

  TreeWalk(Cell& cell, ObjectName root, Options options);
  std::optional<Step> next();
  std::uint64_t hidden() const { return hidden_; }  // names so far that a mount can't show

 private:
  struct Level {
    ObjectName directory;
    client::DirectoryPage page;
    std::size_t index = 0;
    bool started = false;
    // sorted: directories that were listed, and whose place hasn't come. Each is the beginning of the next name,
    // so they are few.
    std::vector<client::DirectoryEntry> held;
  };
  std::optional<client::DirectoryEntry> take(Level& level) const;
  Step enter(client::DirectoryEntry entry);
  Status load(Level& level);

  Cell& cell_;
  const Options options_;
  std::vector<Level> levels_;
  std::uint64_t hidden_ = 0;
};

}  // namespace forebay::cli
