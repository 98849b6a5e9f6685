// S3 and what speaks like it: s3://BUCKET[/PREFIX].
//
// As whom: an access key (with a session token where it is temporary, and then perhaps a Credential with each request),
// signed with SigV4, or nobody. Where:
// https://BUCKET.s3.REGION.amazonaws.com, or an endpoint. Path style (the bucket in the path) for endpoints of one's
// own and for bucket names with dots, which no wildcard certificate covers; host style otherwise; path_style decides
// where it is set.
//
// Region: a wrong one is corrected by the service's own answer (x-amz-bucket-region), once per call.
#pragma once

#include <memory>

#include "base/result.h"
#include "origin/dialect.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

// InvalidArgument: half a credential, a region or endpoint that can't be one.
Result<std::unique_ptr<Dialect>> makeS3Dialect(const OriginUrl& url, const OriginConfig& config);

}  // namespace forebay::origin
