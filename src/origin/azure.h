// Azure Blob Storage: az://ACCOUNT/CONTAINER[/PREFIX].
//
// As whom: the access token of an identity (a Credential with each request), or an account key (Shared Key), or a SAS
// token (of the account, the service or a user's delegation), or nobody (public containers). Where:
// https://ACCOUNT.blob.core.windows.net, or an endpoint; in one that is an IP address or localhost (emulators), or with
// path_style, the account is the first component of the path.
//
// Directories: what the delimiter makes one, and marker blobs (hdi_isfolder), which accounts with a hierarchical
// namespace and some tools have; a marker is NotFound as an object.
#pragma once

#include <memory>

#include "base/result.h"
#include "origin/dialect.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

// Newest that Azurite 3.35, which tests use, accepts.
constexpr const char* kAzureApiVersion = "2025-11-05";

// InvalidArgument: a key that isn't base64, a SAS token without a signature, a bad endpoint.
Result<std::unique_ptr<Dialect>> makeAzureDialect(const OriginUrl& url, const OriginConfig& config);

}  // namespace forebay::origin
