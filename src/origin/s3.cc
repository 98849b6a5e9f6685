#include "origin/s3.h"

#include <fmt/format.h>
#include <pugixml.hpp>

#include "base/log.h"
#include "origin/encoding.h"
#include "origin/s3_list.h"
#include "origin/sigv4.h"

namespace forebay::origin {
namespace {

constexpr std::uint32_t kMaxPage = 1000;
constexpr std::size_t kSha256Bytes = 32;
using io::HttpResponse;

// It becomes part of a host name, and may come from an answer.
bool isRegion(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  return text.front() != '-' && text.back() != '-';
}

struct Settings {
  OriginUrl url;
  Endpoint endpoint;    // of the service, without the bucket
  bool public_service;  // no endpoint was given: it follows the region
  bool path_style;
  std::string region;
  S3Credentials credentials;
  std::string credential;  // for messages: "the access key from AWS_ACCESS_KEY_ID"
  std::string note;
};

Endpoint publicEndpoint(const std::string& region) {
  const std::string domain = region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  return {.tls = true, .authority = "s3." + region + "." + domain, .base_path = {}};
}

class S3Dialect final : public Dialect {
 public:
  explicit S3Dialect(Settings settings) : s_(std::move(settings)) {}

  Result<io::HttpRequest> request(const Call& call, const Credential* credential, std::int64_t wall_ns) const override {
    std::string path = s_.endpoint.base_path;
    if (s_.path_style) path += '/' + percentEncode(s_.url.container);
    std::vector<std::pair<std::string, std::string>> query;
    if (call.kind == CallKind::List) {
      if (!s_.path_style) path += '/';
      query = {{"list-type", "2"}, {"delimiter", "/"}, {"encoding-type", "url"}};
      query.emplace_back("max-keys", fmt::to_string(std::clamp(call.max, 1U, kMaxPage)));
      if (const std::string prefix = s_.url.prefix + call.path; !prefix.empty()) query.emplace_back("prefix", prefix);
      if (!call.next.empty()) query.emplace_back("continuation-token", call.next);
    } else {
      path += '/' + percentEncodePath(s_.url.prefix + call.path);
    }
    std::vector<std::pair<std::string, std::string>> headers;
    if (call.kind == CallKind::Get || call.kind == CallKind::Open)
      headers.emplace_back("Range", fmt::format("bytes={}-{}", call.offset, call.offset + call.length - 1));
    if (call.checked) headers.emplace_back("x-amz-checksum-mode", "ENABLED");
    if (call.kind == CallKind::Get) headers.emplace_back("If-Match", '"' + call.version + '"');
    return assemble(call.kind == CallKind::Head ? io::HttpMethod::Head : io::HttpMethod::Get, path, query,
                    std::move(headers), keysOf(credential), wall_ns);
  }

  Result<ObjectInfo> readHead(const HttpResponse& response) const override {
    const auto size = parseNumber(response.headers.get("content-length"));
    const std::string etag = bareEtag(response.headers.get("etag"));
    if (!size || etag.empty()) return fail(Code::Corrupt, "the origin's answer has no size or no ETag");
    return ObjectInfo{*size, etag, parseHttpDate(response.headers.get("last-modified")).value_or(0)};
  }

  Result<ListPage> readList(const Call& call, std::string_view body) const override {
    return parseS3List(body, s_.url.prefix + call.path, call.next);
  }
  std::string nextOfList(std::string_view body) const override { return plainTextOf(body, "NextContinuationToken"); }

  // What S3 stores is of the whole object: a checksum that was asked for when it was put, else an ETag that is an MD5,
  // as of an object that was put in one part and isn't encrypted with keys of KMS or of a customer.
  std::optional<Checksum> checksumOf(const HttpResponse& response, bool whole) const override {
    if (!whole) return std::nullopt;
    const io::HttpHeaders& headers = response.headers;
    const auto sha256 = base64Decode(headers.get("x-amz-checksum-sha256"));  // of parts: with "-N", which isn't base64
    if (sha256 && sha256->size() == kSha256Bytes && headers.get("x-amz-checksum-type") != "COMPOSITE") {
      const Bytes bytes = bytesOf(*sha256);
      return Checksum{.kind = Hasher::Kind::Sha256, .digest = {bytes.begin(), bytes.end()}};
    }
    const std::string_view encryption = headers.get("x-amz-server-side-encryption");
    if ((!encryption.empty() && encryption != "AES256") ||
        headers.has("x-amz-server-side-encryption-customer-algorithm"))
      return std::nullopt;
    const auto md5 = md5FromHex(bareEtag(headers.get("etag")));
    if (!md5) return std::nullopt;
    return Checksum{.kind = Hasher::Kind::Md5, .digest = {md5->begin(), md5->end()}};
  }
  std::uint64_t longestChecked() const override { return UINT64_MAX; }

  std::string errorCode(const HttpResponse& response) const override { return xmlErrorCode(response.body); }
  bool isTransient(std::string_view code) const override {
    return code == "SlowDown" || code == "RequestTimeout" || code == "InternalError" || code == "ServiceUnavailable";
  }
  bool isUnauthenticated(std::string_view code) const override {
    return code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "ExpiredToken" ||
           code == "InvalidToken" || code == "TokenRefreshRequired" || code == "RequestTimeTooSkewed";
  }
  // The answer to a HEAD has no body, so no code: a 400 is all that an expired token comes to there.
  bool mayHaveExpired(int status, std::string_view code) const override {
    return code == "ExpiredToken" || code == "TokenRefreshRequired" || code == "InvalidToken" || status == 401 ||
           (status == 400 && code.empty());
  }
  std::string advice(int status, std::string_view code) const override;
  std::string unreachableAdvice() const override {
    return fmt::format("Check endpoint ({}), region ({}), bucket ({}), and proxy or firewall", s_.endpoint.text(),
                       s_.region, s_.url.container);
  }
  bool learn(const HttpResponse& response) override;
  std::string url() const override { return s_.url.text(); }

 private:
  std::string host() const {
    return s_.path_style ? s_.endpoint.authority : s_.url.container + "." + s_.endpoint.authority;
  }
  S3Credentials keysOf(const Credential* credential) const {
    if (credential == nullptr) return s_.credentials;
    return {credential->access_key_id, credential->secret_access_key, credential->session_token, {}};
  }
  io::HttpRequest assemble(io::HttpMethod method, const std::string& path,
                           const std::vector<std::pair<std::string, std::string>>& query,
                           std::vector<std::pair<std::string, std::string>> headers, const S3Credentials& keys,
                           std::int64_t wall_ns) const {
    io::HttpRequest request{.method = method, .url = {}, .headers = {}, .ca_file = {}, .proxy = {}};
    request.url = (s_.endpoint.tls ? "https://" : "http://") + host() + path;
    char separator = '?';
    for (const auto& [name, value] : query) {
      request.url += separator + name + '=' + percentEncode(value);
      separator = '&';
    }
    std::string authorization;
    if (keys.any()) {
      const std::string time = compactIsoTime(wall_ns);
      headers.emplace_back("x-amz-content-sha256", kEmptyBodySha256);
      headers.emplace_back("x-amz-date", time);
      if (!keys.session_token.empty()) headers.emplace_back("x-amz-security-token", keys.session_token.reveal());
      SigV4Request to_sign{.verb = method == io::HttpMethod::Head ? "HEAD" : "GET",
                           .path = path,
                           .query = query,
                           .headers = headers,
                           .region = s_.region,
                           .service = "s3",
                           .time = time};
      to_sign.headers.emplace_back("host", host());
      authorization =
          "Authorization: " + sigV4Authorization(to_sign, keys.access_key_id, keys.secret_access_key.reveal());
    }
    for (const auto& [name, value] : headers) request.headers.push_back(name + ": " + value);
    if (!authorization.empty()) request.headers.push_back(std::move(authorization));
    return request;
  }

  Settings s_;
};

std::string S3Dialect::advice(int status, std::string_view code) const {
  const std::string tail = s_.note.empty() ? "" : ". " + s_.note;
  if (code == "NoSuchBucket") return fmt::format("The bucket {} doesn't exist{}", s_.url.container, tail);
  if (code == "InvalidObjectState") return "The object is archived: restore it first";
  if (code == "RequestTimeTooSkewed") return "This machine's clock is wrong by more than 15 minutes: set it";
  if (code == "ExpiredToken" || code == "TokenRefreshRequired")
    return fmt::format("Tried with {}: it has expired, get a new one{}", s_.credential, tail);
  if (code == "InvalidAccessKeyId")
    return fmt::format("Tried with {}: the service doesn't know it{}", s_.credential, tail);
  if (code == "SignatureDoesNotMatch")
    return fmt::format("Tried with {}: the secret doesn't belong to it, or the region isn't {}{}", s_.credential,
                       s_.region, tail);
  if (status == 301 || status == 307 || code == "AuthorizationHeaderMalformed")
    return fmt::format("The bucket {} seems to be in another region than {}: set AWS_REGION", s_.url.container,
                       s_.region);
  if (status != 401 && status != 403) return {};
  if (s_.credential.empty())
    return "No credentials were given: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for one in "
           "~/.aws/credentials" +
           tail;
  return fmt::format(
      "Tried with {}: reading needs s3:GetObject and s3:ListBucket on the bucket {} (without the latter, names that "
      "don't exist are refused too){}",
      s_.credential, s_.url.container, tail);
}

// 301, 307 and 400 name the bucket's region in a header, 400 also in the body.
bool S3Dialect::learn(const HttpResponse& response) {
  if (response.status != 301 && response.status != 307 && response.status != 400 && response.status != 403)
    return false;
  std::string region(response.headers.get("x-amz-bucket-region"));
  if (region.empty() && response.status == 400) {
    pugi::xml_document document;
    if (document.load_buffer(response.body.data(), response.body.size()))
      region = document.child("Error").child_value("Region");
  }
  if (!isRegion(region)) return false;
  // Another call may have learned it while this one was on its way. A 403 names the region also where it was right.
  if (region == s_.region) return response.status != 403;
  log::info("origin", "{}: the bucket is in {}, not {}; using that", url(), region, s_.region);
  s_.region = region;
  if (s_.public_service) s_.endpoint = publicEndpoint(region);
  return true;
}

}  // namespace

Result<std::unique_ptr<Dialect>> makeS3Dialect(const OriginUrl& url, const OriginConfig& config) {
  Settings settings{.url = url,
                    .endpoint = {},
                    .public_service = config.endpoint.empty(),
                    .path_style = false,
                    .region = config.region.empty() ? "us-east-1" : config.region,
                    .credentials = {},
                    .credential = {},
                    .note = config.credentials_note};
  if (!isRegion(settings.region))
    return fail(Code::InvalidArgument,
                fmt::format("{} is no region: it has lower-case letters, digits and hyphens", shown(settings.region)));
  settings.endpoint = publicEndpoint(settings.region);
  if (!settings.public_service) settings.endpoint = TRY(parseEndpoint(config.endpoint));
  settings.path_style =
      config.path_style.value_or(!settings.public_service || url.container.find('.') != std::string::npos);
  if (!settings.path_style && settings.endpoint.isAddress() && !settings.endpoint.authority.starts_with("localhost"))
    return fail(Code::InvalidArgument, fmt::format("{}: a bucket's name can't be put before an IP address: set "
                                                   "path_style = true",
                                                   settings.endpoint.text()));
  if (!config.anonymous && config.identity.any()) {
    if (!settings.endpoint.tls && !settings.endpoint.isLoopback())
      log::warn("origin", "{}: requests of {} travel unencrypted, because the endpoint {} is http", url.text(),
                config.identity.description(), settings.endpoint.text());
    if (!config.identity.optional) settings.credential = config.identity.description();
    return std::make_unique<S3Dialect>(std::move(settings));
  }
  if (config.anonymous || !config.s3.any()) return std::make_unique<S3Dialect>(std::move(settings));

  settings.credentials = config.s3;
  settings.credential = "the access key" + (config.s3.source.empty() ? "" : " from " + config.s3.source);
  if (config.s3.access_key_id.empty() || config.s3.secret_access_key.empty())
    return fail(Code::InvalidArgument,
                fmt::format("{} is only half of one: both the access key id and the secret access key are needed",
                            settings.credential));
  return std::make_unique<S3Dialect>(std::move(settings));
}

}  // namespace forebay::origin
