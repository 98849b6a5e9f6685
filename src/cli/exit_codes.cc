#include "cli/exit_codes.h"

namespace forebay::cli {

ExitCode exitCodeOf(Code code) {
  switch (code) {
    case Code::Ok:
      return kExitOk;
    case Code::InvalidArgument:
      return kExitUsage;
    case Code::NotFound:
      return kExitNotFound;
    case Code::PermissionDenied:
    case Code::Unauthenticated:
      return kExitPermission;
    case Code::Unavailable:
    case Code::DeadlineExceeded:
    case Code::Busy:
      return kExitUnavailable;
    case Code::Gone:
    case Code::Corrupt:
      return kExitIncomplete;
    case Code::Cancelled:
      return kExitInterrupted;
    case Code::Unsupported:
    case Code::IoError:
    case Code::Internal:
    case Code::ReadOnly:
      break;
  }
  return kExitFailure;
}

}  // namespace forebay::cli
