// HTTP/1.1 requests in a reactor's loop: one client per reactor, connections pooled and reused between requests.
//
//   auto client = TRY(HttpClient::create(reactor, {}));
//   HttpId id = TRY(client->start({.url = "https://host/path", .deadline = now + 30s}, receiver));
//   ...                                   // receiver.head(), body()*, done(): in the loop, never inside start()
//   client->cancel(id);                   // nothing of that request is heard again
//
// A body is either collected (bounded by `max_body`) or streamed: body() gets the bytes where they were received, so
// that the receiver's copy into its own memory is the only one in user space.
//
// What it does not do: follow redirects (an origin's signature is for one host), decode content (bytes arrive as they
// are stored), speak HTTP/2, or accept a certificate that doesn't verify: there is no switch for that. A private CA is
// trusted beside the system's. Proxies come from the request, else from https_proxy, http_proxy, all_proxy in the
// environment; no_proxy is honoured for both.
//
// A pooled connection may have died while it was idle. A request that got no byte on a reused connection is repeated
// on another one without the receiver knowing (every method here is idempotent).
//
// The first client makes the process ignore SIGPIPE, unless something handles it.
//
// Threading: the reactor's loop only. receiver calls may start and cancel requests, and destroy receivers that were
// cancelled; they must not destroy the client.
// Bounds: `max_requests` at once (then Busy), `max_idle` idle connections, 64 KiB of response headers; a request has a
// deadline, a connect timeout, and an idle timeout that runs while nothing arrives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "io/reactor.h"

namespace forebay::io {

enum class HttpMethod { Get, Head, Put, Post };

constexpr std::size_t kMaxReceiveBuffer = 512 * kKiB;  // libcurl's largest; 0.25-0.30 CPU s/GB against 0.28-0.39

struct HttpRequest {
  HttpMethod method = HttpMethod::Get;
  std::string url;                   // absolute and percent-encoded; goes out as it stands ("..", "//" included)
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // of a Put or Post; a Content-Type among the headers says what it is
  TimePoint deadline = kNever;
  Duration connect_timeout = 5s;
  Duration idle_timeout = 10s;             // without a byte, once the request is sent; also below 1 KiB/s that long
  std::size_t receive_buffer = 16 * kKiB;  // up to kMaxReceiveBuffer
  std::size_t max_body = 64 * kKiB;        // of a collected body
  std::string ca_file;                     // PEM, trusted beside the system's; empty: the system's only
  std::string proxy;                       // URL; empty: the environment's
  bool direct = false;                     // through no proxy, whatever the environment says
};

class HttpHeaders {
 public:
  void add(std::string name, std::string value) { all_.emplace_back(std::move(name), std::move(value)); }
  // The first of that name, whatever its case. Empty where there is none.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;  // where it was collected
};

enum class HttpFailure {
  None,       // a whole answer, whatever its status
  Resolve,    // the host's name has no address
  Connect,    // refused, unreachable, or not within the connect timeout
  Tls,        // the handshake failed
  Untrusted,  // the certificate doesn't verify
  Proxy,      // the proxy is unknown or refused
  Cut,        // the connection ended before the answer did
  Idle,       // nothing arrived for the idle timeout, or too little
  Deadline,   // the request's deadline
  Malformed,  // what came is not HTTP/1.1
  TooLarge,   // headers or a collected body beyond their bound
  Refused,    // the receiver said so
  Local,      // this process: memory, descriptors, an unreadable CA file
};
std::string_view failureName(HttpFailure failure);

struct HttpResult {
  HttpFailure failure = HttpFailure::None;
  std::string why;        // of a failure, for people; never holds the URL's query or a header of the request
  HttpResponse response;  // what there is of it: a status may be there although the body was cut

  bool ok() const { return failure == HttpFailure::None; }
};

class HttpReceiver {
 public:
  enum class Body { Collect, Stream, Refuse };

  virtual ~HttpReceiver() = default;
  // Status and headers are there, no body yet. Says what becomes of the body; Refuse ends the request.
  virtual Body head(const HttpResponse&) { return Body::Collect; }
  // The next bytes of a streamed body. False ends the request.
  virtual bool body(Bytes) { return false; }
  // The end, once, unless cancelled.
  virtual void done(HttpResult result) = 0;
};

struct HttpClientOptions {
  std::size_t max_requests = 1024;  // also the most connections; origins bound themselves well below it
  std::size_t max_idle = 256;       // pooled connections
  std::string user_agent = "forebay";
};

using HttpId = std::uint64_t;  // 0 is never given out

class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> create(Reactor& reactor, HttpClientOptions options);
  ~HttpClient();  // drops what is in flight: its receivers hear nothing
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Busy at max_requests; InvalidArgument for a URL or header that would not go out as it stands.
  // `receiver` must live until its done() or until cancel().
  Result<HttpId> start(HttpRequest request, HttpReceiver& receiver);
  void cancel(HttpId id);  // unknown and past ids are fine

  std::size_t inFlight() const { return transfers_.size(); }

 private:
  struct Transfer;
  friend struct HttpCallbacks;  // libcurl's C callbacks

  HttpClient(Reactor& reactor, HttpClientOptions options);
  Status open();
  Status configure(Transfer& transfer);
  static Status configureMethod(Transfer& transfer);
  void configureTls(Transfer& transfer);
  void act(int fd, int flags);
  void settle();
  void finish(std::unique_ptr<Transfer> transfer, int curl_code);
  void release(Transfer& transfer);
  void watchIdle(Transfer& transfer);
  void idleCheck(HttpId id);

  Reactor& reactor_;
  const HttpClientOptions options_;
  void* multi_ = nullptr;  // CURLM
  void* share_ = nullptr;  // CURLSH: TLS sessions, which libcurl otherwise keeps per request
  std::string system_ca_file_, system_ca_path_;
  std::unordered_map<HttpId, std::unique_ptr<Transfer>> transfers_;
  std::unordered_set<int> watched_;
  TimerId timer_ = 0;
  HttpId next_id_ = 1;
  bool in_curl_ = false;  // libcurl must not be entered again from its callbacks: what they ask for waits here
  std::vector<HttpId> to_add_;
  std::vector<HttpId> to_remove_;
};

}  // namespace forebay::io
