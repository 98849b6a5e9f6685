#include "node/config_memory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/bytes.h"

namespace forebay::node {
namespace {

std::string readAll(const std::filesystem::path& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number at the start of `text`; 0 for "max" and for nothing.
std::uint64_t numberIn(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::uint64_t memTotal(const std::filesystem::path& root) {
  const std::string text = readAll(root / "proc/meminfo");
  const std::size_t at = text.find("MemTotal:");
  return at == std::string::npos ? 0 : numberIn(std::string_view(text).substr(at + 9)) * kKiB;
}

struct Hierarchy {
  std::filesystem::path mounted_at;
  std::filesystem::path group;  // of this process, relative
  std::string_view limit_file;
};

// The line "0::/a/b" is cgroup v2's, "7:memory:/a/b" v1's (cgroups(7)).
std::vector<Hierarchy> hierarchies(const std::filesystem::path& root) {
  std::vector<Hierarchy> found;
  std::istringstream lines(readAll(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::filesystem::path group = std::filesystem::path(line.substr(second + 1)).relative_path();
    if (controllers.empty()) found.push_back({root / "sys/fs/cgroup", group, "memory.max"});
    if (controllers == "memory") found.push_back({root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"});
  }
  return found;
}

}  // namespace

std::uint64_t availableMemory(const std::string& root) {
  std::uint64_t least = memTotal(root);
  const auto consider = [&](std::uint64_t limit) {
    if (limit != 0 && (least == 0 || limit < least)) least = limit;
  };
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    // Up to the mount point: a parent's limit binds too. Inside a container the group's path may not exist below the
    // mount point, which is then the group itself.
    std::filesystem::path group = hierarchy.group;
    for (;; group = group.parent_path()) {
      consider(numberIn(readAll(hierarchy.mounted_at / group / hierarchy.limit_file)));
      if (group.empty()) break;
    }
  }
  return least;
}

std::uint64_t memoryBytes(const config::Amount& amount, std::uint64_t available) {
  const std::uint64_t bytes = amount.percent == 0 ? amount.bytes : available / 100 * amount.percent;
  return roundDown(bytes, 2 * kMiB);
}

}  // namespace forebay::node
