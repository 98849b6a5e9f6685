#include "origin/make_origin.h"

#include <fmt/format.h>
#include <unistd.h>

#include "origin/azure.h"
#include "origin/dir.h"
#include "origin/http_origin.h"
#include "origin/make_credentials.h"
#include "origin/s3.h"

namespace forebay::origin {
namespace {

Result<std::unique_ptr<Dialect>> makeDialect(const OriginUrl& url, const OriginConfig& config) {
  return url.scheme == OriginUrl::Scheme::Azure ? makeAzureDialect(url, config) : makeS3Dialect(url, config);
}

}  // namespace

Result<std::unique_ptr<Origin>> makeOrigin(const OriginUrl& url, const OriginConfig& config, io::Reactor& reactor,
                                           io::HttpClient& client, io::WorkerPool& pool, OriginMetrics& metrics) {
  if (url.scheme == OriginUrl::Scheme::Dir) return makeDirOrigin(url.root, reactor, pool, metrics);
  if (config.max_concurrent == 0)
    return fail(Code::InvalidArgument, fmt::format("{}: max_concurrent must be at least 1", url.text()));
  // libcurl would say it at the first request only, and for each.
  if (!config.ca_file.empty() && access(config.ca_file.c_str(), R_OK) != 0)
    return failErrno(fmt::format("{}: ca_file {}", url.text(), config.ca_file), errno);
  auto dialect = TRY(makeDialect(url, config));
  auto credentials = TRY(makeCredentials(url, config, reactor, client, pool, metrics));
  HttpOriginOptions options;
  options.max_concurrent = config.max_concurrent;
  options.max_waiting = config.max_waiting;
  options.connect_timeout = config.connect_timeout;
  options.idle_timeout = config.idle_timeout;
  options.attempt_timeout = config.attempt_timeout;
  options.ca_file = config.ca_file;
  options.proxy = config.proxy;
  options.check_ranges = config.check_ranges;
  return std::make_unique<HttpOrigin>(std::move(dialect), std::move(options), reactor, client, metrics,
                                      std::move(credentials), &pool);
}

}  // namespace forebay::origin
