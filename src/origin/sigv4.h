// AWS Signature Version 4 in the Authorization header. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace forebay::origin {

// SHA-256 of nothing, as x-amz-content-sha256 has it.
constexpr std::string_view kEmptyBodySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct SigV4Request {
  std::string_view verb;
  std::string_view path;                                     // as sent: percent-encoded once, not normalised (S3)
  std::vector<std::pair<std::string, std::string>> query;    // decoded
  std::vector<std::pair<std::string, std::string>> headers;  // all that are signed, Host among them
  std::string_view region;
  std::string_view service;                         // "s3"
  std::string_view time;                            // compactIsoTime(), the same as in x-amz-date
  std::string_view body_sha256 = kEmptyBodySha256;  // the same as in x-amz-content-sha256
};

std::string sigV4CanonicalRequest(const SigV4Request& request);

// The value of the Authorization header.
std::string sigV4Authorization(const SigV4Request& request, std::string_view access_key_id,
                               std::string_view secret_access_key);

}  // namespace forebay::origin
