#include "origin/azure.h"

#include <fmt/format.h>

#include "base/log.h"
#include "origin/azure_list.h"
#include "origin/encoding.h"
#include "origin/shared_key.h"

namespace forebay::origin {
namespace {

constexpr std::uint32_t kMaxPage = 5000;
constexpr std::uint64_t kMaxRangeMd5 = 4 * kMiB;  // Get Blob: x-ms-range-get-content-md5
using io::HttpResponse;

struct Settings {
  OriginUrl url;
  Endpoint endpoint;
  std::string container_path;  // "/[account/]container", encoded
  Secret key;                  // decoded
  Secret sas;                  // without '?'
  bool bearer = false;         // access tokens of an identity, which come with each request
  std::string credential;      // for messages: "the account key from AZURE_STORAGE_KEY"
  std::string note;
};

class AzureDialect final : public Dialect {
 public:
  explicit AzureDialect(Settings settings) : s_(std::move(settings)) {}

  Result<io::HttpRequest> request(const Call& call, const Credential* credential, std::int64_t wall_ns) const override {
    std::string path = s_.container_path;
    std::vector<std::pair<std::string, std::string>> query, headers;
    std::string if_match;
    if (call.kind == CallKind::List) {
      query = {{"restype", "container"}, {"comp", "list"}, {"delimiter", "/"}, {"include", "metadata"}};
      query.emplace_back("maxresults", fmt::to_string(std::clamp(call.max, 1U, kMaxPage)));
      if (const std::string prefix = s_.url.prefix + call.path; !prefix.empty()) query.emplace_back("prefix", prefix);
      if (!call.next.empty()) query.emplace_back("marker", call.next);
    } else {
      path += '/' + percentEncodePath(s_.url.prefix + call.path);
    }
    if (call.kind == CallKind::Get || call.kind == CallKind::Open)
      headers.emplace_back("x-ms-range", fmt::format("bytes={}-{}", call.offset, call.offset + call.length - 1));
    if (call.checked) headers.emplace_back("x-ms-range-get-content-md5", "true");
    if (call.kind == CallKind::Get) if_match = '"' + call.version + '"';
    headers.emplace_back("x-ms-date", httpDate(wall_ns));
    headers.emplace_back("x-ms-version", kAzureApiVersion);
    const bool head = call.kind == CallKind::Head;
    return assemble(head ? io::HttpMethod::Head : io::HttpMethod::Get, path, query, headers, if_match, credential);
  }

  Result<ObjectInfo> readHead(const HttpResponse& response) const override {
    const io::HttpHeaders& headers = response.headers;
    if (headers.get("x-ms-resource-type") == "directory" || headers.get("x-ms-meta-hdi_isfolder") == "true")
      return fail(Code::NotFound, "it is a directory, not an object");
    const auto size = parseNumber(headers.get("content-length"));
    const std::string etag = bareEtag(headers.get("etag"));
    if (!size || etag.empty()) return fail(Code::Corrupt, "the origin's answer has no size or no ETag");
    return ObjectInfo{*size, etag, parseHttpDate(headers.get("last-modified")).value_or(0)};
  }

  Result<ListPage> readList(const Call& call, std::string_view body) const override {
    return parseAzureList(body, s_.url.prefix + call.path, call.next);
  }
  std::string nextOfList(std::string_view body) const override { return plainTextOf(body, "NextMarker"); }

  // Of a range the one that was asked for; Content-MD5 of a whole blob is what its writer claimed.
  std::optional<Checksum> checksumOf(const HttpResponse& response, bool whole) const override {
    const auto md5 = md5FromBase64(response.headers.get("content-md5"));
    if (!md5 || (response.status != 206 && !whole)) return std::nullopt;
    return Checksum{.kind = Hasher::Kind::Md5, .digest = {md5->begin(), md5->end()}};
  }
  std::uint64_t longestChecked() const override { return kMaxRangeMd5; }

  std::string errorCode(const HttpResponse& response) const override {
    const std::string code = cleanErrorCode(response.headers.get("x-ms-error-code"));
    return code.empty() ? xmlErrorCode(response.body) : code;
  }
  bool isTransient(std::string_view code) const override {
    return code == "ServerBusy" || code == "OperationTimedOut" || code == "InternalError";
  }
  bool isUnauthenticated(std::string_view code) const override {
    return code == "AuthenticationFailed" || code == "NoAuthenticationInformation" ||
           code == "InvalidAuthenticationInfo";
  }
  bool mayHaveExpired(int status, std::string_view code) const override {
    return s_.bearer && (status == 401 || code == "AuthenticationFailed");
  }
  std::string advice(int status, std::string_view code) const override;
  std::string unreachableAdvice() const override {
    return fmt::format("Check that the account {} exists (its address is {}), and proxy or firewall", s_.url.account,
                       s_.endpoint.text());
  }
  bool learn(const HttpResponse&) override { return false; }
  std::string url() const override { return s_.url.text(); }

 private:
  io::HttpRequest assemble(io::HttpMethod method, const std::string& path,
                           const std::vector<std::pair<std::string, std::string>>& query,
                           const std::vector<std::pair<std::string, std::string>>& headers, const std::string& if_match,
                           const Credential* credential) const {
    io::HttpRequest request{.method = method, .url = {}, .headers = {}, .ca_file = {}, .proxy = {}};
    request.url = (s_.endpoint.tls ? "https://" : "http://") + s_.endpoint.authority + path;
    char separator = '?';
    for (const auto& [name, value] : query) {
      request.url += separator + name + '=' + percentEncode(value);
      separator = '&';
    }
    for (const auto& [name, value] : headers) request.headers.push_back(name + ": " + value);
    if (!if_match.empty()) request.headers.push_back("If-Match: " + if_match);
    if (credential != nullptr) {
      if (!credential->nothing()) request.headers.push_back("Authorization: Bearer " + credential->bearer.reveal());
    } else if (!s_.key.empty()) {
      const SharedKeyRequest to_sign{.verb = method == io::HttpMethod::Head ? "HEAD" : "GET",
                                     .account = s_.url.account,
                                     .path = path,
                                     .query = query,
                                     .ms_headers = headers,
                                     .if_match = if_match,
                                     .content_length = {}};
      request.headers.push_back("Authorization: " + sharedKeyAuthorization(to_sign, s_.key.reveal()));
    } else if (!s_.sas.empty()) {
      request.url += separator + s_.sas.reveal();
    }
    return request;
  }

  const Settings s_;
};

std::string AzureDialect::advice(int status, std::string_view code) const {
  const std::string tail = s_.note.empty() ? "" : ". " + s_.note;
  if (code == "ContainerNotFound" || (status == 404 && code == "ResourceNotFound"))
    return fmt::format("The container {} doesn't exist in account {}{}{}", s_.url.container, s_.url.account,
                       s_.credential.empty() ? ", or isn't public and needs credentials" : "", tail);
  if (code == "BlobArchived") return "The object is in the archive tier: rehydrate it first";
  if (code == "PublicAccessNotPermitted")
    return "The account allows no anonymous access: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give this "
           "workload or machine an identity" +
           tail;
  if (code == "KeyBasedAuthenticationNotPermitted")
    return "The account allows no account keys: use an identity (credential = workload or managed), or a "
           "user-delegation "
           "SAS token" +
           tail;
  if (code == "AuthorizationPermissionMismatch" && s_.bearer)
    return fmt::format(
        "Tried with {}: it lacks rights; it needs the role Storage Blob Data Reader on account {} or "
        "container {} (new assignments take some minutes){}",
        s_.credential, s_.url.account, s_.url.container, tail);
  if (code == "AuthorizationPermissionMismatch" || code == "AuthorizationResourceTypeMismatch" ||
      code == "AuthorizationServiceMismatch")
    return fmt::format("Tried with {}: it lacks rights; reading needs read and list (sp=rl, on the container){}",
                       s_.credential, tail);
  if (status != 401 && status != 403) return {};
  if (s_.credential.empty())
    return "No credentials were given: set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or "
           "AZURE_STORAGE_CONNECTION_STRING" +
           tail;
  return fmt::format(
      "Tried with {}: check that it is right for account {} and not expired, that this machine's clock is right, and "
      "that the account's firewall lets this machine in{}",
      s_.credential, s_.url.account, tail);
}

Status useCredentials(const OriginConfig& config, Settings& settings) {
  settings.note = config.credentials_note;
  const AzureCredentials& given = config.azure;
  if (!config.anonymous && config.identity.any()) {
    if (!settings.endpoint.tls && !settings.endpoint.isLoopback())
      return fail(
          Code::InvalidArgument,
          fmt::format("{}: the access tokens of an identity are only sent over https, and the endpoint {} is http",
                      settings.url.text(), settings.endpoint.text()));
    settings.bearer = true;
    if (!config.identity.optional) settings.credential = config.identity.description();
    return {};
  }
  const std::string from = given.source.empty() ? "" : " from " + given.source;
  if (config.anonymous || !given.any()) return {};
  if (!given.account_key.empty()) {
    auto key = base64Decode(given.account_key.reveal());
    if (!key)
      return fail(Code::InvalidArgument,
                  fmt::format("the account key{} for account {} isn't base64: copy it whole, with its '=' at the end",
                              from, settings.url.account));
    settings.key = Secret(std::move(*key));
    settings.credential = "the account key" + from;
    return {};
  }
  std::string_view token = given.sas_token.reveal();
  while (token.starts_with('?') || token.starts_with('&')) token.remove_prefix(1);
  const bool clean = token.find_first_of(" \t\r\n#") == std::string_view::npos;
  if (!clean || (!token.starts_with("sig=") && token.find("&sig=") == std::string_view::npos))
    return fail(Code::InvalidArgument,
                fmt::format("the SAS token{} for account {} has no sig=, or a space or line break in it: copy it whole",
                            from, settings.url.account));
  settings.sas = Secret(std::string(token));
  settings.credential = "the SAS token" + from;
  if (!settings.endpoint.tls && !settings.endpoint.isAddress())
    log::warn("origin", "{}: the SAS token is sent unencrypted, because the endpoint {} is http", settings.url.text(),
              settings.endpoint.text());
  return {};
}

}  // namespace

Result<std::unique_ptr<Dialect>> makeAzureDialect(const OriginUrl& url, const OriginConfig& config) {
  Settings settings{.url = url,
                    .endpoint = {},
                    .container_path = {},
                    .key = {},
                    .sas = {},
                    .bearer = false,
                    .credential = {},
                    .note = {}};
  settings.endpoint = TRY(
      parseEndpoint(config.endpoint.empty() ? "https://" + url.account + ".blob.core.windows.net" : config.endpoint));
  Endpoint& endpoint = settings.endpoint;
  const bool named = endpoint.authority.starts_with(url.account + ".");
  if (config.path_style.value_or(endpoint.isAddress() && !named) && endpoint.base_path.empty())
    endpoint.base_path = "/" + url.account;
  settings.container_path = endpoint.base_path + "/" + percentEncode(url.container);
  TRY(useCredentials(config, settings));
  return std::make_unique<AzureDialect>(std::move(settings));
}

}  // namespace forebay::origin
