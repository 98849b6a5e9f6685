// Azure's Shared Key signature (2009-09-19 and later). Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace forebay::origin {

struct SharedKeyRequest {
  std::string_view verb;                                        // "GET", "HEAD"
  std::string_view account;                                     // whose key it is
  std::string_view path;                                        // as sent: percent-encoded, with its first '/'
  std::vector<std::pair<std::string, std::string>> query;       // decoded
  std::vector<std::pair<std::string, std::string>> ms_headers;  // x-ms-*, x-ms-date among them
  std::string_view if_match;                                    // as sent, or empty
  std::string_view content_length;                              // as sent; empty for 0
};

// What the signature is over. Separate, because an error in it is found by reading it.
std::string sharedKeyStringToSign(const SharedKeyRequest& request);

// The value of the Authorization header. `key` is the account key's bytes (decoded).
std::string sharedKeyAuthorization(const SharedKeyRequest& request, std::string_view key);

}  // namespace forebay::origin
