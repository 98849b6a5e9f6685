#include "io/http_client.h"

#include <algorithm>
#include <csignal>
#include <curl/curl.h>
#include <fmt/format.h>

namespace forebay::io {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 * kKiB;
constexpr long kLowSpeedBytesPerSecond = 1024;
constexpr long kMaxConnectionAgeSeconds = 60;  // idle; load balancers drop theirs silently after minutes

// AES-128-GCM first: 0.64-0.68 CPU s/GB against 0.80-0.86 of AES-256-GCM on the machine this was measured on.
constexpr const char* kTls13Ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

bool sameName(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// A control character in a header or URL could smuggle a second header or request.
bool isCleanHeader(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return text.find(':') != std::string_view::npos;
}
bool isCleanUrl(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) return false;
  return text.starts_with("http://") || text.starts_with("https://");
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n'))
    text.remove_suffix(1);
  return text;
}

// "HTTP/1.1 206 Partial Content" -> 206; 0 where it is none.
int statusOf(std::string_view line) {
  const auto space = line.find(' ');
  if (space == std::string_view::npos || line.size() < space + 4) return 0;
  int status = 0;
  for (const char c : line.substr(space + 1, 3)) {
    if (c < '0' || c > '9') return 0;
    status = status * 10 + (c - '0');
  }
  return status;
}

HttpFailure failureOf(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpFailure::None;
    case CURLE_COULDNT_RESOLVE_HOST:
      return HttpFailure::Resolve;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
      return HttpFailure::Proxy;
    case CURLE_COULDNT_CONNECT:
      return HttpFailure::Connect;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return HttpFailure::Untrusted;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
      return HttpFailure::Tls;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return HttpFailure::Cut;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
      return HttpFailure::Malformed;
    default:
      return HttpFailure::Local;
  }
}

long wholeMs(Duration d) {
  return std::max(1L, static_cast<long>(toMs(d)));
}

}  // namespace

std::string_view failureName(HttpFailure failure) {
  switch (failure) {
    case HttpFailure::None:
      return "none";
    case HttpFailure::Resolve:
      return "the host's name has no address";
    case HttpFailure::Connect:
      return "no connection";
    case HttpFailure::Tls:
      return "the TLS handshake failed";
    case HttpFailure::Untrusted:
      return "the server's certificate doesn't verify";
    case HttpFailure::Proxy:
      return "the proxy failed";
    case HttpFailure::Cut:
      return "the connection was cut";
    case HttpFailure::Idle:
      return "nothing more arrived";
    case HttpFailure::Deadline:
      return "the time was over";
    case HttpFailure::Malformed:
      return "the answer is not HTTP";
    case HttpFailure::TooLarge:
      return "the answer is too large";
    case HttpFailure::Refused:
      return "the answer was refused";
    case HttpFailure::Local:
      return "this process could not send the request";
  }
  return "unknown";
}

std::string_view HttpHeaders::get(std::string_view name) const {
  for (const auto& [known, value] : all_)
    if (sameName(known, name)) return value;
  return {};
}

bool HttpHeaders::has(std::string_view name) const {
  for (const auto& entry : all_)
    if (sameName(entry.first, name)) return true;
  return false;
}

struct HttpClient::Transfer {
  HttpClient* client = nullptr;
  HttpId id = 0;
  HttpRequest request;
  HttpReceiver* receiver = nullptr;  // null once cancelled
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  HttpResponse response;
  std::size_t header_bytes = 0;
  HttpReceiver::Body body = HttpReceiver::Body::Collect;
  HttpFailure stopped = HttpFailure::None;  // why a callback of ours ended it
  TimePoint last_progress{};
  TimerId idle_timer = 0;
  bool added = false;
  char error[CURL_ERROR_SIZE] = {};

  Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

// What libcurl calls. All of them run inside curl_multi_socket_action or curl_multi_add/remove_handle.
struct HttpCallbacks {
  using Transfer = HttpClient::Transfer;

  static int onSocket(CURL*, curl_socket_t fd, int what, void* user, void*) {
    auto& client = *static_cast<HttpClient*>(user);
    if (what == CURL_POLL_REMOVE) {
      client.reactor_.unwatch(fd);
      client.watched_.erase(fd);
      return 0;
    }
    const std::uint32_t events =
        (what & CURL_POLL_IN ? std::uint32_t{EPOLLIN} : 0U) | (what & CURL_POLL_OUT ? std::uint32_t{EPOLLOUT} : 0U);
    if (client.watched_.contains(fd)) {
      if (client.reactor_.modify(fd, events)) return 0;
      client.reactor_.unwatch(fd);  // the number was closed and given out again
    }
    HttpClient* const c = &client;
    const Status watching = client.reactor_.watch(fd, events, [c, fd](std::uint32_t happened) {
      int flags = 0;
      // An error or hang-up is found by reading or writing.
      if (happened & (EPOLLIN | EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_IN;
      if (happened & (EPOLLOUT | EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_OUT;
      c->act(fd, flags);
    });
    if (!watching) return -1;
    client.watched_.insert(fd);
    return 0;
  }

  static int onTimer(CURLM*, long timeout_ms, void* user) {
    auto& client = *static_cast<HttpClient*>(user);
    client.reactor_.cancel(client.timer_);
    client.timer_ = 0;
    if (timeout_ms < 0) return 0;
    client.timer_ = client.reactor_.after(std::chrono::milliseconds(timeout_ms), [&client] {
      client.timer_ = 0;
      client.act(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
  }

  static std::size_t onHeader(char* data, std::size_t, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (transfer.receiver == nullptr) return 0;
    transfer.last_progress = Reactor::now();
    transfer.header_bytes += size;
    if (transfer.header_bytes > kMaxHeaderBytes) return stop(transfer, HttpFailure::TooLarge);
    const std::string_view line = trimmed({data, size});
    if (line.starts_with("HTTP/")) {  // also after an interim answer
      transfer.response.status = statusOf(line);
      transfer.response.headers = {};
      return size;
    }
    if (line.empty()) return headComplete(transfer) ? size : 0;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return stop(transfer, HttpFailure::Malformed);
    transfer.response.headers.add(std::string(trimmed(line.substr(0, colon))),
                                  std::string(trimmed(line.substr(colon + 1))));
    return size;
  }

  static bool headComplete(Transfer& transfer) {
    if (transfer.response.status / 100 == 1) return true;
    if (transfer.response.status < 200) {
      stop(transfer, HttpFailure::Malformed);
      return false;
    }
    transfer.body = transfer.receiver->head(transfer.response);
    if (transfer.receiver == nullptr) return false;  // cancelled by its own receiver
    if (transfer.body != HttpReceiver::Body::Refuse) return true;
    stop(transfer, HttpFailure::Refused);
    return false;
  }

  static std::size_t onBody(char* data, std::size_t, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (transfer.receiver == nullptr) return 0;
    transfer.last_progress = Reactor::now();
    if (transfer.body == HttpReceiver::Body::Stream) {
      const bool on = transfer.receiver->body(bytesOf({data, size}));
      if (transfer.receiver == nullptr) return 0;
      return on ? size : stop(transfer, HttpFailure::Refused);
    }
    if (transfer.response.body.size() + size > transfer.request.max_body) return stop(transfer, HttpFailure::TooLarge);
    if (transfer.response.body.empty()) makeRoom(transfer);
    transfer.response.body.append(data, size);
    return size;
  }

  // For a body whose length the other side says: what is appended to grows in place.
  static void makeRoom(Transfer& transfer) {
    curl_off_t length = 0;
    if (curl_easy_getinfo(transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) != CURLE_OK || length <= 0)
      return;
    transfer.response.body.reserve(std::min<std::size_t>(static_cast<std::size_t>(length), transfer.request.max_body));
  }

  // Ends the transfer: libcurl takes a short count for an error.
  static std::size_t stop(Transfer& transfer, HttpFailure why) {
    transfer.stopped = why;
    return 0;
  }
};

HttpClient::HttpClient(Reactor& reactor, HttpClientOptions options) : reactor_(reactor), options_(std::move(options)) {}

Result<std::unique_ptr<HttpClient>> HttpClient::create(Reactor& reactor, HttpClientOptions options) {
  static const CURLcode global = [] {
    // OpenSSL writes to sockets without MSG_NOSIGNAL: a server that hangs up would end the process.
    struct sigaction now{};
    if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
    return curl_global_init(CURL_GLOBAL_DEFAULT);
  }();
  if (global != CURLE_OK)
    return fail(Code::Internal, fmt::format("libcurl doesn't start: {}", curl_easy_strerror(global)));
  std::unique_ptr<HttpClient> client(new HttpClient(reactor, std::move(options)));
  TRY(client->open());
  return client;
}

Status HttpClient::open() {
  CURLM* multi = curl_multi_init();
  CURLSH* share = curl_share_init();
  multi_ = multi;
  share_ = share;
  if (multi == nullptr || share == nullptr) return fail(Code::Internal, "libcurl doesn't start: no memory");
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &HttpCallbacks::onSocket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &HttpCallbacks::onTimer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.max_idle));
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(options_.max_requests));
  curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  const curl_version_info_data* version = curl_version_info(CURLVERSION_NOW);
  if (version->cainfo != nullptr) system_ca_file_ = version->cainfo;
  if (version->capath != nullptr) system_ca_path_ = version->capath;
  return {};
}

HttpClient::~HttpClient() {
  for (auto& entry : transfers_) release(*entry.second);
  transfers_.clear();
  if (multi_ != nullptr) curl_multi_cleanup(multi_);
  if (share_ != nullptr) curl_share_cleanup(share_);
  reactor_.cancel(timer_);
  for (const int fd : watched_) reactor_.unwatch(fd);
}

Result<HttpId> HttpClient::start(HttpRequest request, HttpReceiver& receiver) {
  if (transfers_.size() >= options_.max_requests)
    return fail(Code::Busy, fmt::format("{} HTTP requests are in flight, which is the limit", transfers_.size()), 50);
  if (!isCleanUrl(request.url))
    return fail(Code::InvalidArgument, "a URL must be http:// or https:// and percent-encoded");
  for (const auto& header : request.headers)
    if (!isCleanHeader(header)) return fail(Code::InvalidArgument, "a header holds a control character");

  auto transfer = std::make_unique<Transfer>();
  transfer->client = this;
  transfer->id = next_id_++;
  transfer->request = std::move(request);
  transfer->receiver = &receiver;
  TRY(configure(*transfer));
  const HttpId id = transfer->id;
  transfers_.emplace(id, std::move(transfer));
  to_add_.push_back(id);
  if (!in_curl_) settle();
  return id;
}

Status HttpClient::configure(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURL* easy = transfer.easy = curl_easy_init();
  if (easy == nullptr) return fail(Code::Internal, "libcurl has no memory for a request");
  for (const auto& header : request.headers) {
    curl_slist* longer = curl_slist_append(transfer.headers, header.c_str());
    if (longer == nullptr) return fail(Code::Internal, "libcurl has no memory for a header");
    transfer.headers = longer;
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(easy, CURLOPT_SHARE, share_);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // "a/../b" is a name, not a path to tidy
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  TRY(configureMethod(transfer));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  const std::size_t buffer = std::clamp<std::size_t>(request.receive_buffer, 16 * kKiB, kMaxReceiveBuffer);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, static_cast<long>(buffer));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, kMaxConnectionAgeSeconds);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, wholeMs(request.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytesPerSecond);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, 1L + wholeMs(request.idle_timeout) / 1000);
  if (request.deadline != kNever)
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, wholeMs(request.deadline - Reactor::now()));
  if (request.direct)
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  else if (!request.proxy.empty())
    curl_easy_setopt(easy, CURLOPT_PROXY, request.proxy.c_str());
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &HttpCallbacks::onHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &HttpCallbacks::onBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  configureTls(transfer);
  return {};
}

Status HttpClient::configureMethod(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURL* easy = transfer.easy;
  switch (request.method) {
    case HttpMethod::Get:
      return {};
    case HttpMethod::Head:
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
      return {};
    case HttpMethod::Put:
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
      break;
    case HttpMethod::Post:
      break;
  }
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  // libcurl would ask before it sends 1 MiB, and wait a second for servers that don't know the question.
  curl_slist* longer = curl_slist_append(transfer.headers, "Expect:");
  if (longer == nullptr) return fail(Code::Internal, "libcurl has no memory for a header");
  transfer.headers = longer;
  return {};
}

// libcurl keeps the parsed bundle between connections only if it comes from a file alone; so the system's directory is
// named only beside a private CA, where OpenSSL looks certificates up in it one by one.
void HttpClient::configureTls(Transfer& transfer) {
  CURL* easy = transfer.easy;
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_TLS13_CIPHERS, kTls13Ciphers);
  curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, kTls12Ciphers);
  const char* file = system_ca_file_.empty() ? nullptr : system_ca_file_.c_str();
  const char* path = system_ca_path_.empty() ? nullptr : system_ca_path_.c_str();
  if (!transfer.request.ca_file.empty())
    file = transfer.request.ca_file.c_str();
  else if (file != nullptr)
    path = nullptr;
  curl_easy_setopt(easy, CURLOPT_CAINFO, file);
  curl_easy_setopt(easy, CURLOPT_CAPATH, path);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, file);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, path);
}

void HttpClient::cancel(HttpId id) {
  auto known = transfers_.find(id);
  if (known == transfers_.end() || known->second->receiver == nullptr) return;
  known->second->receiver = nullptr;
  to_remove_.push_back(id);
  if (!in_curl_) settle();
}

void HttpClient::act(int fd, int flags) {
  int running = 0;
  in_curl_ = true;
  curl_multi_socket_action(multi_, fd, flags, &running);
  in_curl_ = false;
  settle();
  while (true) {
    int left = 0;
    const CURLMsg* message = curl_multi_info_read(multi_, &left);
    if (message == nullptr) return;
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    const CURLcode code = message->data.result;  // `message` ends with its handle
    auto known = transfers_.extract(transfer->id);
    finish(std::move(known.mapped()), code);
  }
}

// Adds and removes what was asked for, also while libcurl was running.
void HttpClient::settle() {
  for (const HttpId id : std::exchange(to_remove_, {})) {
    auto known = transfers_.extract(id);
    if (!known.empty()) release(*known.mapped());
  }
  for (const HttpId id : std::exchange(to_add_, {})) {
    auto known = transfers_.find(id);
    if (known == transfers_.end()) continue;
    Transfer& transfer = *known->second;
    in_curl_ = true;  // adding a handle calls onTimer
    curl_multi_add_handle(multi_, transfer.easy);
    in_curl_ = false;
    transfer.added = true;
    transfer.last_progress = Reactor::now();
    watchIdle(transfer);
  }
}

void HttpClient::release(Transfer& transfer) {
  reactor_.cancel(transfer.idle_timer);
  if (!transfer.added) return;
  in_curl_ = true;  // removing a handle may close its socket: onSocket
  curl_multi_remove_handle(multi_, transfer.easy);
  in_curl_ = false;
  transfer.added = false;
}

void HttpClient::finish(std::unique_ptr<Transfer> transfer, int curl_code) {
  const auto code = static_cast<CURLcode>(curl_code);
  HttpResult result;
  result.failure = transfer->stopped != HttpFailure::None ? transfer->stopped : failureOf(code);
  if (transfer->stopped == HttpFailure::None && code == CURLE_OPERATION_TIMEDOUT) {
    curl_off_t sent_us = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    const bool deadline = Reactor::now() + 2ms >= transfer->request.deadline;
    result.failure = deadline ? HttpFailure::Deadline : sent_us == 0 ? HttpFailure::Connect : HttpFailure::Idle;
  }
  if (result.failure == HttpFailure::Cut) {
    long tunnel_status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel_status);
    if (tunnel_status != 0 && tunnel_status / 100 != 2) result.failure = HttpFailure::Proxy;
  }
  if (!result.ok()) {
    result.why = failureName(result.failure);
    if (transfer->stopped == HttpFailure::None)
      result.why += fmt::format(" ({})", transfer->error[0] != 0 ? transfer->error : curl_easy_strerror(code));
  }
  result.response = std::move(transfer->response);
  HttpReceiver* receiver = transfer->receiver;
  release(*transfer);
  transfer.reset();
  if (receiver != nullptr) receiver->done(std::move(result));
}

// One timer per request, put on again only when it fires: bytes that arrive cost a clock reading, no timer.
void HttpClient::watchIdle(Transfer& transfer) {
  transfer.idle_timer =
      reactor_.at(transfer.last_progress + transfer.request.idle_timeout, [this, id = transfer.id] { idleCheck(id); });
}

void HttpClient::idleCheck(HttpId id) {
  auto known = transfers_.find(id);
  if (known == transfers_.end()) return;
  Transfer& transfer = *known->second;
  transfer.idle_timer = 0;
  curl_off_t sent_us = 0;  // zero until the request is on its way: connecting has its own timeout
  curl_easy_getinfo(transfer.easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
  if (sent_us == 0) {
    transfer.last_progress = Reactor::now();
    return watchIdle(transfer);
  }
  if (Reactor::now() < transfer.last_progress + transfer.request.idle_timeout) return watchIdle(transfer);
  transfer.stopped = HttpFailure::Idle;
  auto ended = transfers_.extract(known);
  finish(std::move(ended.mapped()), CURLE_OPERATION_TIMEDOUT);
}

}  // namespace forebay::io
