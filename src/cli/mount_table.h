// The kernel's table of mounts (/proc/self/mountinfo), read for `forebay unmount`. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace forebay::cli {

constexpr std::string_view kMountType = "fuse.forebay";  // what the mount calls itself in the table

struct MountEntry {
  std::string directory;
  std::string type;
};
// In the table's order: a mount over another one at the same place comes later. Lines that make no sense are skipped.
std::vector<MountEntry> parseMountTable(std::string_view text);
// "\040" is a space there.
std::string unescapeMountPath(std::string_view escaped);

}  // namespace forebay::cli
