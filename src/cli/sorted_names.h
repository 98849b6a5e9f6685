// The objects below a directory, one after the other in the order of their paths' bytes: of a local directory, of what
// a cell serves, or of what a mount's origin has now. Two of them are compared by going through both at once, whatever
// their number.
//
// Paths are relative to where it starts. A directory that can't be listed ends it with that error: what is below would
// look as if it were missing. Bounds: a local directory's own names are in memory while it is gone through, of the
// others a page for each level. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/cell.h"
#include "cli/tree_walk.h"

namespace forebay::cli {

struct SortedObject {
  std::string path;
  std::uint64_t size = 0;
  std::string version;  // of a cell's or an origin's
  std::string md5;      // 16 bytes: what the origin says that its bytes have; empty: it says nothing
  std::string trouble;  // set: a name that isn't a file, and why
};

class SortedNames {
 public:
  virtual ~SortedNames() = default;
  virtual Result<std::optional<SortedObject>> next() = 0;  // nothing: that was the last
};

class LocalNames : public SortedNames {
 public:
  explicit LocalNames(std::string directory);
  Result<std::optional<SortedObject>> next() override;

 private:
  struct Name {
    std::string key;  // with a '/' behind a directory's
    std::uint64_t size = 0;
    std::string trouble;
  };
  struct Level {
    std::string prefix;       // of its names: "" or "a/b/"
    std::vector<Name> names;  // the next last
  };
  Status enter(std::string prefix);
  const std::string directory_;
  std::vector<Level> levels_;
  bool started_ = false;
};

class CellNames : public SortedNames {
 public:
  enum class Of { Cell, Origin };
  // `etags_are_md5`: of S3, where the ETag of an object that was put in one part is its MD5 (unless it is encrypted
  // with keys of KMS or of a customer).
  CellNames(Cell& cell, const ObjectName& root, Of of, bool etags_are_md5 = false);
  Result<std::optional<SortedObject>> next() override;

 private:
  TreeWalk walk_;
  const std::size_t skip_;  // of a whole path, to be relative
  const bool etags_are_md5_;
};

// Where a mount's bytes live, by the node's word. NotFound.
Result<std::string> mountUrl(Cell& cell, const std::string& mount);

}  // namespace forebay::cli
