// `forebay helper`: does for the nodes and mounts of some users what needs root (io/helper/server.h), until SIGTERM or
// SIGINT. Mounts that stand go on without it.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "io/helper/server.h"
#include "io/privileged.h"

namespace forebay::cli {

struct HelperOptions {
  std::vector<std::string> allow;  // users by name or number
  std::string socket = io::kDefaultHelper;
  std::string max_memory = "50%";
};
Result<io::helper::ServerOptions> checkHelper(const HelperOptions& options);

int runHelper(Terminal& terminal, const HelperOptions& options);

}  // namespace forebay::cli
