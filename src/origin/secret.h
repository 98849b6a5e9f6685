// Text that must never be shown: a key, a token. It has no formatter and no stream operator, so it can't reach a log
// by accident; who needs it says reveal(). Its memory is wiped when it goes.
#pragma once

#include <openssl/crypto.h>
#include <string>
#include <utility>

namespace forebay::origin {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
  Secret& operator=(Secret other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~Secret() { wipe(); }

  bool empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }

 private:
  void wipe() noexcept {
    OPENSSL_cleanse(text_.data(), text_.size());
    text_.clear();
  }
  std::string text_;
};

}  // namespace forebay::origin
