// Who may do what: Shared Key and service SAS for the Azure dialect, Signature Version 4 for S3. Everything is computed
// again from the request as it was received; nothing is taken on trust.
//
// A check answers nothing when the request may go on, else the Refusal that the real service would give. Pure: the
// clock is an argument, so tests can stand anywhere in time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fake_origin/http.h"

namespace forebay::fake {

struct Refusal {
  int status = 403;
  std::string code;
  std::string message;
};

// What a request wants to do. Also the letter that a SAS must have in `sp`.
enum class Access : char { Read = 'r', List = 'l', Write = 'w', Delete = 'd' };

// Requests dated further from our clock than this are refused, by both services.
constexpr std::int64_t kMaxSkewSeconds = std::int64_t{15} * 60;

struct AzureAccount {
  std::string name;
  std::string key;  // decoded
};
struct AzureTarget {
  std::string container;
  std::string blob;  // empty: the container itself
  Access access = Access::Read;
};
std::optional<Refusal> checkAzure(const Head& head, const AzureTarget& target, const AzureAccount& account,
                                  std::int64_t now, bool anonymous_reads);

// The strings that the two Azure schemes sign, for whoever wants to see where a signature went wrong.
std::string sharedKeyString(const Head& head, std::string_view account);
std::string delegationSasString(const Head& head, const AzureTarget& target, std::string_view account);
std::string serviceSasString(const Head& head, const AzureTarget& target, std::string_view account);

struct S3Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // empty: none is expected, and one is refused
  std::string region;
};
std::optional<Refusal> checkS3(const Head& head, Access access, const S3Credentials& credentials, std::int64_t now,
                               bool anonymous_reads);

struct S3Scope {  // of an Authorization header: Credential=KEY/DATE/REGION/s3/aws4_request, SignedHeaders, Signature
  std::string access_key, date, region, service, signed_headers, signature;
};
std::optional<S3Scope> parseS3Authorization(std::string_view header);
std::string s3CanonicalRequest(const Head& head, std::string_view signed_headers);
std::string s3Signature(std::string_view canonical_request, const S3Scope& scope, std::string_view amz_date,
                        std::string_view secret_key);

}  // namespace forebay::fake
