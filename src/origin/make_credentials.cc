#include "origin/make_credentials.h"

#include <fmt/format.h>

#include "origin/azure_identity.h"
#include "origin/credential_keeper.h"
#include "origin/s3_identity.h"

namespace forebay::origin {

Result<std::shared_ptr<CredentialProvider>> makeCredentials(const OriginUrl& url, const OriginConfig& config,
                                                            io::Reactor& reactor, io::HttpClient& client,
                                                            io::WorkerPool& pool, OriginMetrics& metrics) {
  if (!config.identity.any() || config.anonymous) return nullptr;
  IssuerWay way{.reactor = reactor,
                .client = client,
                .pool = pool,
                .ca_file = config.ca_file,
                .proxy = config.proxy,
                .connect_timeout = config.connect_timeout};
  const bool azure = url.scheme == OriginUrl::Scheme::Azure;
  auto source =
      azure ? makeAzureSource(config.identity, std::move(way)) : makeS3Source(config.identity, config.s3, way);
  if (!source) return fail(source.error().code, fmt::format("{}: {}", url.text(), source.error().message));
  KeeperOptions options;
  options.refreshes = &metrics.credential_refreshes;
  options.failed_refreshes = &metrics.credential_failures;
  return std::make_shared<CredentialKeeper>(std::move(*source), std::move(options), reactor);
}

}  // namespace forebay::origin
