#include "origin/azure_identity.h"

#include <fmt/format.h>

#include "origin/encoding.h"
#include "origin/identity_answers.h"

namespace forebay::origin {
namespace {

constexpr std::string_view kResource = "https://storage.azure.com";
constexpr std::string_view kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr Duration kProbeConnect = 1s;  // a metadata service is on this machine, or isn't at all
constexpr Duration kUnsignedFor = std::chrono::minutes(5);

std::string withoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

class WorkloadSource final : public CredentialSource {
 public:
  WorkloadSource(const Identity& identity, IssuerWay way)
      : identity_(identity), description_(identity.description()), issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    issuer_.readToken(identity_.token_file, [this, deadline, done = std::move(done)](Result<Secret> assertion) mutable {
      if (!assertion) {
        assertion.error().message = fmt::format("{}: {}", description_, assertion.error().message);
        return done(std::unexpected(std::move(assertion.error())));
      }
      exchange(*assertion, deadline, std::move(done));
    });
  }

 private:
  void exchange(const Secret& assertion, TimePoint deadline, Callback<Credential> done) {
    io::HttpRequest request;
    request.method = io::HttpMethod::Post;
    request.url =
        fmt::format("{}/{}/oauth2/v2.0/token", withoutSlash(identity_.endpoint), percentEncode(identity_.tenant));
    request.headers = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"};
    request.body =
        fmt::format("grant_type=client_credentials&client_id={}&scope={}&client_assertion_type={}&client_assertion={}",
                    percentEncode(identity_.client_id), percentEncode(std::string(kResource) + "/.default"),
                    percentEncode(kAssertionType), percentEncode(assertion.reveal()));
    issuer_.ask(
        std::move(request), Issuer::Route::Proxied, deadline,
        [this, done = std::move(done)](Result<io::HttpResponse> answer) mutable { done(read(std::move(answer))); });
  }
  Result<Credential> read(Result<io::HttpResponse> answer) const {
    if (!answer)
      return fail(answer.error().code, fmt::format("{}: {}. Check AZURE_AUTHORITY_HOST, and proxy or firewall",
                                                   description_, answer.error().message));
    if (answer->status != 200)
      return fail(answerError(description_, identity_.endpoint, *answer, azureErrorWord(answer->body),
                              "Check that the client has a federated credential for this workload's issuer and subject "
                              "in this tenant (AZURE_CLIENT_ID, AZURE_TENANT_ID), and that the token file is current"));
    Result<Credential> credential = parseAzureToken(answer->body, clockOf(*answer));
    if (!credential) credential.error().message = fmt::format("{}: {}", description_, credential.error().message);
    return credential;
  }

  const Identity identity_;
  const std::string description_;
  Issuer issuer_;
};

class ManagedSource final : public CredentialSource {
 public:
  ManagedSource(const Identity& identity, IssuerWay way)
      : identity_(identity), description_(identity.description()), issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    const bool service = identity_.kind == Identity::Kind::AppService;
    io::HttpRequest request;
    request.url = service ? identity_.endpoint : withoutSlash(identity_.endpoint) + "/metadata/identity/oauth2/token";
    request.url += fmt::format("{}api-version={}&resource={}", request.url.find('?') == std::string::npos ? '?' : '&',
                               service ? "2019-08-01" : "2018-02-01", percentEncode(kResource));
    if (!identity_.client_id.empty()) request.url += "&client_id=" + percentEncode(identity_.client_id);
    if (service)
      request.headers.push_back("X-IDENTITY-HEADER: " + identity_.token.reveal());
    else
      request.headers.emplace_back("Metadata: true");
    if (identity_.optional) request.connect_timeout = kProbeConnect;
    issuer_.ask(
        std::move(request), Issuer::Route::Direct, deadline,
        [this, done = std::move(done)](Result<io::HttpResponse> answer) mutable { done(read(std::move(answer))); });
  }

 private:
  Credential nothing(std::string why) const {
    Credential none;
    none.lifetime = kUnsignedFor;
    none.note = std::move(why);
    return none;
  }
  Result<Credential> read(Result<io::HttpResponse> answer) const {
    if (!answer) {
      if (identity_.optional) return nothing("No credentials are configured, and no metadata service answers");
      return fail(answer.error().code, fmt::format("{}: {}", description_, answer.error().message));
    }
    const std::string word = azureErrorWord(answer->body);
    if (answer->status == 200) {
      Result<Credential> credential = parseAzureToken(answer->body, clockOf(*answer));
      if (!credential) credential.error().message = fmt::format("{}: {}", description_, credential.error().message);
      return credential;
    }
    if (identity_.optional && answer->status / 100 == 4 && answer->status != 429)
      return nothing(
          fmt::format("No credentials are configured, and this machine's metadata service gives none ({}{}{})",
                      answer->status, word.empty() ? "" : " ", word));
    Error error = answerError(description_, identity_.endpoint, *answer, word,
                              "Check that the identity is assigned to this machine or service; AZURE_CLIENT_ID names a "
                              "user-assigned one");
    // The metadata service says so while it is upgraded, and before a new machine's identity is there.
    if (identity_.kind == Identity::Kind::Managed && (answer->status == 404 || answer->status == 410))
      error.code = Code::Unavailable;
    return fail(std::move(error));
  }

  const Identity identity_;
  const std::string description_;
  Issuer issuer_;
};

}  // namespace

Result<std::unique_ptr<CredentialSource>> makeAzureSource(const Identity& identity, IssuerWay way) {
  if (identity.kind == Identity::Kind::Workload) {
    for (const auto& [value, name] :
         {std::pair{&identity.client_id, "AZURE_CLIENT_ID"}, std::pair{&identity.tenant, "AZURE_TENANT_ID"},
          std::pair{&identity.token_file, "AZURE_FEDERATED_TOKEN_FILE"}})
      if (value->empty())
        return fail(Code::InvalidArgument, fmt::format("workload identity needs {}, which isn't set", name));
    TRY(checkIssuerUrl("AZURE_AUTHORITY_HOST", identity.endpoint, Plain::Loopback));
    return std::make_unique<WorkloadSource>(identity, std::move(way));
  }
  const bool service = identity.kind == Identity::Kind::AppService;
  TRY(checkIssuerUrl(service ? "IDENTITY_ENDPOINT" : "AZURE_POD_IDENTITY_AUTHORITY_HOST", identity.endpoint,
                     Plain::LinkLocal));
  if (service && !isToken(identity.token.reveal()))
    return fail(Code::InvalidArgument, "IDENTITY_HEADER isn't set, or no text that a header can hold");
  return std::make_unique<ManagedSource>(identity, std::move(way));
}

}  // namespace forebay::origin
