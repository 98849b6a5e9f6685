// What the origin itself says of objects' bytes: the MD5s of its listings, beside a walk through the cell's.
//
// Asked in the order of the walk (depth first, names rising in each directory), it pages through the origin's listings
// alongside, each once. An origin whose first listing with objects has no MD5 is asked for no other: most have none.
//
// Failure: a listing that can't be had says nothing of its names. Bounds: one page per level of the walk.
// Threading: none.
#pragma once

#include <string>
#include <vector>

#include "cli/cell.h"

namespace forebay::cli {

class OriginChecksums {
 public:
  explicit OriginChecksums(Cell& cell) : cell_(cell) {}

  // 16 bytes, of that version; empty: the origin says none.
  std::string md5Of(const ObjectName& name, const std::string& version);

 private:
  struct Level {
    ObjectName directory;
    client::DirectoryPage page;
    std::size_t index = 0;
    bool started = false;
  };
  Level& levelOf(const ObjectName& directory);
  bool load(Level& level);

  Cell& cell_;
  std::vector<Level> levels_;
  bool none_ = false;
};

}  // namespace forebay::cli
