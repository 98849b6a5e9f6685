// How an origin is reached: where, as whom, and within which bounds. Filled from configuration, completed from the
// environment (environment.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "origin/identity.h"

namespace forebay::origin {

// At most one of key and token is used: the key where both are given.
struct AzureCredentials {
  Secret account_key;  // base64, as the portal shows it
  Secret sas_token;    // with or without '?' at its start
  std::string source;  // where they came from, for messages: "AZURE_STORAGE_KEY"
  bool any() const { return !account_key.empty() || !sas_token.empty(); }
};

struct S3Credentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;
  std::string source;
  bool any() const { return !access_key_id.empty() || !secret_access_key.empty(); }
};

struct OriginConfig {
  std::string endpoint;            // empty: the public service's
  std::string region;              // S3; empty: us-east-1, and the bucket's own as soon as the service tells
  std::optional<bool> path_style;  // not set: chosen by the endpoint's form
  bool anonymous = false;          // ignore all credentials
  AzureCredentials azure;
  S3Credentials s3;
  CredentialChoice credential = CredentialChoice::Auto;
  Identity identity;             // used where no key and no token is given (but for Keys, which start with s3)
  std::string credentials_note;  // what a person should know when credentials are refused ("AZURE_STORAGE_KEY is not
                                 // used: it is for account x")
  std::string ca_file;           // PEM, trusted beside the system's
  std::string proxy;             // empty: the environment's

  bool check_ranges = false;          // compare what arrives with the origin's own checksums, where it gives them
  std::uint32_t max_concurrent = 64;  // attempts at once
  std::uint32_t max_waiting = 4096;   // calls that wait for one
  Duration connect_timeout = 5s;
  Duration idle_timeout = 10s;
  Duration attempt_timeout = 30s;  // plus a second per MiB of the range
};

}  // namespace forebay::origin
