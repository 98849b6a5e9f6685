// Which identity the environment offers: the part of environment.h about credentials that are asked for and renewed.
//
//   az://  workload: AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_AUTHORITY_HOST
//          managed:  IDENTITY_ENDPOINT with IDENTITY_HEADER; else the instance metadata service, at
//                    AZURE_POD_IDENTITY_AUTHORITY_HOST where that is set; AZURE_CLIENT_ID for a user-assigned one
//   s3://  web-identity: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME
//          profile:      keys; role_arn with web_identity_token_file, source_profile or credential_source
//          container:    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE)
//          instance:     the instance metadata service, at AWS_EC2_METADATA_SERVICE_ENDPOINT where that is set, unless
//                        AWS_EC2_METADATA_DISABLED
//          STS at AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, or the region's own
//
// Metadata services that nothing names are only guessed: an Identity that is `optional`, and not for an endpoint by
// http, which no cloud's storage has.
#pragma once

#include "base/result.h"
#include "origin/environment.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

// InvalidArgument for a choice that isn't one of the URL's service.
Status checkChoice(const OriginUrl& url, const OriginConfig& config);

// Only called where no key or token is given.
Status fillAzureIdentity(OriginConfig& config, const Environment& environment);
// Keys, region and endpoint too: profiles have all of them.
Status fillS3(OriginConfig& config, const Environment& environment);

}  // namespace forebay::origin
