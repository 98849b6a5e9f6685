#include "base/result.h"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace forebay {

std::string_view codeName(Code code) {
  switch (code) {
    case Code::Ok:
      return "Ok";
    case Code::InvalidArgument:
      return "InvalidArgument";
    case Code::NotFound:
      return "NotFound";
    case Code::PermissionDenied:
      return "PermissionDenied";
    case Code::Unauthenticated:
      return "Unauthenticated";
    case Code::Unavailable:
      return "Unavailable";
    case Code::DeadlineExceeded:
      return "DeadlineExceeded";
    case Code::Busy:
      return "Busy";
    case Code::Gone:
      return "Gone";
    case Code::Corrupt:
      return "Corrupt";
    case Code::Unsupported:
      return "Unsupported";
    case Code::Cancelled:
      return "Cancelled";
    case Code::IoError:
      return "IoError";
    case Code::Internal:
      return "Internal";
    case Code::ReadOnly:
      return "ReadOnly";
  }
  return "Unknown";
}

std::string Error::text() const {
  return fmt::format("{}: {}", codeName(code), message);
}

namespace {
Code codeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return Code::NotFound;
    case EACCES:
    case EPERM:
      return Code::PermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return Code::InvalidArgument;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Code::Unavailable;
    case ETIMEDOUT:
      return Code::DeadlineExceeded;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
      return Code::Busy;
    case EROFS:
      return Code::ReadOnly;
    case EOPNOTSUPP:
    case ENOSYS:
      return Code::Unsupported;
    default:
      return Code::IoError;
  }
}
}  // namespace

std::unexpected<Error> failErrno(std::string_view what, int error_number) {
  return fail(codeOf(error_number), fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

}  // namespace forebay
