#include "cli/forget.h"

#include <fmt/format.h>

#include "cli/exit_codes.h"
#include "cli/units.h"
#include "wire/messages.h"

namespace forebay::cli {

void Forgetting::each(const std::vector<std::string>& names,
                      const std::function<int(const std::string& mount, std::span<const std::string> paths)>& ask) {
  std::map<std::string, std::vector<std::string>> paths;
  for (const std::string& text : names) {
    const auto name = ObjectName::parse(text);
    if (name)
      paths[name->mount].push_back(name->path);
    else
      status_.add(terminal_.fail(name.error()));
  }
  for (const auto& [mount, all] : paths) {
    for (std::size_t at = 0; at < all.size();) {
      std::size_t end = at, bytes = 0;
      for (; end < all.size() && end - at < static_cast<std::size_t>(wire::kMaxPathsPerForget); ++end) {
        bytes += all[end].size();
        if (end > at && bytes > wire::kMaxForgetBytes) break;
      }
      status_.add(ask(mount, std::span(all).subspan(at, end - at)));
      at = end;
    }
  }
}

void Forgetting::failed(const std::string& node, const Error& error) {
  if (!failures_.try_emplace(node, error).second) return;
  terminal_.err(fmt::format("{}: {}", node, error.message));
}

int Forgetting::exitCode(bool any_node_did) const {
  if (status_.code() != 0) return status_.code();
  if (failures_.empty()) return kExitOk;
  return any_node_did ? static_cast<int>(kExitIncomplete)
                      : static_cast<int>(exitCodeOf(failures_.begin()->second.code));
}

}  // namespace forebay::cli
