// Access tokens for Azure Storage: by a federated token (workload identity, as Kubernetes gives it to pods) and from
// the managed identities of machines (instance metadata) and services (App Service, Functions, Container Apps).
#pragma once

#include <memory>

#include "origin/credential.h"
#include "origin/identity.h"
#include "origin/issuer.h"

namespace forebay::origin {

// For Workload, Managed and AppService. InvalidArgument where something that the kind needs is missing.
Result<std::unique_ptr<CredentialSource>> makeAzureSource(const Identity& identity, IssuerWay way);

}  // namespace forebay::origin
