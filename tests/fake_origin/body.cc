#include "fake_origin/body.h"

#include <array>
#include <cerrno>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace forebay::fake {
namespace {

std::string finished(EVP_MD_CTX* context) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context, digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

void BodyReceiver::Free::operator()(EVP_MD_CTX* context) const {
  EVP_MD_CTX_free(context);
}

Status BodyReceiver::begin(const Head& head, bool keep) {
  expected_ = head.content_length;
  size_ = 0;
  keep_ = keep;
  text_.clear();
  file_.reset();
  sha256_.reset();
  md5_.reset();
  if (!keep) return {};
  if (head.header("x-amz-content-sha256").size() == 64) {
    sha256_.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(sha256_.get(), EVP_sha256(), nullptr);
  }
  if (head.hasHeader("content-md5")) {
    md5_.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(md5_.get(), EVP_md5(), nullptr);
  }
  if (expected_ > kSmall) {
    const int fd = memfd_create("forebay-object", MFD_CLOEXEC);
    if (fd < 0) return failErrno("memfd_create", errno);
    file_ = ownFd(fd);
  }
  return {};
}

Status BodyReceiver::add(std::string_view bytes) {
  size_ += bytes.size();
  if (!keep_) return {};
  if (sha256_) EVP_DigestUpdate(sha256_.get(), bytes.data(), bytes.size());
  if (md5_) EVP_DigestUpdate(md5_.get(), bytes.data(), bytes.size());
  if (!file_) {
    text_ += bytes;
    return {};
  }
  while (!bytes.empty()) {
    const ssize_t n = write(*file_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("keep an object's bytes", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

ReceivedBody BodyReceiver::finish() {
  ReceivedBody body;
  body.size = size_;
  body.file = std::move(file_);
  if (!body.file) body.text = std::make_shared<const std::string>(std::move(text_));
  text_.clear();
  if (sha256_) body.sha256_hex = hex(bytesOf(finished(sha256_.get())));
  if (md5_) body.md5_base64 = base64(finished(md5_.get()));
  return body;
}

}  // namespace forebay::fake
