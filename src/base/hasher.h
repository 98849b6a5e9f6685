// A digest of bytes that come in pieces: MD5 where an origin speaks it, SHA-256 for what Forebay itself vouches for.
//
//   Hasher hasher = TRY(Hasher::create(Hasher::Kind::Sha256));
//   hasher.update(bytes);                  // as often as needed
//   const std::string digest = hex(hasher.finish());
//
// MD5 finds accidents, not forgeries: it is here because object stores give it. An OpenSSL that is held to FIPS has
// none, and create() says so. Threading: none; one hasher, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay {

class Hasher {
 public:
  enum class Kind : std::uint8_t { Md5, Sha256 };

  static Result<Hasher> create(Kind kind);  // Unsupported
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(Bytes bytes);
  void update(std::string_view text) { update(bytesOf(text)); }
  // 16 or 32 bytes. Afterwards it starts again, with nothing in it.
  std::vector<std::byte> finish();

 private:
  struct Context;
  explicit Hasher(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace forebay
