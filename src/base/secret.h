// A string that must not be seen: keys, tokens, the secret of a mount.
//
// Formatting one, whether by fmt, a stream or a failed test's message, prints "(secret)", so that a log line, an error
// or a status reply can't leak it by accident. Only reveal() gives the content, and only the code that signs or sends
// it calls that. Its memory is overwritten when it goes.
#pragma once

#include <fmt/format.h>
#include <ostream>
#include <string.h>  // explicit_bzero
#include <string>
#include <string_view>
#include <utility>

namespace forebay {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(other.value_) { other.wipe(); }
  Secret& operator=(Secret other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~Secret() { wipe(); }

  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  void wipe() noexcept {
    ::explicit_bzero(value_.data(), value_.size());
    value_.clear();
  }
  std::string value_;
};

constexpr std::string_view kSecretShown = "(secret)";

inline std::ostream& operator<<(std::ostream& out, const Secret& secret) {
  return out << (secret.empty() ? std::string_view{} : kSecretShown);
}

}  // namespace forebay

template <>
struct fmt::formatter<forebay::Secret> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const forebay::Secret& secret, Context& context) const {
    return fmt::formatter<std::string_view>::format(secret.empty() ? std::string_view{} : forebay::kSecretShown,
                                                    context);
  }
};
