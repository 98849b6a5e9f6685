#include "cli/cell.h"

#include <cstdlib>
#include <fmt/format.h>

#include "base/config_paths.h"

namespace forebay::cli {

Result<client::Attributes> Cell::lookup(const ObjectName& name, bool object_only) {
  const std::string paths[] = {name.path};
  auto answers = TRY(resolve(name.mount, paths, object_only));
  if (answers.size() != 1) return fail(Code::Internal, fmt::format("{} answers for one name", answers.size()));
  return std::move(answers.front());
}

Result<io::Address> nodeAddress(std::string_view flag) {
  std::string_view from = "--node";
  std::string text(flag);
  if (text.empty()) {
    // Before threads; nothing in Forebay writes the environment.
    const char* variable = std::getenv("FOREBAY_NODE");  // NOLINT(concurrency-mt-unsafe)
    if (variable != nullptr) text = variable;
    from = "FOREBAY_NODE";
  }
  if (text.empty()) return io::Address::unixPath(config::defaultSocketPath());
  auto address = io::Address::parse(text);
  if (!address) {
    return fail(Code::InvalidArgument,
                fmt::format("{} {}: {} (write unix:PATH or host:port)", from, text, address.error().message));
  }
  return address;
}

}  // namespace forebay::cli
