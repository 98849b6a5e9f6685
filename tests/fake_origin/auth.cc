#include "fake_origin/auth.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "fake_origin/tokens.h"

namespace forebay::fake {
namespace {

std::string hmac(std::string_view key, std::string_view message) {
  const Digest digest = hmacSha256(bytesOf(key), bytesOf(message));
  return std::string(textOf(digest));
}

bool sameText(std::string_view a, std::string_view b) {
  return equalInConstantTime(bytesOf(a), bytesOf(b));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

Refusal failed(std::string message) {
  return {.status = 403, .code = "AuthenticationFailed", .message = std::move(message)};
}

// Header names that start with `prefix`, sorted, values of repeated ones joined by commas.
std::map<std::string, std::string> headersWith(const Head& head, std::string_view prefix) {
  std::map<std::string, std::string> found;
  for (const auto& [name, value] : head.headers) {
    if (!name.starts_with(prefix)) continue;
    const auto [at, fresh] = found.try_emplace(name, value);
    if (!fresh) at->second += "," + value;
  }
  return found;
}

std::vector<std::string> splitAt(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::optional<Refusal> checkSharedKey(const Head& head, const AzureAccount& account, std::int64_t now) {
  std::string_view given = head.header("authorization");
  given.remove_prefix(std::string_view("SharedKey ").size());
  const auto colon = given.rfind(':');
  if (colon == std::string_view::npos)
    return Refusal{400, "InvalidAuthenticationInfo", "The Authorization header is not 'SharedKey account:signature'."};
  if (given.substr(0, colon) != account.name) return failed("The account of the signature is not the one addressed.");
  if (!head.hasHeader("x-ms-version"))
    return Refusal{400, "MissingRequiredHeader", "x-ms-version is required with a Shared Key."};
  const std::string_view date = head.hasHeader("x-ms-date") ? head.header("x-ms-date") : head.header("date");
  const auto signed_at = parseHttpDate(date);
  if (!signed_at) return failed("x-ms-date or Date is missing or is no RFC 1123 date.");
  if (std::abs(now - *signed_at) > kMaxSkewSeconds)
    return failed("The date header is too far from the server's clock.");
  const std::string to_sign = sharedKeyString(head, account.name);
  if (!sameText(given.substr(colon + 1), base64(hmac(account.key, to_sign))))
    return failed(
        "The MAC signature found in the HTTP request is not the same as any computed signature. "
        "Server used following string to sign: '" +
        to_sign + "'.");
  return std::nullopt;
}

// A SAS that is signed with a user delegation key instead of the account's.
std::optional<Refusal> checkDelegation(const Head& head, const AzureTarget& target, const AzureAccount& account,
                                       std::int64_t now) {
  const DelegationKey key{.oid = std::string(head.param("skoid")),
                          .tid = std::string(head.param("sktid")),
                          .start = std::string(head.param("skt")),
                          .expiry = std::string(head.param("ske")),
                          .service = std::string(head.param("sks")),
                          .version = std::string(head.param("skv"))};
  if (key.service != "b") return failed("sks must be b.");
  const std::string value = unbase64(delegationKeyValue(key, account)).value_or("");
  if (!sameText(head.param("sig"), base64(hmac(value, delegationSasString(head, target, account.name)))))
    return failed("Signature did not match.");
  const auto start = parseIsoDate(key.start), end = parseIsoDate(key.expiry);
  if (!start || !end || now < *start || now >= *end) return failed("The user delegation key isn't valid at this time.");
  return std::nullopt;
}

std::optional<Refusal> checkSas(const Head& head, const AzureTarget& target, const AzureAccount& account,
                                std::int64_t now) {
  if (head.hasParam("ss")) return failed("An account SAS isn't served here.");
  const std::string_view resource = head.param("sr");
  if (resource != "c" && resource != "b") return failed("sr must be c or b.");
  if (head.param("sv") < "2020-12-06") return failed("sv must be 2020-12-06 or later.");
  if (head.hasParam("skoid")) {
    if (auto refusal = checkDelegation(head, target, account, now)) return refusal;
  } else if (!sameText(head.param("sig"), base64(hmac(account.key, serviceSasString(head, target, account.name))))) {
    return failed("Signature did not match.");
  }
  const auto expiry = parseIsoDate(head.param("se"));
  if (!expiry) return failed("se is missing or is no date.");
  if (now >= *expiry) return failed("Signature not valid in the specified time frame: it has expired.");
  if (head.hasParam("st")) {
    const auto start = parseIsoDate(head.param("st"));
    if (!start || now < *start) return failed("Signature not valid in the specified time frame: not yet.");
  }
  if (head.param("spr") == "https")
    return Refusal{403, "AuthorizationProtocolMismatch", "This SAS is for https alone."};
  std::string_view allowed = head.param("sp");
  const bool create = target.access == Access::Write && allowed.contains('c');
  if (!allowed.contains(static_cast<char>(target.access)) && !create)
    return Refusal{403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation."};
  if (target.blob.empty() && resource == "b")
    return Refusal{403, "AuthorizationResourceTypeMismatch", "This SAS is for one blob."};
  return std::nullopt;
}

}  // namespace

std::string sharedKeyString(const Head& head, std::string_view account) {
  std::string text = head.method + "\n";
  for (const char* name : {"content-encoding", "content-language", "content-length", "content-md5", "content-type",
                           "date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"}) {
    std::string_view value = head.header(name);
    if (std::string_view(name) == "content-length" && value == "0") value = {};
    if (std::string_view(name) == "date" && head.hasHeader("x-ms-date")) value = {};
    text += fmt::format("{}\n", value);
  }
  for (const auto& [name, value] : headersWith(head, "x-ms-")) text += fmt::format("{}:{}\n", name, value);
  text += fmt::format("/{}{}", account, head.path);
  std::map<std::string, std::vector<std::string>> query;
  for (const auto& [key, value] : head.query) query[lower(key)].push_back(value);
  for (auto& [key, values] : query) {
    std::ranges::sort(values);
    text += fmt::format("\n{}:", key);
    for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? "" : ",") + values[i];
  }
  return text;
}

std::string delegationSasString(const Head& head, const AzureTarget& target, std::string_view account) {
  std::string resource = fmt::format("/blob/{}/{}", account, target.container);
  if (head.param("sr") == "b") resource += "/" + target.blob;
  std::string text;
  // The form of the newest versions; saoid, suoid, scid, the two of another tenant's user, and signed headers and query
  // are empty here.
  for (const char* key : {"sp",    "st",    "se",   "",        "skoid",  "sktid", "skt",  "ske", "sks", "skv",
                          "saoid", "suoid", "scid", "skdutid", "sduoid", "sip",   "spr",  "sv",  "sr",  "snapshot",
                          "ses",   "srh",   "srq",  "rscc",    "rscd",   "rsce",  "rscl", "rsct"}) {
    const bool last = std::string_view(key) == "rsct";
    text += fmt::format("{}{}", *key == '\0' ? std::string_view(resource) : head.param(key), last ? "" : "\n");
  }
  return text;
}

std::string serviceSasString(const Head& head, const AzureTarget& target, std::string_view account) {
  std::string resource = fmt::format("/blob/{}/{}", account, target.container);
  if (head.param("sr") == "b") resource += "/" + target.blob;
  std::string text;
  for (const char* key : {"sp", "st", "se", "", "si", "sip", "spr", "sv", "sr", "snapshot", "ses", "rscc", "rscd",
                          "rsce", "rscl", "rsct"}) {
    const bool last = std::string_view(key) == "rsct";
    text += fmt::format("{}{}", *key == '\0' ? std::string_view(resource) : head.param(key), last ? "" : "\n");
  }
  return text;
}

std::optional<Refusal> checkAzure(const Head& head, const AzureTarget& target, const AzureAccount& account,
                                  std::int64_t now, bool anonymous_reads) {
  const std::string_view given = head.header("authorization");
  if (given.starts_with("SharedKey ")) return checkSharedKey(head, account, now);
  if (!given.empty())
    return Refusal{401, "InvalidAuthenticationInfo", "The scheme of the Authorization header is not served here."};
  if (head.hasParam("sig")) return checkSas(head, target, account, now);
  const bool reads = target.access == Access::Read || target.access == Access::List;
  if (anonymous_reads && reads) return std::nullopt;
  return Refusal{401, "NoAuthenticationInformation",
                 "Server failed to authenticate the request. Please refer to the information in the www-authenticate "
                 "header."};
}

std::optional<S3Scope> parseS3Authorization(std::string_view header) {
  constexpr std::string_view kScheme = "AWS4-HMAC-SHA256";
  if (!header.starts_with(kScheme)) return std::nullopt;
  header.remove_prefix(kScheme.size());
  S3Scope scope;
  std::string credential;
  while (!header.empty()) {
    const auto comma = header.find(',');
    std::string_view item = header.substr(0, comma);
    header.remove_prefix(comma == std::string_view::npos ? header.size() : comma + 1);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = item.substr(0, equals);
    const std::string value(item.substr(equals + 1));
    if (key == "Credential") credential = value;
    if (key == "SignedHeaders") scope.signed_headers = value;
    if (key == "Signature") scope.signature = value;
  }
  const std::vector<std::string> parts = splitAt(credential, '/');
  if (parts.size() != 5 || parts[4] != "aws4_request" || scope.signed_headers.empty() || scope.signature.empty())
    return std::nullopt;
  scope.access_key = parts[0];
  scope.date = parts[1];
  scope.region = parts[2];
  scope.service = parts[3];
  return scope;
}

std::string s3CanonicalRequest(const Head& head, std::string_view signed_headers) {
  std::vector<std::pair<std::string, std::string>> query;
  query.reserve(head.query.size());
  for (const auto& [key, value] : head.query)
    query.emplace_back(percentEncode(key, false), percentEncode(value, false));
  std::ranges::sort(query);
  std::string text = fmt::format("{}\n{}\n", head.method, percentEncode(percentDecode(head.path).value_or(""), true));
  for (std::size_t i = 0; i < query.size(); ++i)
    text += fmt::format("{}{}={}", i == 0 ? "" : "&", query[i].first, query[i].second);
  text += '\n';
  for (std::string_view rest = signed_headers; !rest.empty();) {
    const auto semicolon = rest.find(';');
    const std::string_view name = rest.substr(0, semicolon);
    rest.remove_prefix(semicolon == std::string_view::npos ? rest.size() : semicolon + 1);
    std::string value;
    bool first = true;
    for (const auto& [key, v] : head.headers) {
      if (key != name) continue;
      if (!first) value += ',';
      first = false;
      for (const char c : v)
        if (c != ' ' || value.empty() || value.back() != ' ') value += c;
    }
    text += fmt::format("{}:{}\n", name, value);
  }
  text += fmt::format("\n{}\n{}", signed_headers, head.header("x-amz-content-sha256"));
  return text;
}

std::string s3Signature(std::string_view canonical_request, const S3Scope& scope, std::string_view amz_date,
                        std::string_view secret_key) {
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}/{}/{}/aws4_request\n{}", amz_date, scope.date,
                                          scope.region, scope.service, hex(sha256(bytesOf(canonical_request))));
  std::string key = hmac("AWS4" + std::string(secret_key), scope.date);
  key = hmac(key, scope.region);
  key = hmac(key, scope.service);
  key = hmac(key, "aws4_request");
  return hex(bytesOf(hmac(key, to_sign)));
}

namespace {

// S3 wants host and every x-amz-* header signed, in order: a signature that leaves one out protects less than it says.
std::optional<Refusal> checkSignedHeaders(const Head& head, std::string_view signed_headers) {
  std::vector<std::string_view> names;
  for (std::string_view rest = signed_headers; !rest.empty();) {
    const auto semicolon = rest.find(';');
    names.push_back(rest.substr(0, semicolon));
    rest.remove_prefix(semicolon == std::string_view::npos ? rest.size() : semicolon + 1);
  }
  if (!std::ranges::is_sorted(names))
    return Refusal{400, "AuthorizationHeaderMalformed", "SignedHeaders must be sorted."};
  for (const auto& [name, value] : head.headers) {
    const bool required = name == "host" || name.starts_with("x-amz-");
    if (required && !std::ranges::binary_search(names, std::string_view(name)))
      return Refusal{403, "AccessDenied", "There were headers present in the request which were not signed: " + name};
  }
  return std::nullopt;
}

std::optional<Refusal> checkPayloadHeader(const Head& head) {
  const std::string_view payload = head.header("x-amz-content-sha256");
  if (payload.empty())
    return Refusal{400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"};
  if (payload.starts_with("STREAMING-"))
    return Refusal{501, "NotImplemented", "Streaming signatures are not served here: send the body in one piece."};
  const bool hash = payload.size() == 64 && payload.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!hash && payload != "UNSIGNED-PAYLOAD")
    return Refusal{400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a SHA-256."};
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> checkS3(const Head& head, Access access, const S3Credentials& credentials, std::int64_t now,
                               bool anonymous_reads) {
  const std::string_view given = head.header("authorization");
  if (given.empty()) {
    if (head.hasParam("X-Amz-Signature"))
      return Refusal{501, "NotImplemented", "Presigned URLs are not served here: sign the header."};
    if (anonymous_reads && (access == Access::Read || access == Access::List)) return std::nullopt;
    return Refusal{403, "AccessDenied", "Access Denied"};
  }
  const auto scope = parseS3Authorization(given);
  if (!scope) return Refusal{400, "AuthorizationHeaderMalformed", "The authorization header is malformed."};
  if (scope->access_key != credentials.access_key)
    return Refusal{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."};
  if (scope->region != credentials.region || scope->service != "s3")
    return Refusal{400, "AuthorizationHeaderMalformed",
                   fmt::format("The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
                               scope->region, credentials.region)};
  if (head.header("x-amz-security-token") != credentials.session_token)
    return Refusal{403, "InvalidToken", "The provided token is malformed or otherwise invalid."};
  const std::string_view date = head.header("x-amz-date");
  const auto signed_at = parseIsoDate(date);
  if (!signed_at || date.size() != 16 || !date.starts_with(scope->date))
    return Refusal{403, "AccessDenied", "AWS authentication requires a valid x-amz-date that fits the credential."};
  if (std::abs(now - *signed_at) > kMaxSkewSeconds)
    return Refusal{403, "RequestTimeTooSkewed",
                   "The difference between the request time and the current time is too large."};
  if (auto refusal = checkPayloadHeader(head)) return refusal;
  if (auto refusal = checkSignedHeaders(head, scope->signed_headers)) return refusal;
  const std::string expected =
      s3Signature(s3CanonicalRequest(head, scope->signed_headers), *scope, date, credentials.secret_key);
  if (!sameText(scope->signature, expected))
    return Refusal{403, "SignatureDoesNotMatch",
                   "The request signature we calculated does not match the signature you provided. "
                   "Check your key and signing method."};
  return std::nullopt;
}

}  // namespace forebay::fake
