// forebay freeze MOUNT: writes the manifest of what is below a mount's prefix at its origin now (node/manifest.h).
//
// The origin is listed through the node, page by page, whatever the node knows, so that nothing that was uploaded a
// moment ago is missing; memory doesn't grow with the number of names. A listing that fails, or that isn't in the order
// of names, ends it with an error, and what was written until then lacks its last line: no node takes it.
#pragma once

#include <string>

#include "cli/cell.h"
#include "cli/terminal.h"

namespace forebay::cli {

struct FreezeOptions {
  std::string mount;
  std::string file;  // empty: stdout. Otherwise it appears once it is whole, in place of what was there
};
int runFreeze(Cell& cell, Terminal& terminal, const FreezeOptions& options);

}  // namespace forebay::cli
