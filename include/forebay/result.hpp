// Outcomes of Forebay's client library in C++17: a value, or why there is none. forebay.hpp includes it.
#pragma once

#include <chrono>
#include <forebay/forebay.h>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace forebay {
inline namespace cxx0 {  // Names of its own for the linker: a program may hold objects of several versions of this.

enum class Code : int {
  Ok = FOREBAY_OK,
  InvalidArgument = FOREBAY_INVALID_ARGUMENT,
  NotFound = FOREBAY_NOT_FOUND,
  PermissionDenied = FOREBAY_PERMISSION_DENIED,
  Unauthenticated = FOREBAY_UNAUTHENTICATED,
  Unavailable = FOREBAY_UNAVAILABLE,
  DeadlineExceeded = FOREBAY_DEADLINE_EXCEEDED,
  Busy = FOREBAY_BUSY,
  Gone = FOREBAY_GONE,
  Corrupt = FOREBAY_CORRUPT,
  Unsupported = FOREBAY_UNSUPPORTED,
  Cancelled = FOREBAY_CANCELLED,
  IoError = FOREBAY_IO_ERROR,
  Internal = FOREBAY_INTERNAL,
  ReadOnly = FOREBAY_READ_ONLY
};
inline const char* codeName(Code code) {
  return forebay_code_name(static_cast<forebay_code>(code));
}

struct Error {
  Code code = Code::Internal;
  std::string message;                       // what failed, on what, why, what to do
  std::chrono::milliseconds retry_after{0};  // Unavailable, Busy: not before

  bool retryable() const { return code == Code::Unavailable || code == Code::Busy; }
};

#if defined(__cpp_exceptions)
// What value() throws.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error error)
      : std::runtime_error(std::string(codeName(error.code)) + ": " + error.message), error_(std::move(error)) {}
  const Error& error() const { return error_; }

 private:
  Error error_;
};
#endif

// A value or an Error. To look at the one that isn't there is undefined, as with a pointer.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&held_); }
  const T& operator*() const& { return *std::get_if<0>(&held_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&held_)); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Error& error() const { return *std::get_if<1>(&held_); }
#if defined(__cpp_exceptions)
  T value() && {
    if (!*this) throw Failure(error());
    return std::move(**this);
  }
#endif

 private:
  std::variant<T, Error> held_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  const Error& error() const { return *error_; }
#if defined(__cpp_exceptions)
  void value() && {
    if (error_) throw Failure(*error_);
  }
#endif

 private:
  std::optional<Error> error_;
};

}  // namespace cxx0
}  // namespace forebay
