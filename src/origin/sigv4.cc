#include "origin/sigv4.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/hash.h"
#include "origin/encoding.h"

namespace forebay::origin {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs sortedHeaders(const Pairs& headers) {
  Pairs out = headers;
  for (auto& [name, value] : out)
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::ranges::sort(out);
  return out;
}

std::string namesOf(const Pairs& headers) {
  std::string names;
  for (const auto& [name, value] : headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

std::string scopeOf(const SigV4Request& request) {
  return fmt::format("{}/{}/{}/aws4_request", request.time.substr(0, 8), request.region, request.service);
}

}  // namespace

std::string sigV4CanonicalRequest(const SigV4Request& request) {
  Pairs query;
  for (const auto& [name, value] : request.query) query.emplace_back(percentEncode(name), percentEncode(value));
  std::ranges::sort(query);
  std::string query_text;
  for (const auto& [name, value] : query) query_text += (query_text.empty() ? "" : "&") + name + '=' + value;
  const Pairs headers = sortedHeaders(request.headers);
  std::string header_text;
  for (const auto& [name, value] : headers) header_text += name + ':' + value + '\n';
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.verb, request.path, query_text, header_text, namesOf(headers),
                     request.body_sha256);
}

std::string sigV4Authorization(const SigV4Request& request, std::string_view access_key_id,
                               std::string_view secret_access_key) {
  const std::string scope = scopeOf(request);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", request.time, scope,
                                          hex(sha256(bytesOf(sigV4CanonicalRequest(request)))));
  Digest key = hmacSha256(bytesOf("AWS4" + std::string(secret_access_key)), bytesOf(request.time.substr(0, 8)));
  for (const std::string_view part : {request.region, request.service, std::string_view("aws4_request")})
    key = hmacSha256(key, bytesOf(part));
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", access_key_id, scope,
                     namesOf(sortedHeaders(request.headers)), hex(hmacSha256(key, bytesOf(to_sign))));
}

}  // namespace forebay::origin
