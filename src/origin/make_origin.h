// The one door to origins: from a URL and a configuration to an Origin.
//
//   OriginUrl url = TRY(parseUrl("az://account/container/data"));
//   OriginConfig config;                                                    // from the configuration file
//   TRY(fillFromEnvironment(url, config, Environment::ofProcess()));        // what it leaves open
//   auto origin = TRY(makeOrigin(url, config, reactor, http, pool, metrics));
//   origin->probe(...);                                                     // makes sure, before it is called ready
#pragma once

#include <memory>

#include "io/http_client.h"
#include "io/reactor.h"
#include "io/worker_pool.h"
#include "origin/environment.h"
#include "origin/origin.h"
#include "origin/origin_config.h"
#include "origin/origin_url.h"

namespace forebay::origin {

// All references must outlive the origin, but for `pool` where dir.h says otherwise. Sends nothing yet.
Result<std::unique_ptr<Origin>> makeOrigin(const OriginUrl& url, const OriginConfig& config, io::Reactor& reactor,
                                           io::HttpClient& client, io::WorkerPool& pool, OriginMetrics& metrics);

}  // namespace forebay::origin
