// What issuers of credentials answer, read strictly and bounded. For any bytes: an answer that can't be right is
// Corrupt and its content never shown, because half of it is secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "origin/credential.h"

namespace forebay::origin {

constexpr std::size_t kMaxTokenBytes = 24 * std::size_t{1024};  // must fit a store's limit for headers

// Visible ASCII without spaces, not empty: what can stand in a header, and be a token.
bool isToken(std::string_view text);

// {"access_token":"..","expires_in":3599,"expires_on":"1800000000","refresh_in":..}: numbers may be strings; expires_on
// counts only where expires_in is missing. `wall_ns`: the issuer's clock, to turn times into spans.
Result<Credential> parseAzureToken(std::string_view json, std::int64_t wall_ns);

// {"AccessKeyId":"..","SecretAccessKey":"..","Token":"..","Expiration":"2026-11-21T10:05:00Z"}; where there is a
// "Code", it must be "Success". Without Expiration: an hour.
Result<Credential> parseMetadataKeys(std::string_view json, std::int64_t wall_ns);

// AssumeRole's and AssumeRoleWithWebIdentity's answer: its <Credentials>.
Result<Credential> parseStsKeys(std::string_view xml, std::int64_t wall_ns);

// What an error says, without what it may quote: the code, and Azure's AADSTS number ("invalid_client, AADSTS70021").
// Empty where there is none.
std::string azureErrorWord(std::string_view json);
std::string metadataErrorWord(std::string_view json);
std::string stsErrorWord(std::string_view xml);

}  // namespace forebay::origin
