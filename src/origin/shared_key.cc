#include "origin/shared_key.h"

#include <algorithm>

#include "base/hash.h"
#include "origin/encoding.h"

namespace forebay::origin {
namespace {
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::vector<std::pair<std::string, std::string>> sortedLower(std::vector<std::pair<std::string, std::string>> pairs) {
  for (auto& [name, value] : pairs) name = lower(name);
  std::ranges::sort(pairs);
  return pairs;
}
}  // namespace

std::string sharedKeyStringToSign(const SharedKeyRequest& request) {
  std::string text(request.verb);
  text += '\n';
  text += "\n\n";  // Content-Encoding, Content-Language
  text += request.content_length;
  text += "\n\n\n\n\n";  // end of Content-Length; -MD5, -Type, Date (x-ms-date is sent instead), If-Modified-Since
  text += request.if_match;
  text += "\n\n\n\n";  // end of If-Match; If-None-Match, If-Unmodified-Since, Range (x-ms-range is sent instead)
  for (const auto& [name, value] : sortedLower(request.ms_headers)) text += name + ':' + value + '\n';
  text += '/';
  text += request.account;
  text += request.path;
  std::string_view last;
  const auto query = sortedLower(request.query);
  for (const auto& [name, value] : query) {
    text += name == last ? "," + value : '\n' + name + ':' + value;
    last = name;
  }
  return text;
}

std::string sharedKeyAuthorization(const SharedKeyRequest& request, std::string_view key) {
  const Digest digest = hmacSha256(bytesOf(key), bytesOf(sharedKeyStringToSign(request)));
  return "SharedKey " + std::string(request.account) + ':' + base64(digest);
}

}  // namespace forebay::origin
