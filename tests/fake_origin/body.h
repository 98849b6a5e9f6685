// Takes in a request's body: small ones as text, larger ones in a memfd, with the checksums that the request names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "fake_origin/dialect.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX, whose header is large

namespace forebay::fake {

class BodyReceiver {
 public:
  static constexpr std::uint64_t kSmall = 256 * kKiB;

  // `keep` false: the bytes are counted and dropped.
  Status begin(const Head& head, bool keep);
  Status add(std::string_view bytes);
  std::uint64_t left() const { return expected_ - size_; }
  ReceivedBody finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  using Hash = std::unique_ptr<evp_md_ctx_st, Free>;
  std::uint64_t expected_ = 0;
  std::uint64_t size_ = 0;
  bool keep_ = true;
  std::string text_;
  std::shared_ptr<const int> file_;
  Hash sha256_, md5_;
};

}  // namespace forebay::fake
