// Credentials and places that people already have: environment variables and the AWS files.
//
// As whom, with credential = auto; the first that is there:
//
//   az://  AZURE_STORAGE_CONNECTION_STRING; AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN;
//          AZURE_STORAGE_BLOB_ENDPOINT, AZURE_STORAGE_ENDPOINT; then the workload identity and the managed identity
//          (identity_environment.h). What is for another account is not used, and the
//          configuration's note says so.
//   s3://  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; the web identity of the environment;
//   AWS_PROFILE
//          (or "default") in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config); the
//          container's role; the instance's (identity_environment.h). AWS_REGION, AWS_DEFAULT_REGION;
//          AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL.
//
// What the configuration already says wins over all of it. Blocking (reads two small files): for start-up.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

struct Environment {
  std::function<std::string(const char* name)> variable;                    // empty where it isn't set
  std::function<std::optional<std::string>(const std::string& path)> file;  // nothing where it can't be read
  static Environment ofProcess();
};

// The first of these variables that is set; else empty.
std::string firstOf(const Environment& environment, std::initializer_list<const char*> names);

// InvalidArgument for a connection string or a credentials file that can't be read as one, or a choice that the URL's
// service doesn't have; NotFound for a profile that was asked for and isn't there; Unsupported for a profile whose
// credentials come from elsewhere (SSO, a process, a role with MFA).
Status fillFromEnvironment(const OriginUrl& url, OriginConfig& config, const Environment& environment);

// An AWS credentials or config file: sections of "key = value"; "[profile x]" is section "x". Indented lines belong to
// the key above and are skipped. Bounded to 1 MiB. InvalidArgument, with the line's number and never its text.
using Profiles = std::map<std::string, std::map<std::string, std::string, std::less<>>, std::less<>>;
Result<Profiles> parseProfiles(std::string_view text);

// "AccountName=x;AccountKey=y;BlobEndpoint=z": keys in lower case. InvalidArgument, never with a value.
Result<std::map<std::string, std::string, std::less<>>> parseConnectionString(std::string_view text);

}  // namespace forebay::origin
