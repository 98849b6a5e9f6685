// What can go wrong, and how it is said: Result<T> carries a value or an Error; TRY hands an Error up.
//
//   Result<Config> load(std::string_view path) {
//     std::string text = TRY(readFile(path));
//     return parse(text);
//   }
//
// An Error's message says what failed, on what, why, and what to do. Its code is what programs decide by; nobody
// parses the text. Secrets never enter a message. No exception crosses a module's border.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace forebay {

// Stable numbers: they travel on the wire and become exit codes. Add at the end only.
enum class Code : std::uint16_t {
  Ok = 0,
  InvalidArgument = 1,   // the caller's input is wrong: repeating it won't help
  NotFound = 2,          // no such object, mount or file
  PermissionDenied = 3,  // known, and not allowed
  Unauthenticated = 4,   // credentials missing, wrong or expired
  Unavailable = 5,       // nobody answered, or answered "later": worth another try
  DeadlineExceeded = 6,  // the request's own time is over
  Busy = 7,              // a bound was reached (queue, memory, connections): worth another try, after a while
  Gone = 8,              // that version of the object is no longer at the origin: get a new plan
  Corrupt = 9,           // bytes that don't match their checksum, or a frame that can't be one
  Unsupported = 10,      // this version doesn't do that
  Cancelled = 11,        // whoever asked went away, or we are shutting down
  IoError = 12,          // the operating system refused
  Internal = 13,         // a bug of ours
  ReadOnly = 14,         // a write to what can't be written
};

std::string_view codeName(Code code);

struct Error {
  Code code = Code::Internal;
  std::string message;
  std::uint32_t retry_after_ms = 0;  // Unavailable, Busy: not before this; 0 = the caller's own backoff

  bool retryable() const { return code == Code::Unavailable || code == Code::Busy; }
  // "NotFound: blob data/x: no such object"
  std::string text() const;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Code code, std::string message, std::uint32_t retry_after_ms = 0) {
  return std::unexpected(Error{code, std::move(message), retry_after_ms});
}
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected(std::move(error));
}

// An errno as an Error: "open /x: Permission denied". The code follows the errno (ENOENT is NotFound, and so on).
std::unexpected<Error> failErrno(std::string_view what, int error_number);

// The value of a Result, or return its Error from the enclosing function.
#define TRY(...)                                                                            \
  __extension__({                                                                           \
    auto forebay_try_ = (__VA_ARGS__);                                                      \
    if (!forebay_try_.has_value()) return std::unexpected(std::move(forebay_try_).error()); \
    ::forebay::detail::take(std::move(forebay_try_));                                       \
  })

namespace detail {
template <class T>
T take(Result<T>&& result) {
  return std::move(*result);
}
inline void take(Status&&) {}
}  // namespace detail

// Names the cases of a std::visit.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace forebay
