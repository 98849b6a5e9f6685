// How `forebay` ends, for scripts. docs/cli.md lists them; numbers are never used again.
#pragma once

#include "base/result.h"

namespace forebay::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,       // anything below doesn't say it better; the message does
  kExitUsage = 2,         // wrong arguments, a wrong configuration file
  kExitNotFound = 3,      // no such object, mount or file
  kExitPermission = 4,    // not allowed; credentials missing, wrong or expired
  kExitUnavailable = 5,   // the node or the origin didn't answer in time, or is busy: worth another try
  kExitIncomplete = 6,    // bytes that are corrupt, a version that went away midway, a load of which a part failed
  kExitInterrupted = 130  // as a shell says it of SIGINT
};

ExitCode exitCodeOf(Code code);

}  // namespace forebay::cli
