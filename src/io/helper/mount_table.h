// /proc/self/mountinfo, as far as the helper asks it: what lies on a directory, and whose FUSE mounts there are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace forebay::io::helper {

// The kernel's tables write a space as \040.
std::string unescapeOctal(std::string_view text);

struct MountLine {
  std::uint64_t id = 0, parent = 0;
  std::string where;   // of this process's root
  std::string type;    // "fuse.forebay"
  std::string source;  // "az://acme/data"
  std::optional<uid_t> fuse_user;
};

class MountTable {
 public:
  explicit MountTable(std::string_view text);
  static MountTable ofProcess();

  // What is mounted on a directory of a mount: the topmost. Null: nothing.
  const MountLine* on(std::uint64_t mount, const std::string& where) const;
  std::size_t fuseMountsOf(uid_t user) const;

 private:
  std::vector<MountLine> lines_;
};

// The id of the mount that a descriptor was opened through; 0 where the kernel doesn't say (before 5.8).
std::uint64_t mountIdOf(int fd);
// Where it is, from this process's root. Empty: nowhere any more.
std::string pathOf(int fd);

}  // namespace forebay::io::helper
