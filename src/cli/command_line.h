// What was typed, as data: `forebay COMMAND ...` becomes one of the commands' options, or a text and an exit code
// (--help, a mistake). The only place that knows the flags' spelling.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cli/commands.h"
#include "cli/freeze.h"
#include "cli/run_helper.h"
#include "cli/run_mount.h"
#include "cli/run_node.h"
#include "cli/verify.h"

namespace forebay::cli {

struct ConfigDocsOptions {};
struct VersionOptions {};

using Command =
    std::variant<NodeOptions, MountArguments, UnmountOptions, LsOptions, StatOptions, CatOptions, LoadOptions,
                 StatusOptions, WhereOptions, GetOptions, RefreshOptions, EvictOptions, ConfigCheckOptions,
                 ConfigDocsOptions, VersionOptions, FreezeOptions, VerifyOptions, HelperOptions>;

struct Invocation {
  Command command;
  bool json = false;
  std::string node;        // of --node, as typed
  Duration timeout = 60s;  // of each call to the node
};

struct Answer {  // instead of a command
  std::string out, err;
  int exit_code = 0;
};

// `arguments` without the program's name.
std::variant<Invocation, Answer> parseCommandLine(std::vector<std::string> arguments);

}  // namespace forebay::cli
