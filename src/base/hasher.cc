#include "base/hasher.h"

#include <openssl/evp.h>

namespace forebay {

struct Hasher::Context {
  const EVP_MD* algorithm = nullptr;
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  explicit Context(Kind kind) : algorithm(kind == Kind::Md5 ? EVP_md5() : EVP_sha256()) {}
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  bool start() const { return EVP_DigestInit_ex(evp, algorithm, nullptr) == 1; }
};

Hasher::Hasher(std::unique_ptr<Context> context) : context_(std::move(context)) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

Result<Hasher> Hasher::create(Kind kind) {
  auto context = std::make_unique<Context>(kind);
  if (!context->start())
    return fail(Code::Unsupported, kind == Kind::Md5 ? "this machine's OpenSSL has no MD5 (FIPS?)"
                                                     : "this machine's OpenSSL has no SHA-256");
  return Hasher(std::move(context));
}

void Hasher::update(Bytes bytes) {
  EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
}

std::vector<std::byte> Hasher::finish() {
  std::vector<std::byte> digest(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(digest.data()), &size);
  digest.resize(size);
  (void)context_->start();  // it could before
  return digest;
}

}  // namespace forebay
