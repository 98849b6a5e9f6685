// forebay config check FILE, forebay config docs
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "node/config.h"

namespace forebay::cli {

int runConfigCheck(Terminal& terminal, const ConfigCheckOptions& options) {
  const auto loaded = node::loadNodeConfig(
      {.file = options.file, .overrides = {.environment = config::environmentOfProcess(), .sets = options.sets}});
  if (!loaded) return terminal.fail(loaded.error());
  for (const std::string& warning : loaded->warnings) terminal.err(fmt::format("warning: {}", warning));
  Table table(terminal,
              {{.title = "KEY", .key = "key"}, {.title = "VALUE", .key = "value"}, {.title = "FROM", .key = "from"}});
  for (const config::Effective& row : loaded->effective) {
    table.row({Field::word(row.key), Field::word(row.value), Field::word(row.from)});
  }
  table.finish();
  return kExitOk;
}

int runConfigDocs(Terminal& terminal) {
  terminal.out(node::configDocumentation());
  return kExitOk;
}

}  // namespace forebay::cli
