// What every issuer of credentials is asked with: a small file read off the loop, one HTTP request with a bounded
// answer, and an error that says whom was asked and what it said.
//
// Threading: the loop's; callbacks never run inside the call that they belong to. Destruction drops what runs.
#pragma once

#include <memory>
#include <string>

#include "io/http_client.h"
#include "io/reactor.h"
#include "io/worker_pool.h"
#include "origin/credential.h"

namespace forebay::origin {

struct IssuerWay {
  io::Reactor& reactor;
  io::HttpClient& client;
  io::WorkerPool& pool;  // for files
  std::string ca_file;
  std::string proxy;
  Duration connect_timeout = 5s;
};

class Issuer final : private io::HttpReceiver {
 public:
  explicit Issuer(IssuerWay way) : way_(std::move(way)) {}
  ~Issuer() override;
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;

  // The file's content without white space around it. Unauthenticated where it can't be read, is empty or too long.
  void readToken(const std::string& path, Callback<Secret> done);

  // Any whole answer. Unavailable where there is none. One request at a time.
  enum class Route { Proxied, Direct };  // metadata services are this machine's: never through a proxy
  void ask(io::HttpRequest request, Route route, TimePoint deadline, Callback<io::HttpResponse> done);

  void later(io::Task task);

 private:
  void done(io::HttpResult result) override;

  IssuerWay way_;
  io::HttpId http_ = 0;
  std::string asked_;  // scheme and host, for messages
  Callback<io::HttpResponse> done_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// Nobody reads tokens on the way: https, or http to this machine or to a metadata service's link-local address.
// InvalidArgument, naming the setting `what`.
enum class Plain { Loopback, LinkLocal };  // how far http is accepted
Status checkIssuerUrl(std::string_view what, std::string_view url, Plain plain);

// The error of an answer that isn't 200. `word`: what it says, cleaned. 408, 429 and 5xx may pass.
Error answerError(std::string_view description, std::string_view url, const io::HttpResponse& response,
                  std::string_view word, std::string_view advice);

// The wall clock of whoever answered, where it says it (Date): times in its answer are by that clock.
std::int64_t clockOf(const io::HttpResponse& response);

}  // namespace forebay::origin
