// From a configuration to whoever keeps its temporary credentials.
#pragma once

#include <memory>

#include "io/http_client.h"
#include "io/reactor.h"
#include "io/worker_pool.h"
#include "origin/credential.h"
#include "origin/origin.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

// Null where nothing has to be renewed: no identity, keys that a person gave, anonymous. Sends nothing yet.
// InvalidArgument: what the identity needs is missing, or it would be asked for without TLS.
// All references must outlive the provider.
Result<std::shared_ptr<CredentialProvider>> makeCredentials(const OriginUrl& url, const OriginConfig& config,
                                                            io::Reactor& reactor, io::HttpClient& client,
                                                            io::WorkerPool& pool, OriginMetrics& metrics);

}  // namespace forebay::origin
