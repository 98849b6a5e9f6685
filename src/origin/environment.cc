#include "origin/environment.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

#include "base/bytes.h"
#include "origin/encoding.h"
#include "origin/identity_environment.h"

namespace forebay::origin {
namespace {

constexpr std::size_t kMaxFile = kMiB;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::optional<std::string> readSmallFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text(kMaxFile + 1, 0);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

// A key or token of the environment, where nothing else was chosen or given.
bool takesKeys(const OriginConfig& config) {
  const bool chosen = config.credential == CredentialChoice::Auto || config.credential == CredentialChoice::Static;
  return chosen && !config.anonymous && !config.azure.any() && !config.identity.any();
}

Status fillFromConnectionString(const OriginUrl& url, OriginConfig& config, const std::string& text) {
  constexpr const char* kName = "AZURE_STORAGE_CONNECTION_STRING";
  const auto parts = TRY(parseConnectionString(text));
  const auto part = [&](std::string_view key) {
    const auto known = parts.find(key);
    return known == parts.end() ? std::string{} : known->second;
  };
  if (lower(part("usedevelopmentstorage")) == "true")
    return fail(Code::Unsupported, fmt::format("{}: UseDevelopmentStorage isn't supported: name the emulator's "
                                               "AccountName, AccountKey and BlobEndpoint",
                                               kName));
  const std::string account = part("accountname");
  if (!account.empty() && account != url.account) {
    config.credentials_note = fmt::format("{} isn't used: it is for account {}", kName, shown(account));
    return {};
  }
  if (config.endpoint.empty()) {
    config.endpoint = part("blobendpoint");
    const std::string suffix = part("endpointsuffix");
    if (config.endpoint.empty() && !suffix.empty()) {
      const bool plain = lower(part("defaultendpointsprotocol")) == "http";
      config.endpoint = fmt::format("{}://{}.blob.{}", plain ? "http" : "https", url.account, suffix);
    }
  }
  if (!takesKeys(config)) return {};
  config.azure.account_key = Secret(part("accountkey"));
  config.azure.sas_token = Secret(part("sharedaccesssignature"));
  if (config.azure.any()) config.azure.source = kName;
  return {};
}

void fillAzureKeys(const OriginUrl& url, OriginConfig& config, const Environment& environment) {
  const std::string account = environment.variable("AZURE_STORAGE_ACCOUNT");
  for (const char* name : {"AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"}) {
    std::string value = environment.variable(name);
    if (value.empty() || config.azure.any()) continue;
    if (!account.empty() && account != url.account) {
      config.credentials_note =
          fmt::format("{} isn't used: AZURE_STORAGE_ACCOUNT says that it is for account {}", name, shown(account));
      continue;
    }
    (name == std::string_view("AZURE_STORAGE_KEY") ? config.azure.account_key : config.azure.sas_token) =
        Secret(std::move(value));
    config.azure.source = name;
  }
}

Status fillAzure(const OriginUrl& url, OriginConfig& config, const Environment& environment) {
  if (const std::string text = environment.variable("AZURE_STORAGE_CONNECTION_STRING"); !text.empty())
    TRY(fillFromConnectionString(url, config, text));
  if (config.endpoint.empty())
    config.endpoint = firstOf(environment, {"AZURE_STORAGE_BLOB_ENDPOINT", "AZURE_STORAGE_ENDPOINT"});
  if (takesKeys(config)) fillAzureKeys(url, config, environment);
  if (config.anonymous || config.azure.any()) return {};
  return fillAzureIdentity(config, environment);
}

}  // namespace

Environment Environment::ofProcess() {
  return {.variable = [](const char* name) -> std::string {
            const char* value = std::getenv(name);
            return value == nullptr ? "" : value;
          },
          .file = readSmallFile};
}

std::string firstOf(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string value = environment.variable(name); !value.empty()) return value;
  return {};
}

Status fillFromEnvironment(const OriginUrl& url, OriginConfig& config, const Environment& environment) {
  TRY(checkChoice(url, config));
  switch (url.scheme) {
    case OriginUrl::Scheme::Azure:
      return fillAzure(url, config, environment);
    case OriginUrl::Scheme::S3:
      return fillS3(config, environment);
    case OriginUrl::Scheme::Dir:
      return {};
  }
  return {};
}

Result<Profiles> parseProfiles(std::string_view text) {
  if (text.size() > kMaxFile) return fail(Code::InvalidArgument, "a file of more than 1 MiB is no list of profiles");
  Profiles profiles;
  std::map<std::string, std::string, std::less<>>* section = nullptr;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const std::string_view raw = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const auto close = line.find(']');
      if (close == std::string_view::npos)
        return fail(Code::InvalidArgument, fmt::format("line {}: a section without its ']'", number));
      std::string_view name = trimmed(line.substr(1, close - 1));
      if (name.starts_with("profile ") || name.starts_with("profile\t")) name = trimmed(name.substr(8));
      section = &profiles[std::string(name)];
      continue;
    }
    if (raw.front() == ' ' || raw.front() == '\t') continue;  // a nested setting of the key above
    const auto equals = line.find('=');
    if (equals == std::string_view::npos)
      return fail(Code::InvalidArgument, fmt::format("line {}: neither a section nor key = value", number));
    if (section == nullptr) return fail(Code::InvalidArgument, fmt::format("line {}: before any section", number));
    section->insert_or_assign(lower(trimmed(line.substr(0, equals))), std::string(trimmed(line.substr(equals + 1))));
  }
  return profiles;
}

Result<std::map<std::string, std::string, std::less<>>> parseConnectionString(std::string_view text) {
  std::map<std::string, std::string, std::less<>> parts;
  while (!text.empty()) {
    const auto end = text.find(';');
    const std::string_view part = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (part.empty()) continue;
    const auto equals = part.find('=');  // keys and tokens end with '=' or hold more of them
    if (equals == std::string_view::npos)
      return fail(Code::InvalidArgument,
                  "a connection string consists of NAME=VALUE, separated by ';': one part has no '='");
    parts.insert_or_assign(lower(trimmed(part.substr(0, equals))), std::string(trimmed(part.substr(equals + 1))));
  }
  return parts;
}

}  // namespace forebay::origin
