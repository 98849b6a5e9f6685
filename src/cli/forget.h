// What `refresh` and `evict` have in common: names grouped by mount, asked for in requests of a bounded size, and what
// each node of the cell said, summed up.
//
// Threading: none.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cli/cell.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace forebay::cli {

class Forgetting {
 public:
  explicit Forgetting(Terminal& terminal) : terminal_(terminal) {}

  // Calls `ask` with the paths of one mount ("": all of it), as often as needed. `ask` returns the exit code; names
  // that are none are told and counted here.
  void each(const std::vector<std::string>& names,
            const std::function<int(const std::string& mount, std::span<const std::string> paths)>& ask);
  // A node that may not have done it: once per node, whatever the number of requests.
  void failed(const std::string& node, const Error& error);

  // Of the names first, then of nodes: a cell of which a part has done it is Incomplete.
  int exitCode(bool any_node_did) const;
  const std::map<std::string, Error>& failures() const { return failures_; }

 private:
  Terminal& terminal_;
  ExitStatus status_;
  std::map<std::string, Error> failures_;  // by node
};

}  // namespace forebay::cli
