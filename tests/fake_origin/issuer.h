// The port of those who give out credentials, each as strict as the real one:
//
//   POST /TENANT/oauth2/v2.0/token                         Entra: client credentials with a client assertion
//   GET  /metadata/identity/oauth2/token                   Azure's instance metadata
//   GET  /msi/token                                        Azure's App Service
//   POST /                                                 STS: AssumeRoleWithWebIdentity, AssumeRole (signed)
//   PUT  /latest/api/token, GET /latest/meta-data/...      EC2's instance metadata, version 2
//   GET  /container                                        a container's credentials
//
// Who may have one: tenant forebay-tenant, client forebay-client, header forebay-header, role
// arn:aws:iam::123456789012:role/forebay (and its /second), external id forebay-external, Authorization
// forebay-container. A Dialect, so that faults ({"op":"other","name":"issuer/entra"}) and statistics work as for the
// stores: the kinds are entra, imds, app-service, sts, instance-token, instance, container.
#pragma once

#include "fake_origin/dialect.h"
#include "fake_origin/tokens.h"

namespace forebay::fake {

class IssuerDialect : public Dialect {
 public:
  IssuerDialect(Tokens& tokens, S3Credentials s3) : tokens_(tokens), s3_(std::move(s3)) {}

  std::expected<Target, Refusal> locate(const Head& head) const override;
  std::optional<Refusal> authenticate(const Head& head, const Target& target, const Context& context) const override;
  Answer serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const override;
  Answer refuse(const Head& head, const Refusal& refusal) const override;
  std::string_view usualCode(int status) const override;
  void stamp(const Head& head, std::uint64_t request, Answer& answer) const override;

 protected:
  std::string etag(const Object&) const override { return {}; }
  void describe(const Object&, Answer&) const override {}

 private:
  using Form = std::map<std::string, std::string, std::less<>>;
  std::optional<Refusal> checkEntra(const Head& head, const Form& form) const;
  std::optional<Refusal> checkSts(const Head& head, const Form& form, const ReceivedBody& body, std::int64_t now) const;
  Answer bearer(std::string_view kind, std::int64_t now) const;
  Answer stsKeys(const Form& form, std::int64_t now) const;
  Answer metadataKeys(std::string_view kind, std::int64_t now) const;

  Tokens& tokens_;
  S3Credentials s3_;
};

}  // namespace forebay::fake
