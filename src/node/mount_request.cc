#include "node/mount_request.h"

#include <fmt/format.h>

#include "base/config_values.h"

namespace forebay::node {
namespace {
constexpr std::string_view kIdentityPrefix = "identity.";
}

wire::pb::AddMountRequest toRequest(const MountConfig& mount) {
  wire::pb::AddMountRequest request;
  request.set_name(mount.name);
  request.set_url(mount.url.text());
  auto& options = *request.mutable_options();
  const auto say = [&](const char* key, const std::string& value) {
    if (!value.empty()) options[key] = value;
  };
  say("endpoint", mount.origin.endpoint);
  say("region", mount.origin.region);
  if (mount.origin.path_style) say("path_style", *mount.origin.path_style ? "true" : "false");
  if (mount.origin.anonymous) say("anonymous", "true");
  say("ca_file", mount.origin.ca_file);
  say("proxy", mount.origin.proxy);
  if (mount.origin.check_ranges) say("origin_checksum", "range");
  say("max_concurrent", std::to_string(mount.origin.max_concurrent));
  say("class", std::string(className(mount.mount_class)));
  say("consistency", mount.consistency.text());
  say("manifest", mount.manifest);
  say("chunk_bits", std::to_string(mount.chunk_bits));
  if (mount.origin.credential != origin::CredentialChoice::Auto)
    say("credential", std::string(choiceName(mount.origin.credential)));
  if (mount.read_copies != 1) say("read_copies", std::to_string(mount.read_copies));
  if (mount.keep_remote != KeepRemote::Hot) say("keep_remote", std::string(keepRemoteName(mount.keep_remote)));
  say("credentials_source", mount.origin.azure.any() ? mount.origin.azure.source : mount.origin.s3.source);
  say("credentials_note", mount.origin.credentials_note);
  auto& credentials = *request.mutable_credentials();
  const auto tell = [&](const char* key, const std::string& value) {
    if (!value.empty()) credentials[key] = value;
  };
  tell("account_key", mount.origin.azure.account_key.reveal());
  tell("sas_token", mount.origin.azure.sas_token.reveal());
  tell("access_key_id", mount.origin.s3.access_key_id);
  tell("secret_access_key", mount.origin.s3.secret_access_key.reveal());
  tell("session_token", mount.origin.s3.session_token.reveal());
  for (const auto& [field, value] : fieldsOf(mount.origin.identity))
    tell(fmt::format("{}{}", kIdentityPrefix, field).c_str(), value);
  return request;
}

namespace {

Result<std::uint32_t> number(const std::string& key, const std::string& text, std::uint32_t least, std::uint32_t most) {
  const std::uint64_t value = TRY(config::parseInteger(text));
  if (value < least || value > most)
    return fail(Code::InvalidArgument, fmt::format("{} = {}: allowed is {} to {}", key, value, least, most));
  return static_cast<std::uint32_t>(value);
}

Status setOption(MountConfig& mount, const std::string& key, const std::string& value) {
  origin::OriginConfig& origin = mount.origin;
  if (key == "endpoint") {
    origin.endpoint = value;
  } else if (key == "region") {
    origin.region = value;
  } else if (key == "path_style") {
    origin.path_style = value == "true";
  } else if (key == "anonymous") {
    origin.anonymous = value == "true";
  } else if (key == "ca_file") {
    origin.ca_file = value;
  } else if (key == "proxy") {
    origin.proxy = value;
  } else if (key == "origin_checksum") {
    origin.check_ranges = value == "range";
  } else if (key == "max_concurrent") {
    origin.max_concurrent = TRY(number(key, value, 1, 4'096));
  } else if (key == "class") {
    if (value != className(MountClass::Dataset) && value != className(MountClass::Hot))
      return fail(Code::Unsupported, fmt::format("class {:?}: this version has dataset and hot", value));
    mount.mount_class = value == className(MountClass::Hot) ? MountClass::Hot : MountClass::Dataset;
  } else if (key == "consistency") {
    mount.consistency = TRY(Consistency::parse(value));
  } else if (key == "manifest") {
    mount.manifest = value;
  } else if (key == "chunk_bits") {
    mount.chunk_bits = TRY(number(key, value, core::kMinChunkBits, core::kMaxChunkBits));
  } else if (key == "credential") {
    origin.credential = TRY(origin::parseChoice(value));
  } else if (key == "read_copies") {
    mount.read_copies = TRY(number(key, value, 1, 3));
  } else if (key == "keep_remote") {
    mount.keep_remote = TRY(parseKeepRemote(value));
  } else if (key == "credentials_source") {
    origin.azure.source = origin.s3.source = value;
  } else if (key == "credentials_note") {
    origin.credentials_note = value;
  } else {
    return fail(Code::InvalidArgument, fmt::format("the node that already runs doesn't know the option {:?}: it is of "
                                                   "another version; unmount what it serves and mount again",
                                                   key));
  }
  return {};
}

}  // namespace

Result<MountConfig> fromRequest(const wire::pb::AddMountRequest& request) {
  MountConfig mount;
  mount.name = request.name();
  if (!isMountName(mount.name))
    return fail(Code::InvalidArgument, fmt::format("{:?} is no name for a mount", mount.name));
  mount.url = TRY(origin::parseUrl(request.url()));
  for (const auto& [key, value] : request.options()) TRY(setOption(mount, key, value));
  if ((mount.consistency.kind == Consistency::Kind::Frozen) == mount.manifest.empty())
    return fail(Code::InvalidArgument, "a frozen mount and a manifest go together");
  if (!mount.manifest.empty() && mount.manifest.front() != '/')
    return fail(Code::InvalidArgument, fmt::format("manifest {:?}: must be an absolute path", mount.manifest));
  const auto secret = [&](const char* key) {
    auto known = request.credentials().find(key);
    return known == request.credentials().end() ? std::string() : known->second;
  };
  mount.origin.azure.account_key = Secret(secret("account_key"));
  mount.origin.azure.sas_token = Secret(secret("sas_token"));
  mount.origin.s3.access_key_id = secret("access_key_id");
  mount.origin.s3.secret_access_key = Secret(secret("secret_access_key"));
  mount.origin.s3.session_token = Secret(secret("session_token"));
  for (const auto& [key, value] : request.credentials())
    if (key.starts_with(kIdentityPrefix))
      TRY(setField(mount.origin.identity, std::string_view(key).substr(kIdentityPrefix.size()), value));
  return mount;
}

}  // namespace forebay::node
