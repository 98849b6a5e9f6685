// Temporary access keys for S3: for a web identity's token by STS, from a container's credentials endpoint, from the
// instance metadata service (version 2 alone), and for roles that are assumed with any of those.
#pragma once

#include <memory>

#include "origin/credential.h"
#include "origin/identity.h"
#include "origin/issuer.h"
#include "origin/origin_config.h"

namespace forebay::origin {

// For Keys, WebIdentity, Container and Instance. `keys`: what Keys starts with. InvalidArgument where something that
// the kind needs is missing.
Result<std::unique_ptr<CredentialSource>> makeS3Source(const Identity& identity, const S3Credentials& keys,
                                                       const IssuerWay& way);

}  // namespace forebay::origin
