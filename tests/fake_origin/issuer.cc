#include "fake_origin/issuer.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace forebay::fake {
namespace {

namespace json = boost::json;

constexpr std::string_view kTenant = "forebay-tenant", kClient = "forebay-client", kHeader = "forebay-header";
constexpr std::string_view kRole = "arn:aws:iam::123456789012:role/forebay";
constexpr std::string_view kExternalId = "forebay-external", kContainerToken = "forebay-container";
constexpr std::string_view kResource = "https://storage.azure.com";
constexpr std::string_view kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr std::string_view kSession = "forebay-instance-session", kInstanceRole = "forebay-instance-role";
constexpr std::string_view kMetadata = "/latest/meta-data/iam/security-credentials/";

bool isSts(const Head& head) {
  return head.method == "POST" && head.path == "/";
}

// "a=b%20c&d=e+f": nothing for what isn't such a form, or names a field twice.
std::optional<std::map<std::string, std::string, std::less<>>> parseForm(std::string_view text) {
  std::map<std::string, std::string, std::less<>> form;
  while (!text.empty()) {
    const auto end = text.find('&');
    std::string part(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    for (char& c : part)
      if (c == '+') c = ' ';
    const auto equals = part.find('=');
    if (equals == std::string::npos) return std::nullopt;
    const auto key = percentDecode(part.substr(0, equals)), value = percentDecode(part.substr(equals + 1));
    if (!key || !value || !form.emplace(*key, *value).second) return std::nullopt;
  }
  return form;
}

Refusal entra(std::string code, std::string description) {
  return {400, std::move(code), std::move(description)};
}

}  // namespace

std::expected<Target, Refusal> IssuerDialect::locate(const Head& head) const {
  Target target{.op = Op::Other, .access = Access::Read, .container = "issuer", .name = {}};
  const std::string_view path = head.path;
  if (isSts(head)) {
    target.name = "sts";
  } else if (head.method == "POST" && path.ends_with("/oauth2/v2.0/token")) {
    target.name = "entra";
  } else if (head.method == "GET" && path == "/metadata/identity/oauth2/token") {
    target.name = "imds";
  } else if (head.method == "GET" && path == "/msi/token") {
    target.name = "app-service";
  } else if (head.method == "PUT" && path == "/latest/api/token") {
    target.name = "instance-token";
  } else if (head.method == "GET" && path.starts_with(kMetadata)) {
    target.name = "instance";
  } else if (head.method == "GET" && path == "/container") {
    target.name = "container";
  } else {
    return std::unexpected(Refusal{404, "not_found", "No issuer is here."});
  }
  tokens_.count(target.name, false);
  return target;
}

std::optional<Refusal> IssuerDialect::authenticate(const Head& head, const Target& target, const Context&) const {
  const bool azure = target.name == "imds" || target.name == "app-service";
  if (azure && head.param("resource") != kResource) return entra("invalid_resource", "AADSTS500011: wrong resource");
  if (azure && head.hasParam("client_id") && head.param("client_id") != kClient)
    return entra("invalid_request", "Identity not found");
  if (head.hasHeader("x-forwarded-for")) return Refusal{400, "bad_request_102", "Through a proxy."};
  if (target.name == "imds" && (head.header("metadata") != "true" || head.param("api-version") != "2018-02-01"))
    return entra("bad_request_102", "Required metadata header or api-version not specified");
  if (target.name == "app-service" &&
      (head.header("x-identity-header") != kHeader || head.param("api-version") != "2019-08-01"))
    return Refusal{401, "unauthorized", "The header is wrong."};
  if (target.name == "instance-token" && !head.hasHeader("x-aws-ec2-metadata-token-ttl-seconds"))
    return Refusal{400, "BadRequest", "A time to live is required."};
  if (target.name == "instance" && head.header("x-aws-ec2-metadata-token") != kSession)
    return Refusal{401, "Unauthorized", "Version 2 alone is served."};
  if (target.name == "container" && head.header("authorization") != kContainerToken)
    return Refusal{401, "Unauthorized", "The authorization token is wrong."};
  return std::nullopt;
}

Answer IssuerDialect::serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const {
  const std::string& kind = target.name;
  if (kind == "imds" || kind == "app-service") return bearer(kind, context.now_s);
  if (kind == "container") return metadataKeys(kind, context.now_s);
  if (kind == "instance-token" || (kind == "instance" && head.path == kMetadata)) {
    Answer answer;
    answer.text(std::string(kind == "instance" ? kInstanceRole : kSession));
    return answer;
  }
  if (kind == "instance") {
    if (head.path != std::string(kMetadata) + std::string(kInstanceRole))
      return refuse(head, {404, "NotFound", "No such role."});
    return metadataKeys(kind, context.now_s);
  }
  const auto form = parseForm(body.text ? std::string_view(*body.text) : std::string_view{});
  if (!form || head.header("content-type") != "application/x-www-form-urlencoded")
    return refuse(head, {400, kind == "sts" ? "MalformedInput" : "invalid_request", "The body is no form."});
  if (kind == "entra") {
    if (const auto refusal = checkEntra(head, *form)) return refuse(head, *refusal);
    return bearer(kind, context.now_s);
  }
  if (const auto refusal = checkSts(head, *form, body, context.now_s)) return refuse(head, *refusal);
  return stsKeys(*form, context.now_s);
}

namespace {
std::string_view field(const std::map<std::string, std::string, std::less<>>& form, std::string_view key) {
  const auto known = form.find(key);
  return known == form.end() ? std::string_view{} : known->second;
}
}  // namespace

std::optional<Refusal> IssuerDialect::checkEntra(const Head& head, const Form& form) const {
  if (head.path != fmt::format("/{}/oauth2/v2.0/token", kTenant))
    return entra("invalid_request", "AADSTS90002: Tenant not found.");
  if (field(form, "grant_type") != "client_credentials") return entra("unsupported_grant_type", "AADSTS70003: no");
  if (field(form, "client_id") != kClient) return entra("unauthorized_client", "AADSTS700016: Application not found.");
  if (field(form, "scope") != std::string(kResource) + "/.default") return entra("invalid_scope", "AADSTS70011: no");
  if (field(form, "client_assertion_type") != kAssertionType) return entra("invalid_request", "AADSTS900144: no");
  // The real one quotes parts of what it was shown: so does this, and tests look for it in logs.
  if (field(form, "client_assertion") != tokens_.settings.assertion)
    return entra("invalid_client", fmt::format("AADSTS70021: No matching federated identity record found for '{}'.",
                                               field(form, "client_assertion")));
  return std::nullopt;
}

std::optional<Refusal> IssuerDialect::checkSts(const Head& head, const Form& form, const ReceivedBody& body,
                                               std::int64_t now) const {
  const std::string_view action = field(form, "Action"), role = field(form, "RoleArn");
  if (field(form, "Version") != "2011-06-15") return Refusal{400, "InvalidAction", "Wrong version."};
  if (field(form, "RoleSessionName").size() < 2) return Refusal{400, "ValidationError", "RoleSessionName"};
  if (action == "AssumeRoleWithWebIdentity") {
    if (head.hasHeader("authorization")) return Refusal{400, "ValidationError", "This is not to be signed."};
    if (field(form, "WebIdentityToken") != tokens_.settings.assertion)
      return Refusal{400, "InvalidIdentityToken",
                     fmt::format("No provider for '{}'.", field(form, "WebIdentityToken"))};
  } else if (action == "AssumeRole") {
    const auto scope = parseS3Authorization(head.header("authorization"));
    if (!scope || scope->service != "sts" || scope->region != s3_.region)
      return Refusal{403, "SignatureDoesNotMatch", "Not signed for sts in this region."};
    std::optional<Refusal> refusal;
    auto keys = tokens_.useKeys(scope->access_key, now, refusal);
    if (refusal) return Refusal{403, "ExpiredToken", "The security token included in the request is expired"};
    if (!keys && scope->access_key == s3_.access_key)
      keys = Tokens::Keys{s3_.access_key, s3_.secret_key, s3_.session_token, 0};
    if (!keys) return Refusal{403, "InvalidClientTokenId", "The security token included in the request is invalid."};
    if (head.header("x-amz-security-token") != keys->session)
      return Refusal{403, "InvalidClientTokenId", "The session token is wrong."};
    if (!body.sha256_hex.empty() && body.sha256_hex != head.header("x-amz-content-sha256"))
      return Refusal{403, "SignatureDoesNotMatch", "The body isn't the one that was signed."};
    if (s3Signature(s3CanonicalRequest(head, scope->signed_headers), *scope, head.header("x-amz-date"), keys->secret) !=
        scope->signature)
      return Refusal{403, "SignatureDoesNotMatch", "The signature is wrong."};
    if (role == std::string(kRole) + "/second" && field(form, "ExternalId") != kExternalId)
      return Refusal{403, "AccessDenied", "The external id is wrong."};
  } else {
    return Refusal{400, "InvalidAction", "No such action here."};
  }
  if (!role.starts_with(kRole)) return Refusal{403, "AccessDenied", "Not authorized to assume this role."};
  return std::nullopt;
}

Answer IssuerDialect::bearer(std::string_view kind, std::int64_t now) const {
  tokens_.count(kind, true);
  const std::uint64_t life = tokens_.settings.lifetime_s;
  json::object answer{{"token_type", "Bearer"}, {"access_token", tokens_.issueBearer(now)}};
  const std::uint64_t end = static_cast<std::uint64_t>(now) + life;
  if (kind == "app-service") {
    answer["expires_on"] = fmt::to_string(end);  // and no expires_in, as App Service has it
  } else if (tokens_.settings.numbers_as_text) {
    answer["expires_in"] = fmt::to_string(life);
    answer["expires_on"] = fmt::to_string(end);
  } else {
    answer["expires_in"] = life;
  }
  Answer result;
  result.set("Content-Type", "application/json");
  result.text(json::serialize(answer));
  return result;
}

Answer IssuerDialect::stsKeys(const Form& form, std::int64_t now) const {
  tokens_.count("sts", true);
  const Tokens::Keys keys = tokens_.issueKeys(now);
  const std::string action(field(form, "Action"));
  Answer answer;
  answer.set("Content-Type", "text/xml");
  answer.text(
      fmt::format("<{0}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{0}Result><Credentials>"
                  "<AccessKeyId>{1}</AccessKeyId><SecretAccessKey>{2}</SecretAccessKey><SessionToken>{3}"
                  "</SessionToken><Expiration>{4}</Expiration></Credentials></{0}Result></{0}Response>",
                  action, keys.id, keys.secret, xml(keys.session), isoDate(keys.expires)));
  return answer;
}

Answer IssuerDialect::metadataKeys(std::string_view kind, std::int64_t now) const {
  tokens_.count(kind, true);
  const Tokens::Keys keys = tokens_.issueKeys(now);
  json::object object{{"AccessKeyId", keys.id},
                      {"SecretAccessKey", keys.secret},
                      {"Token", keys.session},
                      {"Expiration", isoDate(keys.expires)}};
  if (kind == "instance") object["Code"] = "Success";
  Answer answer;
  answer.set("Content-Type", "application/json");
  answer.text(json::serialize(object));
  return answer;
}

Answer IssuerDialect::refuse(const Head& head, const Refusal& refusal) const {
  Answer answer;
  answer.status = refusal.status;
  if (isSts(head)) {
    answer.set("Content-Type", "text/xml");
    answer.text(
        fmt::format("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
                    "<Code>{}</Code><Message>{}</Message></Error></ErrorResponse>",
                    xml(refusal.code), xml(refusal.message)));
    return answer;
  }
  answer.set("Content-Type", "application/json");
  answer.text(json::serialize(json::object{{"error", refusal.code}, {"error_description", refusal.message}}));
  return answer;
}

std::string_view IssuerDialect::usualCode(int status) const {
  return status / 100 == 5 ? "temporarily_unavailable" : "invalid_request";
}

void IssuerDialect::stamp(const Head&, std::uint64_t, Answer&) const {}

}  // namespace forebay::fake
