// `forebay node`: a node in this process, until SIGTERM or SIGINT.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "node/config.h"

namespace forebay::cli {

struct NodeOptions {
  std::string config;             // file; empty: defaults and overrides only
  std::vector<std::string> sets;  // "node.memory=4GiB"
};
// Reads and checks the configuration, then runs.
int runNodeCommand(Terminal& terminal, const NodeOptions& options);

int runNode(Terminal& terminal, const node::NodeConfig& config);

}  // namespace forebay::cli
