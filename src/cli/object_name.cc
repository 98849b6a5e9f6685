#include "cli/object_name.h"

#include <algorithm>
#include <fmt/format.h>

#include "cli/units.h"

namespace forebay::cli {

Result<ObjectName> ObjectName::parse(std::string_view text) {
  auto name = parseExact(text);
  if (name && name->path.ends_with('/')) name->path.pop_back();
  return name;
}

Result<ObjectName> ObjectName::parseExact(std::string_view text) {
  constexpr std::string_view kHow = "write MOUNT/PATH, such as \"imagenet/train/a.tar\"; `forebay ls` shows the mounts";
  if (text.find("://") != std::string_view::npos) {
    return fail(Code::InvalidArgument,
                fmt::format("{}: a URL, where an object of the cell is meant: {}", printable(text), kHow));
  }
  std::string_view rest = text;
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  ObjectName name{.mount = std::string(rest.substr(0, slash)), .path = {}};
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  name.path = rest;
  if (name.mount.empty())
    return fail(Code::InvalidArgument, fmt::format("\"{}\" names nothing: {}", printable(text), kHow));
  return name;
}

ObjectName ObjectName::below(std::string_view entry) const {
  return {.mount = mount, .path = path.empty() ? std::string(entry) : fmt::format("{}/{}", path, entry)};
}

}  // namespace forebay::cli
