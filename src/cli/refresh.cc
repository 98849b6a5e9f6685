// forebay refresh MOUNT[/PATH]...
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/forget.h"
#include "cli/units.h"
#include "wire/messages.h"

namespace forebay::cli {

int runRefresh(Cell& cell, Terminal& terminal, const RefreshOptions& options) {
  Forgetting forgetting(terminal);
  std::map<std::string, std::uint64_t> names;  // forgotten, by node
  forgetting.each(options.names, [&](const std::string& mount, std::span<const std::string> paths) -> int {
    const auto reply = cell.refresh(mount, paths);
    if (!reply) return terminal.fail(printable(mount), reply.error());
    for (const auto& node : reply->nodes()) {
      if (node.has_failure())
        forgetting.failed(node.name(), wire::fromMessage(node.failure()));
      else
        names[node.name()] += node.names();
    }
    return kExitOk;
  });
  for (const auto& [node, error] : forgetting.failures()) names.erase(node);
  Table table(terminal, {{.title = "NODE", .key = "node"},
                         {.title = "FORGOTTEN", .key = "forgotten", .right = true},
                         {.title = "STATE", .key = "state"}});
  for (const auto& [node, count] : names)
    table.row({Field::word(node), Field::number(count, humanCount(count)), Field::word("done")});
  for (const auto& [node, error] : forgetting.failures())
    table.row({Field::word(node), Field::none(), Field::word(codeName(error.code))});
  table.finish();
  return forgetting.exitCode(!names.empty());
}

}  // namespace forebay::cli
