#include "cli/sorted_names.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fmt/format.h>
#include <memory>
#include <sys/stat.h>

#include "cli/units.h"
#include "origin/encoding.h"

namespace forebay::cli {
namespace {

// 16 bytes, or nothing for an ETag that is none ("...-12" is one of an object that was put in parts).
std::string md5OfEtag(std::string_view etag) {
  const auto md5 = origin::md5FromHex(etag);
  return md5 ? std::string(textOf(*md5)) : std::string();
}

}  // namespace

// ---- a local directory ----

LocalNames::LocalNames(std::string directory) : directory_(std::move(directory)) {}

Status LocalNames::enter(std::string prefix) {
  const std::string path = directory_ + "/" + prefix;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), [](DIR* d) { return ::closedir(d); });
  if (dir == nullptr) return failErrno(fmt::format("list {}", printable(path)), errno);
  Level level{.prefix = std::move(prefix), .names = {}};
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    Name name{.key = entry->d_name, .trouble = {}};
    if (name.key == "." || name.key == "..") continue;
    struct stat own = {}, target = {};
    const std::string file = path + name.key;
    if (::lstat(file.c_str(), &own) != 0 || ::stat(file.c_str(), &target) != 0) {
      name.trouble = failErrno("look at it", errno).error().message;
    } else if (S_ISDIR(own.st_mode)) {
      name.key += '/';
    } else if (S_ISREG(target.st_mode)) {
      name.size = static_cast<std::uint64_t>(target.st_size);
    } else {
      name.trouble = S_ISDIR(target.st_mode) ? "a link to a directory isn't followed" : "not a regular file";
    }
    level.names.push_back(std::move(name));
    errno = 0;
  }
  if (errno != 0) return failErrno(fmt::format("list {}", printable(path)), errno);
  std::ranges::sort(level.names, std::ranges::greater{}, &Name::key);
  levels_.push_back(std::move(level));
  return {};
}

Result<std::optional<SortedObject>> LocalNames::next() {
  if (!std::exchange(started_, true)) TRY(enter(""));
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.names.empty()) {
      levels_.pop_back();
      continue;
    }
    Name name = std::move(level.names.back());
    level.names.pop_back();
    std::string path = level.prefix + name.key;
    if (!path.ends_with('/'))
      return std::optional(SortedObject{
          .path = std::move(path), .size = name.size, .version = {}, .md5 = {}, .trouble = std::move(name.trouble)});
    if (levels_.size() == TreeWalk::kMaxDepth)
      return fail(Code::InvalidArgument,
                  fmt::format("{}: more than {} directories deep", printable(path), TreeWalk::kMaxDepth));
    TRY(enter(std::move(path)));
  }
  return std::optional<SortedObject>();
}

// ---- a cell, or the origin behind it ----

CellNames::CellNames(Cell& cell, const ObjectName& root, Of of, bool etags_are_md5)
    : walk_(cell, root, {.raw = true, .recursive = true, .from_origin = of == Of::Origin, .sorted = true}),
      skip_(root.path.empty() ? 0 : root.path.size() + 1),
      etags_are_md5_(etags_are_md5) {}

Result<std::optional<SortedObject>> CellNames::next() {
  while (auto step = walk_.next()) {
    if (step->error)
      return fail(step->error->code, fmt::format("list {}: {}", printable(step->name.text()), step->error->message),
                  step->error->retry_after_ms);
    client::DirectoryEntry& entry = step->entry;
    if (entry.directory) continue;
    SortedObject object{.path = step->name.path.substr(skip_),
                        .size = entry.size,
                        .version = std::move(entry.version),
                        .md5 = std::move(entry.md5),
                        .trouble = {}};
    if (object.md5.empty() && etags_are_md5_) object.md5 = md5OfEtag(object.version);
    return std::optional(std::move(object));
  }
  return std::optional<SortedObject>();
}

Result<std::string> mountUrl(Cell& cell, const std::string& mount) {
  const auto reply = TRY(cell.status(false));
  for (const auto& node : reply.nodes())
    for (const auto& known : node.mounts())
      if (known.name() == mount) return known.url();
  return fail(Code::NotFound,
              fmt::format("{}: the node has no mount of that name (`forebay ls` shows them)", printable(mount)));
}

}  // namespace forebay::cli
