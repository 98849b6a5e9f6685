#include "origin/aws_profile.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

using Kind = Identity::Kind;

S3Credentials keysOf(const SharedFiles& files, const std::string& profile) {
  S3Credentials keys;
  keys.access_key_id = files.get(profile, "aws_access_key_id");
  keys.secret_access_key = Secret(files.get(profile, "aws_secret_access_key"));
  if (!keys.any()) return keys;
  keys.session_token = Secret(files.get(profile, "aws_session_token"));
  keys.source = fmt::format("profile {} of {}", shown(profile), files.credentials_file);
  return keys;
}

Result<AssumedRole> roleOf(const SharedFiles& files, const std::string& profile) {
  AssumedRole role{.arn = files.get(profile, "role_arn"),
                   .session_name = files.get(profile, "role_session_name"),
                   .external_id = files.get(profile, "external_id")};
  if (role.session_name.empty()) role.session_name = kDefaultSessionName;
  if (const std::string text = files.get(profile, "duration_seconds"); !text.empty()) {
    const auto seconds = parseNumber(text);
    if (!seconds || *seconds < 900 || *seconds > 43'200)
      return fail(Code::InvalidArgument,
                  fmt::format("profile {}: duration_seconds must be 900 to 43200", shown(profile)));
    role.duration_s = static_cast<std::uint32_t>(*seconds);
  }
  if (!files.get(profile, "mfa_serial").empty())
    return fail(Code::Unsupported,
                fmt::format("profile {} asks for MFA (mfa_serial), which a mount can't answer: export "
                            "temporary keys (aws configure export-credentials --format env)",
                            shown(profile)));
  return role;
}

// What credential_source names.
Status useCredentialSource(const std::string& profile, const std::string& source, const Environment& environment,
                           ProfileCredentials& found) {
  if (source == "Environment") {
    found.identity.kind = Kind::Keys;
    found.keys = {environment.variable("AWS_ACCESS_KEY_ID"), Secret(environment.variable("AWS_SECRET_ACCESS_KEY")),
                  Secret(environment.variable("AWS_SESSION_TOKEN")), "AWS_ACCESS_KEY_ID"};
  } else if (source == "EcsContainer") {
    found.identity = containerIdentity(environment);
  } else if (source == "Ec2InstanceMetadata") {
    found.identity = instanceIdentity(environment);
  } else {
    return fail(
        Code::InvalidArgument,
        fmt::format("profile {}: credential_source = {}: it is Environment, Ec2InstanceMetadata or EcsContainer",
                    shown(profile), shown(source)));
  }
  if (found.identity.any()) return {};
  return fail(Code::InvalidArgument,
              fmt::format("profile {}: credential_source = {}, and the environment has none", shown(profile), source));
}

Status refuseOthers(const SharedFiles& files, const std::string& profile) {
  for (const char* key : {"credential_process", "sso_session", "sso_start_url"})
    if (!files.get(profile, key).empty())
      return fail(Code::Unsupported,
                  fmt::format("profile {} takes its credentials from {}, which isn't supported: export "
                              "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN (aws configure "
                              "export-credentials --format env)",
                              shown(profile), key));
  return {};
}

// From the profile to what it builds on, until there is something that stands alone. `roles`: found on the way.
Result<ProfileCredentials> walk(const SharedFiles& files, const Environment& environment,
                                std::vector<AssumedRole>& roles) {
  ProfileCredentials found;
  std::vector<std::string> seen;
  for (std::string profile = files.name;;) {
    if (std::ranges::find(seen, profile) != seen.end() || seen.size() >= kMaxRoles)
      return fail(Code::InvalidArgument,
                  fmt::format("profile {}: its source_profile leads in a circle, or through more than {} roles",
                              shown(files.name), kMaxRoles));
    seen.push_back(profile);
    const std::string arn = files.get(profile, "role_arn");
    if (arn.empty()) {
      found.keys = keysOf(files, profile);
      if (!found.keys.any()) TRY(refuseOthers(files, profile));
      if (!roles.empty() && !found.keys.any())
        return fail(Code::InvalidArgument,
                    fmt::format("profile {} is a source_profile and has no credentials", shown(profile)));
      if (!roles.empty()) found.identity.kind = Kind::Keys;
      return found;
    }
    const AssumedRole role = TRY(roleOf(files, profile));
    if (const std::string file = files.get(profile, "web_identity_token_file"); !file.empty()) {
      found.identity.kind = Kind::WebIdentity;
      found.identity.role = role;
      found.identity.token_file = file;
      return found;
    }
    roles.push_back(role);
    const std::string source = files.get(profile, "credential_source");
    const std::string next = files.get(profile, "source_profile");
    if (source.empty() == next.empty())
      return fail(
          Code::InvalidArgument,
          fmt::format("profile {} has a role_arn: it needs source_profile or credential_source, and one of them",
                      shown(profile)));
    if (!source.empty()) {
      TRY(useCredentialSource(profile, source, environment, found));
      return found;
    }
    if (next == profile) {  // its own keys
      found.keys = keysOf(files, profile);
      found.identity.kind = Kind::Keys;
      return found;
    }
    if (!files.has(next))
      return fail(Code::NotFound,
                  fmt::format("profile {} builds on profile {}, which is neither in {} nor in {}", shown(profile),
                              shown(next), files.credentials_file, files.settings_file));
    profile = next;
  }
}

}  // namespace

bool SharedFiles::has(std::string_view profile) const {
  return credentials.find(profile) != credentials.end() || settings.find(profile) != settings.end();
}

std::string SharedFiles::get(std::string_view profile, std::string_view key) const {
  for (const Profiles* profiles : {&credentials, &settings}) {
    const auto section = profiles->find(profile);
    if (section == profiles->end()) continue;
    if (const auto known = section->second.find(key); known != section->second.end()) return known->second;
  }
  return {};
}

Result<SharedFiles> readSharedFiles(const Environment& environment) {
  SharedFiles files;
  files.name = environment.variable("AWS_PROFILE");
  files.credentials_file = environment.variable("AWS_SHARED_CREDENTIALS_FILE");
  files.settings_file = environment.variable("AWS_CONFIG_FILE");
  const bool asked = !files.name.empty();
  if (!asked) files.name = "default";
  const std::string home = environment.variable("HOME");
  if (files.credentials_file.empty()) files.credentials_file = home + "/.aws/credentials";
  if (files.settings_file.empty()) files.settings_file = home + "/.aws/config";
  for (const auto& [path, profiles] :
       {std::pair{&files.credentials_file, &files.credentials}, std::pair{&files.settings_file, &files.settings}}) {
    const auto text = environment.file(*path);
    if (!text) continue;
    auto parsed = parseProfiles(*text);
    if (!parsed) return fail(Code::InvalidArgument, fmt::format("{}: {}", *path, parsed.error().message));
    *profiles = std::move(*parsed);
  }
  if (asked && !files.has(files.name))
    return fail(Code::NotFound, fmt::format("AWS_PROFILE asks for profile {}, which is neither in {} nor in {}",
                                            shown(files.name), files.credentials_file, files.settings_file));
  return files;
}

Result<ProfileCredentials> resolveProfile(const SharedFiles& files, const Environment& environment) {
  std::vector<AssumedRole> roles;
  ProfileCredentials found = TRY(walk(files, environment, roles));
  if (!found.identity.any()) return found;
  found.identity.roles.assign(roles.rbegin(), roles.rend());
  found.identity.source = found.identity.kind == Kind::Keys ? found.keys.source : "profile " + shown(files.name);
  return found;
}

}  // namespace forebay::origin
