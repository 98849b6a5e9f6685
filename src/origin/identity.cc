#include "origin/identity.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

using Kind = Identity::Kind;
using namespace std::string_view_literals;

constexpr std::array kChoices{
    std::pair{CredentialChoice::Auto, "auto"sv},
    std::pair{CredentialChoice::Static, "static"sv},
    std::pair{CredentialChoice::Workload, "workload"sv},
    std::pair{CredentialChoice::Managed, "managed"sv},
    std::pair{CredentialChoice::WebIdentity, "web-identity"sv},
    std::pair{CredentialChoice::Profile, "profile"sv},
    std::pair{CredentialChoice::Container, "container"sv},
    std::pair{CredentialChoice::Instance, "instance"sv},
};
constexpr std::array kKinds{
    std::pair{Kind::None, "none"sv},           std::pair{Kind::Workload, "workload"sv},
    std::pair{Kind::Managed, "managed"sv},     std::pair{Kind::AppService, "app-service"sv},
    std::pair{Kind::Keys, "keys"sv},           std::pair{Kind::WebIdentity, "web-identity"sv},
    std::pair{Kind::Container, "container"sv}, std::pair{Kind::Instance, "instance"sv},
};

template <class Table, class T>
std::string_view nameIn(const Table& table, T wanted) {
  for (const auto& [value, name] : table)
    if (value == wanted) return name;
  return "unknown";
}

struct TextField {
  std::string_view name;
  std::string Identity::* member;
};
constexpr std::array kTexts{
    TextField{"endpoint", &Identity::endpoint},
    TextField{"client_id", &Identity::client_id},
    TextField{"tenant", &Identity::tenant},
    TextField{"token_file", &Identity::token_file},
    TextField{"sts_endpoint", &Identity::sts_endpoint},
    TextField{"sts_region", &Identity::sts_region},
    TextField{"source", &Identity::source},
};

void addRole(IdentityFields& fields, const std::string& prefix, const AssumedRole& role) {
  if (role.arn.empty()) return;
  fields.emplace_back(prefix + "arn", role.arn);
  fields.emplace_back(prefix + "session_name", role.session_name);
  fields.emplace_back(prefix + "external_id", role.external_id);
  fields.emplace_back(prefix + "duration_s", fmt::to_string(role.duration_s));
}

Status setRoleField(AssumedRole& role, std::string_view name, std::string_view value) {
  if (name == "arn") {
    role.arn = value;
  } else if (name == "session_name") {
    role.session_name = value;
  } else if (name == "external_id") {
    role.external_id = value;
  } else if (name == "duration_s") {
    const auto seconds = parseNumber(value);
    if (!seconds || *seconds > 1'000'000) return fail(Code::InvalidArgument, "a role's duration_s is no such number");
    role.duration_s = static_cast<std::uint32_t>(*seconds);
  } else {
    return fail(Code::InvalidArgument, fmt::format("{} is no field of a role", shown(name)));
  }
  return {};
}

std::string clientText(const Identity& identity) {
  return identity.client_id.empty() ? "the system's own" : "client " + shown(identity.client_id);
}

}  // namespace

std::string_view choiceName(CredentialChoice choice) {
  return nameIn(kChoices, choice);
}

Result<CredentialChoice> parseChoice(std::string_view text) {
  std::string allowed;
  for (const auto& [choice, name] : kChoices) {
    if (text == name) return choice;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name);
  }
  return fail(Code::InvalidArgument, fmt::format("{} is no kind of credential: it is one of {}", shown(text), allowed));
}

std::string Identity::description() const {
  std::string text;
  switch (kind) {
    case Kind::None:
      return "no identity";
    case Kind::Workload:
      text = fmt::format("workload identity (client {}, tenant {})", shown(client_id), shown(tenant));
      break;
    case Kind::Managed:
      text = fmt::format("managed identity of this machine ({})", clientText(*this));
      break;
    case Kind::AppService:
      text = fmt::format("managed identity of this service ({})", clientText(*this));
      break;
    case Kind::Keys:
      text = "the access key";
      break;
    case Kind::WebIdentity:
      text = fmt::format("web identity for role {}", shown(role.arn));
      break;
    case Kind::Container:
      text = "the container's role";
      break;
    case Kind::Instance:
      text = "the instance's role";
      break;
  }
  if (!source.empty()) text += " from " + source;
  if (!roles.empty()) text = fmt::format("role {}, assumed with {}", shown(roles.back().arn), text);
  return text;
}

IdentityFields fieldsOf(const Identity& identity) {
  IdentityFields fields;
  if (!identity.any()) return fields;
  fields.emplace_back("kind", nameIn(kKinds, identity.kind));
  if (identity.optional) fields.emplace_back("optional", "true");
  for (const auto& [name, member] : kTexts)
    if (!(identity.*member).empty()) fields.emplace_back(name, identity.*member);
  if (!identity.token.empty()) fields.emplace_back("token", identity.token.reveal());
  addRole(fields, "role.", identity.role);
  for (std::size_t i = 0; i < identity.roles.size(); ++i)
    addRole(fields, fmt::format("roles.{}.", i), identity.roles[i]);
  return fields;
}

Status setField(Identity& identity, std::string_view name, std::string_view value) {
  for (const auto& [text, member] : kTexts) {
    if (name != text) continue;
    identity.*member = value;
    return {};
  }
  if (name == "kind") {
    const auto* known = std::ranges::find(kKinds, value, &std::pair<Kind, std::string_view>::second);
    if (known == kKinds.end())
      return fail(Code::InvalidArgument, fmt::format("{} is no kind of identity of this version", shown(value)));
    identity.kind = known->first;
    return {};
  }
  if (name == "optional") {
    identity.optional = value == "true";
    return {};
  }
  if (name == "token") {
    identity.token = Secret(std::string(value));
    return {};
  }
  if (name.starts_with("role.")) return setRoleField(identity.role, name.substr(5), value);
  if (name.starts_with("roles.") && name.size() > 8 && name[7] == '.' && name[6] >= '0' &&
      name[6] < static_cast<char>('0' + kMaxRoles)) {
    const auto index = static_cast<std::size_t>(name[6] - '0');
    if (identity.roles.size() <= index) identity.roles.resize(index + 1);
    return setRoleField(identity.roles[index], name.substr(8), value);
  }
  return fail(Code::InvalidArgument, fmt::format("{} is no field of an identity", shown(name)));
}

}  // namespace forebay::origin
