#include "io/memory.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <vector>

#include "base/bytes.h"
#include "io/descriptor.h"

namespace forebay::io {
namespace {

constexpr std::size_t kMaxText = 4 * kMiB;  // mountinfo of a machine with thousands of pods is about 1 MiB

Result<std::string> readText(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return failErrno(fmt::format("open {}", path), errno);
  std::string text;
  std::array<char, 16 * kKiB> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failErrno(fmt::format("read {}", path), errno);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxText) return fail(Code::IoError, fmt::format("{}: more than {} bytes", path, kMaxText));
  }
}

std::string_view nextOf(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

std::optional<std::uint64_t> parseNumber(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

// "Key:   123 kB" in bytes.
std::optional<std::uint64_t> kilobytesOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = nextOf(text, '\n');
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    if (!line.starts_with(':')) continue;
    line.remove_prefix(1);
    const auto value = parseNumber(line);
    if (value && *value <= UINT64_MAX / kKiB) return *value * kKiB;
  }
  return std::nullopt;
}

bool hasWord(std::string_view list, std::string_view word) {
  while (!list.empty())
    if (nextOf(list, ',') == word) return true;
  return false;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '\\' && i + 3 < text.size() && std::from_chars(digits, digits + 3, value, 8).ptr == digits + 3) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "36 25 0:31 /shown /mounted/at rw,... shared:1 - cgroup cgroup rw,memory"
std::optional<CgroupMount> parseMount(std::string_view line) {
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view after = line.substr(dash + 3);
  const std::string_view type = nextOf(after, ' ');
  nextOf(after, ' ');
  const bool v2 = type == "cgroup2";
  if (!v2 && (type != "cgroup" || !hasWord(after, "memory"))) return std::nullopt;
  for (int skipped = 0; skipped < 3; ++skipped) nextOf(line, ' ');
  CgroupMount mount;
  mount.shown = unescape(nextOf(line, ' '));
  mount.path = unescape(nextOf(line, ' '));
  mount.v2 = v2;
  if (!mount.shown.starts_with('/') || !mount.path.starts_with('/')) return std::nullopt;
  return mount;
}

// The process's path as seen below the mount; a container often sees its own cgroup as the mount's root.
std::string below(const CgroupMount& mount, std::string_view path) {
  if (mount.shown != "/") {
    if (!path.starts_with(mount.shown)) return "";
    path.remove_prefix(mount.shown.size());
  }
  if (path.find("..") != std::string_view::npos || !path.starts_with('/')) return "";
  return std::string(path == "/" ? "" : path);
}

struct Tightest {
  std::optional<std::uint64_t> bytes;
  std::string directory;
};

void readLimit(const std::string& root, const std::string& directory, const char* file, Tightest& tightest) {
  const auto text = readText(root + directory + "/" + file);
  if (!text) return;  // the root cgroup has no such file; a level that can't be read limits nothing that we know
  const auto limit = parseNumber(*text);  // "max": none
  if (!limit || *limit >= tightest.bytes.value_or(UINT64_MAX)) return;
  tightest.bytes = limit;
  tightest.directory = directory;
}

Tightest tightestOf(const std::string& root, const CgroupPlace& place) {
  Tightest tightest;
  std::string directory = place.directory;
  for (;;) {
    const std::string full = place.mount.path + directory;
    if (place.mount.v2) {
      readLimit(root, full, "memory.max", tightest);
      readLimit(root, full, "memory.high", tightest);  // above it the kernel slows a process down to a crawl
    } else {
      readLimit(root, full, "memory.limit_in_bytes", tightest);
    }
    if (directory.empty()) return tightest;
    directory.resize(directory.rfind('/'));
  }
}

}  // namespace

std::optional<CgroupPlace> memoryCgroup(std::string_view proc_cgroup, std::string_view mountinfo) {
  std::optional<std::string_view> v1, v2;
  while (!proc_cgroup.empty()) {  // "4:memory:/path", or "0::/path" for v2
    std::string_view line = nextOf(proc_cgroup, '\n');
    const std::string_view number = nextOf(line, ':');
    const std::string_view controllers = nextOf(line, ':');
    if (hasWord(controllers, "memory")) v1 = line;
    if (number == "0" && controllers.empty()) v2 = line;
  }
  std::optional<CgroupPlace> found;
  while (!mountinfo.empty()) {
    const auto mount = parseMount(nextOf(mountinfo, '\n'));
    if (!mount) continue;
    // Where both are mounted, the memory controller is v1's if /proc/self/cgroup says so.
    if (mount->v2 ? v1.has_value() || !v2 : !v1) continue;
    found = CgroupPlace{*mount, below(*mount, mount->v2 ? *v2 : *v1)};
  }
  return found;
}

Result<MemoryLimits> memoryLimits(const std::string& root) {
  MemoryLimits limits;
  const std::string meminfo = TRY(readText(root + "/proc/meminfo"));
  const auto total = kilobytesOf(meminfo, "MemTotal");
  if (!total || *total == 0)
    return fail(Code::IoError, "/proc/meminfo: no MemTotal; give the node's memory explicitly");
  limits.machine_bytes = *total;
  const auto cgroup = readText(root + "/proc/self/cgroup");
  const auto mountinfo = readText(root + "/proc/self/mountinfo");
  if (!cgroup || !mountinfo) return limits;
  const auto place = memoryCgroup(*cgroup, *mountinfo);
  if (!place) return limits;
  const Tightest tightest = tightestOf(root, *place);
  if (!tightest.bytes || *tightest.bytes >= limits.machine_bytes) return limits;  // v1 says "none" as nearly 2^63
  limits.cgroup_bytes = tightest.bytes;
  limits.cgroup = tightest.directory;
  return limits;
}

Result<ProcessMemory> processMemory(const std::string& root) {
  const std::string status = TRY(readText(root + "/proc/self/status"));
  const auto anonymous = kilobytesOf(status, "RssAnon");
  const auto shared = kilobytesOf(status, "RssShmem");
  const auto file = kilobytesOf(status, "RssFile");
  if (!anonymous || !shared || !file) return fail(Code::IoError, "/proc/self/status: no RssAnon, RssShmem or RssFile");
  return ProcessMemory{*anonymous, *shared, *file};
}

}  // namespace forebay::io
