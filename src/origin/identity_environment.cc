#include "origin/identity_environment.h"

#include <filesystem>
#include <fmt/format.h>

#include "origin/aws_profile.h"
#include "origin/encoding.h"

namespace forebay::origin {
namespace {

using Choice = CredentialChoice;
using Kind = Identity::Kind;

constexpr const char* kAzureAuthority = "https://login.microsoftonline.com";
constexpr const char* kMetadataService = "http://169.254.169.254";
constexpr const char* kMetadataServiceIpv6 = "http://[fd00:ec2::254]";
constexpr const char* kContainerService = "http://169.254.170.2";

bool plainEndpoint(const OriginConfig& config) {
  return config.endpoint.starts_with("http://");
}

// The node may run in another directory than the command that a person typed.
std::string absolutePath(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error || path.empty() ? path : absolute.string();
}

Identity workloadIdentity(const Environment& environment) {
  Identity identity;
  identity.kind = Kind::Workload;
  identity.client_id = environment.variable("AZURE_CLIENT_ID");
  identity.tenant = environment.variable("AZURE_TENANT_ID");
  identity.token_file = absolutePath(environment.variable("AZURE_FEDERATED_TOKEN_FILE"));
  identity.endpoint = environment.variable("AZURE_AUTHORITY_HOST");
  if (identity.endpoint.empty()) identity.endpoint = kAzureAuthority;
  identity.source = "AZURE_FEDERATED_TOKEN_FILE";
  return identity;
}

Result<Identity> managedIdentity(const Environment& environment) {
  Identity identity;
  identity.client_id = environment.variable("AZURE_CLIENT_ID");
  const std::string endpoint = environment.variable("IDENTITY_ENDPOINT");
  const std::string header = environment.variable("IDENTITY_HEADER");
  if (!endpoint.empty()) {
    if (!environment.variable("IDENTITY_SERVER_THUMBPRINT").empty())
      return fail(Code::Unsupported, "managed identities of Service Fabric aren't supported");
    if (header.empty())
      return fail(Code::Unsupported,
                  "IDENTITY_ENDPOINT without IDENTITY_HEADER is Azure Arc's, which isn't supported: use a SAS token");
    identity.kind = Kind::AppService;
    identity.endpoint = endpoint;
    identity.token = Secret(header);
    identity.source = "IDENTITY_ENDPOINT";
    return identity;
  }
  identity.kind = Kind::Managed;
  identity.endpoint = environment.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
  identity.source = identity.endpoint.empty() ? "" : "AZURE_POD_IDENTITY_AUTHORITY_HOST";
  if (identity.endpoint.empty()) identity.endpoint = kMetadataService;
  return identity;
}

Identity webIdentity(const Environment& environment) {
  Identity identity;
  identity.kind = Kind::WebIdentity;
  identity.token_file = absolutePath(environment.variable("AWS_WEB_IDENTITY_TOKEN_FILE"));
  identity.role.arn = environment.variable("AWS_ROLE_ARN");
  identity.role.session_name = environment.variable("AWS_ROLE_SESSION_NAME");
  if (identity.role.session_name.empty()) identity.role.session_name = kDefaultSessionName;
  identity.source = "AWS_WEB_IDENTITY_TOKEN_FILE";
  return identity;
}

bool wants(const OriginConfig& config, Choice choice) {
  return config.credential == Choice::Auto || config.credential == choice;
}

Status fillProfile(OriginConfig& config, const SharedFiles& files, const Environment& environment) {
  const ProfileCredentials found = TRY(resolveProfile(files, environment));
  if (found.keys.any()) config.s3 = found.keys;
  config.identity = found.identity;
  if (config.credential == Choice::Profile && !config.s3.any() && !config.identity.any())
    return fail(Code::NotFound,
                fmt::format("credential = profile, and profile {} has no credentials, neither in {} nor "
                            "in {}",
                            shown(files.name), files.credentials_file, files.settings_file));
  return {};
}

Status fillS3Credentials(OriginConfig& config, const SharedFiles& files, const Environment& environment) {
  if (wants(config, Choice::Static)) {
    config.s3.access_key_id = environment.variable("AWS_ACCESS_KEY_ID");
    config.s3.secret_access_key = Secret(environment.variable("AWS_SECRET_ACCESS_KEY"));
    if (config.s3.any()) {
      config.s3.session_token = Secret(environment.variable("AWS_SESSION_TOKEN"));
      config.s3.source = "AWS_ACCESS_KEY_ID";
      return {};
    }
  }
  const bool has_web =
      !environment.variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty() && !environment.variable("AWS_ROLE_ARN").empty();
  if (config.credential == Choice::WebIdentity || (config.credential == Choice::Auto && has_web)) {
    config.identity = webIdentity(environment);
    return {};
  }
  if (wants(config, Choice::Profile) || config.credential == Choice::Static) {
    TRY(fillProfile(config, files, environment));
    if (config.credential == Choice::Static && config.identity.any())
      return fail(
          Code::InvalidArgument,
          fmt::format("credential = static, and profile {} has a role: use auto or profile", shown(files.name)));
    if (config.s3.any() || config.identity.any()) return {};
  }
  const Identity container = containerIdentity(environment);
  if (config.credential == Choice::Container || (config.credential == Choice::Auto && container.any())) {
    if (!container.any())
      return fail(Code::InvalidArgument,
                  "credential = container, and neither AWS_CONTAINER_CREDENTIALS_FULL_URI nor "
                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set");
    config.identity = container;
    return {};
  }
  if (!wants(config, Choice::Instance)) return {};
  Identity instance = instanceIdentity(environment);
  const bool guessed = config.credential == Choice::Auto && instance.source.empty();
  if (guessed && plainEndpoint(config)) return {};
  instance.optional = guessed;
  config.identity = std::move(instance);
  return {};
}

void fillSts(OriginConfig& config, const SharedFiles& files, const Environment& environment) {
  Identity& identity = config.identity;
  if (identity.kind != Kind::WebIdentity && identity.roles.empty()) return;
  identity.sts_region = config.region.empty() ? "us-east-1" : config.region;
  identity.sts_endpoint = firstOf(environment, {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"});
  if (identity.sts_endpoint.empty()) identity.sts_endpoint = files.get(files.name, "endpoint_url");
  if (identity.sts_endpoint.empty())
    identity.sts_endpoint = fmt::format("https://sts.{}.amazonaws.com{}", identity.sts_region,
                                        identity.sts_region.starts_with("cn-") ? ".cn" : "");
}

}  // namespace

Identity containerIdentity(const Environment& environment) {
  Identity identity;
  const std::string full = environment.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  const std::string relative = environment.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (full.empty() && relative.empty()) return identity;
  identity.kind = Kind::Container;
  // As the SDKs: the relative one wins.
  identity.endpoint = relative.empty()
                          ? full
                          : fmt::format("{}{}{}", kContainerService, relative.starts_with('/') ? "" : "/", relative);
  identity.source = relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI" : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
  identity.token_file = absolutePath(environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
  if (identity.token_file.empty()) identity.token = Secret(environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
  return identity;
}

Identity instanceIdentity(const Environment& environment) {
  Identity identity;
  const std::string disabled = environment.variable("AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "True" || disabled == "TRUE") return identity;
  identity.kind = Kind::Instance;
  identity.endpoint = environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (!identity.endpoint.empty()) {
    identity.source = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    return identity;
  }
  const std::string mode = environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
  identity.endpoint = mode == "IPv6" || mode == "ipv6" ? kMetadataServiceIpv6 : kMetadataService;
  return identity;
}

Status checkChoice(const OriginUrl& url, const OriginConfig& config) {
  const bool azure = config.credential == Choice::Workload || config.credential == Choice::Managed;
  const bool either = config.credential == Choice::Auto || config.credential == Choice::Static;
  const bool fits = url.scheme == OriginUrl::Scheme::Azure ? azure || either
                    : url.scheme == OriginUrl::Scheme::S3  ? !azure
                                                           : config.credential == Choice::Auto;
  if (fits) return {};
  return fail(Code::InvalidArgument,
              fmt::format("credential = {} isn't for {}: az:// has auto, static, workload and managed; s3:// has auto, "
                          "static, web-identity, profile, container and instance",
                          choiceName(config.credential), url.text()));
}

Status fillAzureIdentity(OriginConfig& config, const Environment& environment) {
  if (config.identity.any() || config.credential == Choice::Static) return {};
  const bool automatic = config.credential == Choice::Auto;
  const Identity workload = workloadIdentity(environment);
  const bool complete = !workload.token_file.empty() && !workload.client_id.empty() && !workload.tenant.empty();
  if (config.credential == Choice::Workload || (automatic && complete)) {
    config.identity = workload;
    return {};
  }
  auto managed = managedIdentity(environment);
  if (!managed && !automatic) return fail(std::move(managed.error()));
  if (!managed) {
    config.credentials_note = managed.error().message;
    return {};
  }
  const bool guessed = automatic && managed->source.empty();
  if (guessed && plainEndpoint(config)) return {};
  config.identity = std::move(*managed);
  config.identity.optional = guessed;
  return {};
}

Status fillS3(OriginConfig& config, const Environment& environment) {
  const SharedFiles files = TRY(readSharedFiles(environment));
  if (config.region.empty()) config.region = firstOf(environment, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (config.region.empty()) config.region = files.get(files.name, "region");
  if (config.endpoint.empty()) config.endpoint = firstOf(environment, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  if (config.endpoint.empty()) config.endpoint = files.get(files.name, "endpoint_url");
  if (config.anonymous || config.s3.any() || config.identity.any()) return {};
  TRY(fillS3Credentials(config, files, environment));
  fillSts(config, files, environment);
  return {};
}

}  // namespace forebay::origin
