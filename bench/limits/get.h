// GETs by libcurl for the limits of what comes from an origin.
#pragma once

#include <curl/curl.h>
#include <functional>
#include <optional>

#include "limits/measure.h"

namespace forebay::bench {

constexpr long kHttpBuffer = 512 * 1024;  // libcurl's most

// A GET that may be made again for another range: it keeps its connection.
class Get {
 public:
  // Gets bytes as they arrive; false ends the GET.
  using Take = std::function<bool(Bytes bytes)>;

  Get() : easy_(curl_easy_init()) {
    if (easy_ == nullptr) die("no libcurl");
    curl_easy_setopt(easy_, CURLOPT_BUFFERSIZE, kHttpBuffer);
    curl_easy_setopt(easy_, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy_, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy_, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Get::write);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
  }
  ~Get() { curl_easy_cleanup(easy_); }
  Get(const Get&) = delete;
  Get& operator=(const Get&) = delete;

  // `length` bytes at `offset`.
  void prepare(const std::string& url, std::uint64_t offset, std::size_t length, Take take) {
    prepare(url, std::move(take));
    length_ = length;
    curl_easy_setopt(easy_, CURLOPT_RANGE, fmt::format("{}-{}", offset, offset + length - 1).c_str());
  }
  // All that there is.
  void prepare(const std::string& url, Take take) {
    take_ = std::move(take);
    length_.reset();
    have_ = 0;
    first_byte_ = 0;
    curl_easy_setopt(easy_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy_, CURLOPT_RANGE, nullptr);
  }
  CURL* handle() const { return easy_; }
  void perform() { ended(curl_easy_perform(easy_)); }
  void ended(CURLcode code) const {
    if (code != CURLE_OK) die(curl_easy_strerror(code));
    if (length_ && have_ != *length_) die("a short answer");
  }
  double firstByte() const { return first_byte_; }

 private:
  static std::size_t write(char* from, std::size_t, std::size_t bytes, void* user) {
    auto& self = *static_cast<Get*>(user);
    if (self.length_ && bytes > *self.length_ - self.have_) return 0;
    if (self.have_ == 0) self.first_byte_ = elapsed();
    self.have_ += bytes;
    return self.take_({reinterpret_cast<const std::byte*>(from), bytes}) ? bytes : 0;
  }

  CURL* const easy_;
  Take take_;
  std::optional<std::size_t> length_;
  std::size_t have_ = 0;
  double first_byte_ = 0;
};

}  // namespace forebay::bench
