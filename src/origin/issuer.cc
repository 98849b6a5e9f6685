#include "origin/issuer.h"

#include <fmt/format.h>
#include <fstream>

#include "origin/encoding.h"
#include "origin/identity_answers.h"
#include "origin/origin_url.h"
#include "origin/retry.h"

namespace forebay::origin {
namespace {

constexpr std::size_t kMaxAnswer = 64 * kKiB;

// "https://host" of "https://host/path?query": a query may hold a client's id, a path nothing that helps.
std::string hostOf(std::string_view url) {
  const auto scheme = url.find("://");
  const auto end = scheme == std::string_view::npos ? std::string_view::npos : url.find_first_of("/?", scheme + 3);
  return std::string(url.substr(0, end));
}

Result<Secret> readTokenFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return failErrno(fmt::format("read the token file {}", shown(path)), errno == 0 ? ENOENT : errno);
  std::string text(kMaxTokenBytes + 64, 0);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const auto first = text.find_first_not_of(" \t\r\n");
  const auto last = text.find_last_not_of(" \t\r\n");
  std::string token = first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
  if (!isToken(token))
    return fail(Code::Unauthenticated, fmt::format("the token file {} is empty, larger than {} KiB, or holds no token",
                                                   shown(path), kMaxTokenBytes / 1024));
  return Secret(std::move(token));
}

}  // namespace

Issuer::~Issuer() {
  alive_.reset();
  way_.client.cancel(http_);
}

void Issuer::later(io::Task task) {
  way_.reactor.post([alive = std::weak_ptr(alive_), task = std::move(task)]() mutable {
    if (!alive.expired()) task();
  });
}

void Issuer::readToken(const std::string& path, Callback<Secret> done) {
  const auto result = std::make_shared<Result<Secret>>();
  const auto callback = std::make_shared<Callback<Secret>>(std::move(done));
  const Status queued = way_.pool.submit([path, result] { *result = readTokenFile(path); },
                                         [result, callback, alive = std::weak_ptr(alive_)] {
                                           if (!alive.expired()) (*callback)(std::move(*result));
                                         });
  if (!queued) later([callback, error = queued.error()] { (*callback)(std::unexpected(error)); });
}

void Issuer::ask(io::HttpRequest request, Route route, TimePoint deadline, Callback<io::HttpResponse> done) {
  asked_ = hostOf(request.url);
  done_ = std::move(done);
  request.deadline = deadline;
  request.connect_timeout = std::min(request.connect_timeout, way_.connect_timeout);
  request.max_body = kMaxAnswer;
  request.ca_file = way_.ca_file;
  request.direct = route == Route::Direct;
  if (!request.direct) request.proxy = way_.proxy;
  auto started = way_.client.start(std::move(request), *this);
  if (started) {
    http_ = *started;
    return;
  }
  later([this, error = std::move(started.error())]() mutable {
    auto callback = std::move(done_);
    callback(std::unexpected(std::move(error)));
  });
}

// The callback may destroy us: it comes last.
void Issuer::done(io::HttpResult result) {
  http_ = 0;
  auto callback = std::move(done_);
  if (!result.ok()) return callback(fail(Code::Unavailable, fmt::format("{} doesn't answer: {}", asked_, result.why)));
  callback(std::move(result.response));
}

Status checkIssuerUrl(std::string_view what, std::string_view url, Plain plain) {
  const auto scheme = url.find("://");
  const std::string_view host = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  const std::string authority(host.substr(0, host.find_first_of("/?#")));
  const bool clean = url.find_first_of(" \t\r\n@#") == std::string_view::npos;
  if (scheme == std::string_view::npos || authority.empty() || !clean)
    return fail(Code::InvalidArgument,
                fmt::format("{} = {} is no URL of an issuer: https://host[/path]", what, shown(url)));
  if (url.starts_with("https://")) return {};
  const bool loopback = isLoopbackAuthority(authority);
  // Instances' and containers' metadata services of both clouds; each is fixed and never leaves the machine.
  const bool ipv4 = authority.find_first_not_of("0123456789.:") == std::string_view::npos;
  const bool link_local = (ipv4 && authority.starts_with("169.254.")) || authority.starts_with("[fd00:ec2::254]") ||
                          authority.starts_with("[fd00:ec2::23]");
  if (url.starts_with("http://") && (loopback || (plain == Plain::LinkLocal && link_local))) return {};
  return fail(Code::InvalidArgument,
              fmt::format("{} = {}: credentials are only asked for over https, or on this machine", what, shown(url)));
}

Error answerError(std::string_view description, std::string_view url, const io::HttpResponse& response,
                  std::string_view word, std::string_view advice) {
  Error error;
  const int status = response.status;
  const bool passes = status == 408 || status == 429 || status / 100 == 5;
  error.code = passes ? Code::Unavailable : Code::Unauthenticated;
  error.message = fmt::format("{}: {} answers {}{}{}", description, hostOf(url), status, word.empty() ? "" : " ", word);
  if (!passes && !advice.empty()) error.message += fmt::format(". {}", advice);
  if (const auto wait = retryAfter(response.headers, io::Reactor::wallNs()))
    error.retry_after_ms = static_cast<std::uint32_t>(toMs(*wait));
  return error;
}

std::int64_t clockOf(const io::HttpResponse& response) {
  return parseHttpDate(response.headers.get("date")).value_or(io::Reactor::wallNs());
}

}  // namespace forebay::origin
