#include "origin/s3_identity.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "origin/encoding.h"
#include "origin/identity_answers.h"
#include "origin/origin_url.h"
#include "origin/sigv4.h"

namespace forebay::origin {
namespace {

constexpr Duration kProbeConnect = 1s;  // a metadata service is on this machine, or isn't at all
constexpr Duration kUnsignedFor = std::chrono::minutes(5);
constexpr const char* kInstanceTokenSeconds = "21600";  // the most that there is; it is used at once

Error named(const std::string& description, Error error) {
  error.message = fmt::format("{}: {}", description, error.message);
  return error;
}

std::string withoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string roleForm(std::string_view action, const AssumedRole& role) {
  std::string form = fmt::format("Action={}&Version=2011-06-15&RoleArn={}&RoleSessionName={}", action,
                                 percentEncode(role.arn), percentEncode(role.session_name));
  if (!role.external_id.empty()) form += "&ExternalId=" + percentEncode(role.external_id);
  if (role.duration_s > 0) form += fmt::format("&DurationSeconds={}", role.duration_s);
  return form;
}

Result<Credential> readSts(const std::string& description, const std::string& endpoint, Result<io::HttpResponse> answer,
                           std::string_view advice) {
  if (!answer)
    return fail(named(description, {answer.error().code, answer.error().message +
                                                             ". Check AWS_REGION and AWS_ENDPOINT_URL_STS, and proxy "
                                                             "or firewall"}));
  if (answer->status != 200) {
    const std::string word = stsErrorWord(answer->body);
    Error error = answerError(description, endpoint, *answer, word, advice);
    if (word == "Throttling" || word == "IDPCommunicationError") error.code = Code::Unavailable;
    return fail(std::move(error));
  }
  Result<Credential> credential = parseStsKeys(answer->body, clockOf(*answer));
  if (!credential) return fail(named(description, std::move(credential.error())));
  return credential;
}

class KeysSource final : public CredentialSource {
 public:
  KeysSource(const Identity& identity, const S3Credentials& keys, IssuerWay way)
      : keys_(keys), description_(identity.description()), issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }
  void fetch(TimePoint, Callback<Credential> done) override {
    Credential credential;
    credential.access_key_id = keys_.access_key_id;
    credential.secret_access_key = keys_.secret_access_key;
    credential.session_token = keys_.session_token;
    credential.lifetime = std::chrono::hours(24);
    issuer_.later(
        [credential = std::move(credential), done = std::move(done)]() mutable { done(std::move(credential)); });
  }

 private:
  const S3Credentials keys_;
  const std::string description_;
  Issuer issuer_;
};

class WebIdentitySource final : public CredentialSource {
 public:
  WebIdentitySource(const Identity& identity, IssuerWay way)
      : identity_(identity), description_(identity.description()), issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    issuer_.readToken(identity_.token_file, [this, deadline, done = std::move(done)](Result<Secret> token) mutable {
      if (!token) return done(fail(named(description_, std::move(token.error()))));
      io::HttpRequest request;
      request.method = io::HttpMethod::Post;
      request.url = withoutSlash(identity_.sts_endpoint) + "/";
      request.headers = {"Content-Type: application/x-www-form-urlencoded"};
      request.body =
          roleForm("AssumeRoleWithWebIdentity", identity_.role) + "&WebIdentityToken=" + percentEncode(token->reveal());
      issuer_.ask(std::move(request), Issuer::Route::Proxied, deadline,
                  [this, done = std::move(done)](Result<io::HttpResponse> answer) mutable {
                    done(readSts(description_, identity_.sts_endpoint, std::move(answer),
                                 "Check that the role (AWS_ROLE_ARN) trusts the token's issuer and subject, and that "
                                 "AWS_WEB_IDENTITY_TOKEN_FILE is current"));
                  });
    });
  }

 private:
  const Identity identity_;
  const std::string description_;
  Issuer issuer_;
};

class AssumeRoleSource final : public CredentialSource {
 public:
  AssumeRoleSource(const Identity& identity, AssumedRole role, std::unique_ptr<CredentialSource> before, IssuerWay way)
      : identity_(identity),
        role_(std::move(role)),
        description_(fmt::format("role {}, assumed with {}", shown(role_.arn), before->description())),
        before_(std::move(before)),
        issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    before_->fetch(deadline, [this, deadline, done = std::move(done)](Result<Credential> keys) mutable {
      if (!keys) return done(std::unexpected(std::move(keys.error())));
      if (keys->nothing()) return done(fail(Code::Unauthenticated, fmt::format("{}: {}", description_, keys->note)));
      assume(*keys, deadline, std::move(done));
    });
  }

 private:
  void assume(const Credential& keys, TimePoint deadline, Callback<Credential> done) {
    io::HttpRequest request;
    request.method = io::HttpMethod::Post;
    request.body = roleForm("AssumeRole", role_);
    const Result<Endpoint> endpoint = parseEndpoint(identity_.sts_endpoint);
    if (!endpoint)
      return issuer_.later(
          [done = std::move(done), error = endpoint.error()]() mutable { done(fail(std::move(error))); });
    const std::string path = endpoint->base_path + "/";
    request.url = (endpoint->tls ? "https://" : "http://") + endpoint->authority + path;
    const std::string time = compactIsoTime(io::Reactor::wallNs());
    const std::string digest = hex(sha256(bytesOf(request.body)));
    std::vector<std::pair<std::string, std::string>> headers{
        {"content-type", "application/x-www-form-urlencoded"}, {"x-amz-content-sha256", digest}, {"x-amz-date", time}};
    if (!keys.session_token.empty()) headers.emplace_back("x-amz-security-token", keys.session_token.reveal());
    for (const auto& [name, value] : headers) request.headers.push_back(name + ": " + value);
    headers.emplace_back("host", endpoint->authority);
    const SigV4Request to_sign{.verb = "POST",
                               .path = path,
                               .query = {},
                               .headers = headers,
                               .region = identity_.sts_region,
                               .service = "sts",
                               .time = time,
                               .body_sha256 = digest};
    request.headers.push_back("Authorization: " +
                              sigV4Authorization(to_sign, keys.access_key_id, keys.secret_access_key.reveal()));
    issuer_.ask(std::move(request), Issuer::Route::Proxied, deadline,
                [this, done = std::move(done)](Result<io::HttpResponse> answer) mutable {
                  done(readSts(description_, identity_.sts_endpoint, std::move(answer),
                               "Check that the role's trust policy allows sts:AssumeRole to these credentials (and "
                               "external_id, where it asks for one)"));
                });
  }

  const Identity identity_;
  const AssumedRole role_;
  const std::string description_;
  std::unique_ptr<CredentialSource> before_;
  Issuer issuer_;
};

class ContainerSource final : public CredentialSource {
 public:
  ContainerSource(const Identity& identity, IssuerWay way)
      : identity_(identity), description_(identity.description()), issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    if (identity_.token_file.empty()) return ask(identity_.token, deadline, std::move(done));
    issuer_.readToken(identity_.token_file, [this, deadline, done = std::move(done)](Result<Secret> token) mutable {
      if (!token) return done(fail(named(description_, std::move(token.error()))));
      ask(*token, deadline, std::move(done));
    });
  }

 private:
  void ask(const Secret& token, TimePoint deadline, Callback<Credential> done) {
    io::HttpRequest request;
    request.url = identity_.endpoint;
    if (!token.empty()) request.headers.push_back("Authorization: " + token.reveal());
    issuer_.ask(
        std::move(request), Issuer::Route::Direct, deadline,
        [this, done = std::move(done)](Result<io::HttpResponse> answer) mutable { done(read(std::move(answer))); });
  }
  Result<Credential> read(Result<io::HttpResponse> answer) const {
    if (!answer) return fail(named(description_, std::move(answer.error())));
    if (answer->status != 200)
      return fail(answerError(description_, identity_.endpoint, *answer, metadataErrorWord(answer->body),
                              "Check that the task or pod has a role, and AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE)"));
    Result<Credential> credential = parseMetadataKeys(answer->body, clockOf(*answer));
    if (!credential) return fail(named(description_, std::move(credential.error())));
    return credential;
  }

  const Identity identity_;
  const std::string description_;
  Issuer issuer_;
};

// Three questions: a session token, the role's name, its keys.
class InstanceSource final : public CredentialSource {
 public:
  InstanceSource(const Identity& identity, IssuerWay way)
      : identity_(identity),
        base_(withoutSlash(identity.endpoint)),
        description_(identity.description()),
        issuer_(std::move(way)) {}
  const std::string& description() const override { return description_; }

  void fetch(TimePoint deadline, Callback<Credential> done) override {
    deadline_ = deadline;
    done_ = std::move(done);
    io::HttpRequest request;
    request.method = io::HttpMethod::Put;
    request.url = base_ + "/latest/api/token";
    request.headers = {std::string("X-aws-ec2-metadata-token-ttl-seconds: ") + kInstanceTokenSeconds};
    if (identity_.optional) request.connect_timeout = kProbeConnect;
    ask(std::move(request), [this](const io::HttpResponse& answer) {
      if (!isToken(answer.body)) return finish(fail(Code::Corrupt, description_ + ": the session token can't be one"));
      session_ = Secret(answer.body);
      askRole();
    });
  }

 private:
  using Then = std::move_only_function<void(const io::HttpResponse&)>;

  io::HttpRequest get(const std::string& path) const {
    io::HttpRequest request;
    request.url = base_ + "/latest/meta-data/iam/security-credentials/" + path;
    request.headers = {"X-aws-ec2-metadata-token: " + session_.reveal()};
    return request;
  }
  void askRole() {
    ask(get(""), [this](const io::HttpResponse& answer) {
      const std::string role = answer.body.substr(0, answer.body.find_first_of("\r\n"));
      if (!isToken(role) || role.size() > 128)
        return finish(
            fail(Code::Unauthenticated, description_ + ": this instance has no role: attach an instance profile"));
      ask(get(percentEncode(role)), [this](const io::HttpResponse& keys) {
        Result<Credential> credential = parseMetadataKeys(keys.body, clockOf(keys));
        if (!credential) return finish(fail(named(description_, std::move(credential.error()))));
        finish(std::move(credential));
      });
    });
  }
  void ask(io::HttpRequest request, Then then) {
    issuer_.ask(std::move(request), Issuer::Route::Direct, deadline_,
                [this, then = std::move(then)](Result<io::HttpResponse> answer) mutable {
                  if (answer && answer->status == 200) return then(*answer);
                  refused(std::move(answer));
                });
  }
  void refused(Result<io::HttpResponse> answer) {
    const int status = answer ? answer->status : 0;
    if (identity_.optional && (!answer || (status / 100 == 4 && status != 429))) {
      Credential none;
      none.lifetime = kUnsignedFor;
      none.note =
          answer ? fmt::format("No credentials are configured, and this instance's metadata service gives none ({})",
                               status)
                 : "No credentials are configured, and no metadata service answers";
      return finish(std::move(none));
    }
    if (!answer) return finish(fail(named(description_, std::move(answer.error()))));
    finish(
        fail(answerError(description_, base_, *answer, metadataErrorWord(answer->body),
                         status == 404 ? "Attach an instance profile with a role to this instance"
                                       : "Check that the metadata service (version 2) is enabled for this instance")));
  }
  void finish(Result<Credential> result) {
    session_ = {};
    auto done = std::move(done_);
    done(std::move(result));  // may destroy us
  }

  const Identity identity_;
  const std::string base_, description_;
  Issuer issuer_;
  TimePoint deadline_{};
  Secret session_;
  Callback<Credential> done_;
};

Result<std::unique_ptr<CredentialSource>> makeBase(const Identity& identity, const S3Credentials& keys,
                                                   const IssuerWay& way) {
  // Roles are named by whoever assumes them.
  Identity base = identity;
  base.roles.clear();
  switch (identity.kind) {
    case Identity::Kind::Keys:
      if (keys.access_key_id.empty() || keys.secret_access_key.empty())
        return fail(Code::InvalidArgument,
                    "both the access key id and the secret access key are needed to assume a role");
      return std::make_unique<KeysSource>(base, keys, way);
    case Identity::Kind::WebIdentity:
      if (identity.role.arn.empty() || identity.token_file.empty())
        return fail(Code::InvalidArgument, "a web identity needs AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE");
      TRY(checkIssuerUrl("AWS_ENDPOINT_URL_STS", identity.sts_endpoint, Plain::Loopback));
      return std::make_unique<WebIdentitySource>(base, way);
    case Identity::Kind::Container:
      TRY(checkIssuerUrl("AWS_CONTAINER_CREDENTIALS_FULL_URI", identity.endpoint, Plain::LinkLocal));
      if (!identity.token.empty() && !isToken(identity.token.reveal()))
        return fail(Code::InvalidArgument, "AWS_CONTAINER_AUTHORIZATION_TOKEN is no text that a header can hold");
      return std::make_unique<ContainerSource>(base, way);
    case Identity::Kind::Instance:
      TRY(checkIssuerUrl("AWS_EC2_METADATA_SERVICE_ENDPOINT", identity.endpoint, Plain::LinkLocal));
      return std::make_unique<InstanceSource>(base, way);
    default:
      return fail(Code::InvalidArgument, "this identity isn't one of S3");
  }
}

}  // namespace

Result<std::unique_ptr<CredentialSource>> makeS3Source(const Identity& identity, const S3Credentials& keys,
                                                       const IssuerWay& way) {
  auto source = TRY(makeBase(identity, keys, way));
  if (identity.roles.size() > kMaxRoles)
    return fail(Code::InvalidArgument,
                fmt::format("more than {} roles are to be assumed one after the other", kMaxRoles));
  if (!identity.roles.empty()) TRY(checkIssuerUrl("AWS_ENDPOINT_URL_STS", identity.sts_endpoint, Plain::Loopback));
  for (const AssumedRole& role : identity.roles) {
    if (role.arn.empty()) return fail(Code::InvalidArgument, "a role to be assumed has no role_arn");
    source = std::make_unique<AssumeRoleSource>(identity, role, std::move(source), way);
  }
  return source;
}

}  // namespace forebay::origin
