// How a command names an object of a cell: MOUNT/PATH, such as "imagenet/train/shard-0001.tar".
//
// MOUNT alone is the mount's root. A slash before MOUNT is tolerated (shells complete it), one at the end says "a
// directory" and is dropped, unless an object of exactly the typed name is meant (parseExact). Everything after MOUNT/
// is the object's name as the origin has it: spaces, "..", "%" and "//" mean themselves.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay::cli {

struct ObjectName {
  std::string mount;
  std::string path;  // without a slash at its start; empty: the root

  static Result<ObjectName> parse(std::string_view text);
  static Result<ObjectName> parseExact(std::string_view text);
  std::string text() const { return path.empty() ? mount : mount + "/" + path; }
  // The name of an entry of this directory.
  ObjectName below(std::string_view entry) const;
  bool operator==(const ObjectName&) const = default;
};

}  // namespace forebay::cli
