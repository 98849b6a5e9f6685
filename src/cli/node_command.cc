// forebay node [--config FILE] [--set KEY=VALUE]...
#include "base/log.h"
#include "cli/run_node.h"

namespace forebay::cli {

int runNodeCommand(Terminal& terminal, const NodeOptions& options) {
  const auto loaded = node::loadNodeConfig(
      {.file = options.config, .overrides = {.environment = config::environmentOfProcess(), .sets = options.sets}});
  if (!loaded) return terminal.fail(loaded.error());
  log::setLevel(loaded->node.log_level);
  for (const std::string& warning : loaded->warnings) log::warn("config", "{}", warning);
  return runNode(terminal, loaded->node);
}

}  // namespace forebay::cli
