#include "io/helper/mount_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fuse_device.h"

namespace forebay::io::helper {

std::string unescapeOctal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return static_cast<unsigned>(text[at] - '0'); };
    if (text[i] == '\\' && i + 3 < text.size() && digit(i + 1) < 4 && digit(i + 2) < 8 && digit(i + 3) < 8) {
      out.push_back(static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3)));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

namespace {

std::optional<uid_t> userIn(std::string_view options) {
  constexpr std::string_view kKey = "user_id=";
  const std::size_t at = options.starts_with(kKey) ? 0 : options.find(fmt::format(",{}", kKey));
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view value = options.substr(at + kKey.size() + (at == 0 && options.starts_with(kKey) ? 0 : 1));
  uid_t user = 0;
  if (std::from_chars(value.data(), value.data() + value.size(), user).ec != std::errc()) return std::nullopt;
  return user;
}

// "36 35 98:0 /root /mount/point options - type source superoptions", with optional fields before the dash.
std::optional<MountLine> parseLine(const std::string& text) {
  std::istringstream words(text);
  std::string skip, where, word, source, options;
  MountLine line;
  if (!(words >> line.id >> line.parent >> skip >> skip >> where)) return std::nullopt;
  line.where = unescapeOctal(where);
  while (words >> word && word != "-") continue;
  words >> line.type >> source >> options;
  line.source = unescapeOctal(source);
  if (line.type.starts_with("fuse")) line.fuse_user = userIn(options);
  return line;
}

}  // namespace

MountTable::MountTable(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);)
    if (auto parsed = parseLine(line)) lines_.push_back(std::move(*parsed));
}

MountTable MountTable::ofProcess() {
  std::ostringstream text;
  text << std::ifstream("/proc/self/mountinfo").rdbuf();
  return MountTable(text.view());
}

const MountLine* MountTable::on(std::uint64_t mount, const std::string& where) const {
  const MountLine* top = nullptr;
  for (std::size_t depth = 0; depth <= lines_.size(); ++depth) {  // one mount lies on another: no more than there are
    const auto next = std::ranges::find_if(
        lines_, [&](const MountLine& line) { return line.parent == mount && line.where == where && line.id != mount; });
    if (next == lines_.end()) break;
    top = &*next;
    mount = next->id;
  }
  return top;
}

std::size_t MountTable::fuseMountsOf(uid_t user) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      lines_, [&](const MountLine& line) { return line.type == kFuseType && line.fuse_user == user; }));
}

std::uint64_t mountIdOf(int fd) {
  struct statx about{};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &about) != 0) return 0;
  return (about.stx_mask & STATX_MNT_ID) != 0 ? about.stx_mnt_id : 0;
}

std::string pathOf(int fd) {
  std::array<char, PATH_MAX> path{};
  const ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size());
  if (size <= 0 || static_cast<std::size_t>(size) == path.size() || path[0] != '/') return {};
  return {path.data(), static_cast<std::size_t>(size)};
}

}  // namespace forebay::io::helper
