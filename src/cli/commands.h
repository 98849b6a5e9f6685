// The commands that read a cell, each in a file of its own, as functions of a Cell, a Terminal and their options. They
// return an exit code (exit_codes.h). With several names, a command goes on after one that fails and returns the code
// of the first failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "cli/cell.h"
#include "cli/terminal.h"
#include "io/privileged.h"

namespace forebay::cli {

struct LsOptions {
  std::vector<std::string> names;  // none: the mounts
  bool details = false;            // size, time and version too
  bool recursive = false;
  bool raw = false;  // names as the origin has them, also those that a mount hides
};
int runLs(Cell& cell, Terminal& terminal, const LsOptions& options);

struct StatOptions {
  std::vector<std::string> names;
  bool raw = false;  // an object of exactly this name, also where a directory hides it
};
int runStat(Cell& cell, Terminal& terminal, const StatOptions& options);

struct CatOptions {
  std::vector<std::string> names;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};
int runCat(Cell& cell, Terminal& terminal, const CatOptions& options);

struct LoadOptions {
  std::vector<std::string> names;
  unsigned in_flight = 0;    // chunks that each node fetches at once; 0: its choice
  std::uint32_t copies = 1;  // of each chunk in the cell; 0: on every node
};
int runLoad(Cell& cell, Terminal& terminal, const LoadOptions& options);

struct StatusOptions {
  bool local = false;  // of the node that we are connected to, not of its whole cell
};
int runStatus(Cell& cell, Terminal& terminal, const StatusOptions& options);

struct WhereOptions {
  std::vector<std::string> names;
};
int runWhere(Cell& cell, Terminal& terminal, const WhereOptions& options);

struct GetOptions {
  std::string source;       // MOUNT/PATH
  std::string destination;  // a file or a directory; with `recursive` a directory, made if need be
  bool recursive = false;
  bool overwrite = false;
  unsigned in_flight = 16;  // pieces at once; one per thread
};
int runGet(Cell& cell, Terminal& terminal, const GetOptions& options);

struct RefreshOptions {
  std::vector<std::string> names;
};
int runRefresh(Cell& cell, Terminal& terminal, const RefreshOptions& options);

struct EvictOptions {
  std::vector<std::string> names;
};
int runEvict(Cell& cell, Terminal& terminal, const EvictOptions& options);

struct ConfigCheckOptions {
  std::string file;
  std::vector<std::string> sets;
};
int runConfigCheck(Terminal& terminal, const ConfigCheckOptions& options);
int runConfigDocs(Terminal& terminal);

int runVersion(Terminal& terminal);

struct UnmountOptions {
  std::string directory;
  std::string helper = io::kDefaultHelper;  // who unmounts for users who aren't root; then it is fusermount3
  bool lazy = false;                        // now, even if somebody still has a file open; it goes when they are done
};
int runUnmount(Terminal& terminal, const UnmountOptions& options);

// The exit code of several steps: that of the first one that failed.
class ExitStatus {
 public:
  void add(int code) {
    if (code_ == 0) code_ = code;
  }
  int code() const { return code_; }

 private:
  int code_ = 0;
};

}  // namespace forebay::cli
