// As whom a mount reads when it isn't by a key that a person gives: which issuer is asked, how, and for what. Plain
// data, found by environment.h, used by make_credentials.h, and sent to a node that already runs by the mount command.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace forebay::origin {

// What a mount's `credential` key allows; docs/config.md has what each does.
enum class CredentialChoice : std::uint8_t {
  Auto,
  Static,
  Workload,
  Managed,
  WebIdentity,
  Profile,
  Container,
  Instance
};
std::string_view choiceName(CredentialChoice choice);
Result<CredentialChoice> parseChoice(std::string_view text);

// A role to be assumed with the credentials that are there, by STS.
struct AssumedRole {
  std::string arn, session_name, external_id;
  std::uint32_t duration_s = 0;  // 0: the service's default
  bool operator==(const AssumedRole&) const = default;
};
constexpr std::size_t kMaxRoles = 5;  // one after the other

struct Identity {
  enum class Kind : std::uint8_t {
    None,
    Workload,     // Azure: a federated token for an access token, at the authority
    Managed,      // Azure: the instance metadata service
    AppService,   // Azure: the identity endpoint of App Service, Functions, Container Apps
    Keys,         // S3: access keys that are given, only to assume roles with
    WebIdentity,  // S3: a web identity's token for a role, at STS
    Container,    // S3: the container's credentials endpoint
    Instance,     // S3: the instance metadata service, version 2
  };
  Kind kind = Kind::None;
  bool optional = false;          // nothing names it: where nobody answers there, requests go out unsigned
  std::string endpoint;           // of the authority, identity endpoint, credentials endpoint or metadata service
  std::string client_id, tenant;  // Azure
  std::string token_file;         // read anew at each renewal: its content is rotated
  Secret token;                   // sent to AppService and Container
  AssumedRole role;               // WebIdentity
  std::string sts_endpoint, sts_region;
  std::vector<AssumedRole> roles;  // then assumed, in this order
  std::string source;              // where all this was found: "AZURE_FEDERATED_TOKEN_FILE"

  bool any() const { return kind != Kind::None; }
  std::string description() const;  // for messages, without secrets
  bool operator==(const Identity&) const = default;
};

// As texts by name, and back. Some are secret. InvalidArgument for a name or value that this version doesn't know.
using IdentityFields = std::vector<std::pair<std::string, std::string>>;
IdentityFields fieldsOf(const Identity& identity);
Status setField(Identity& identity, std::string_view name, std::string_view value);

}  // namespace forebay::origin
