#include "origin/http_origin.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <variant>

#include "base/log.h"
#include "origin/encoding.h"
#include "origin/http_errors.h"

namespace forebay::origin {
namespace {

constexpr std::size_t kMaxListBody = 32 * kMiB;  // 5,000 names of 1,024 bytes, percent-encoded, with properties
constexpr std::size_t kMaxErrorBody = 64 * kKiB;
constexpr std::size_t kLongList = 64 * kKiB;  // takes longer to read than to hand over
constexpr std::size_t kMaxNameBytes = 1024;

using io::HttpFailure;
using io::HttpResponse;
using io::HttpResult;

}  // namespace

// One call: waiting for its turn, in an attempt, or between two.
class HttpOrigin::Op final : public io::HttpReceiver, public std::enable_shared_from_this<Op> {
 public:
  using Done = std::variant<Callback<ObjectInfo>, Callback<ListPage>, DoneCallback>;

  Op(HttpOrigin& owner, Call what, TimePoint until, Done callback)
      : origin(owner), call(std::move(what)), deadline(until), done_callback(std::move(callback)), due(call.length) {}

  Body head(const HttpResponse& response) override;
  bool body(Bytes bytes) override;
  void done(HttpResult result) override { origin.endAttempt(*this, result); }

  // What the next attempt asks for. An open goes on as a get of the version that it found, and asks for the head of
  // what has no first byte.
  CallKind asks() const {
    if (call.kind != CallKind::Open) return call.kind;
    return no_range ? CallKind::Head : opened ? CallKind::Get : CallKind::Open;
  }
  Call next() const {
    Call now = call;
    now.kind = asks();
    if (opened) now.version = opened->version;
    now.offset += received;
    now.length = due - received;
    now.checked = origin.options_.check_ranges && (now.kind == CallKind::Get || now.kind == CallKind::Open);
    if (now.checked && now.kind == CallKind::Get) now.length = checkedLength(now.length);
    return now;
  }
  // As much as can be held in one piece until its checksum is known.
  std::uint64_t checkedLength(std::uint64_t length) const {
    const std::uint64_t longest = origin.dialect_->longestChecked();
    if (longest == UINT64_MAX) return length;  // only of whole objects: pieces of one would have none
    const std::uint64_t room = sink->room().size();
    return std::min({length, longest, std::max<std::uint64_t>(room, CheckedPiece::kMaxBuffer)});
  }
  void tellOpened(const ObjectInfo& info, std::uint64_t length) {
    opened = info;
    due = length;
    open_sink->begins(info, length);
  }

  HttpOrigin& origin;
  const Call call;
  const TimePoint deadline;
  Done done_callback;
  NextPageCallback next_page;  // of a list
  OpId id = 0;
  ByteSink* sink = nullptr;
  OpenSink* open_sink = nullptr;     // of an open; `sink` is the same then
  std::optional<ObjectInfo> opened;  // of an open: what its first answer said
  bool no_range = false;             // of an open: no byte is there to ask for
  std::uint64_t due = 0;             // bytes that the sink shall have in the end
  std::uint64_t received = 0;        // of a get, over all attempts
  std::uint64_t asked = 0;           // bytes that this attempt asks for
  CheckedPiece piece;                // of this attempt: what is held until its checksum is known
  bool goes_on = false;              // the next attempt asks for the next piece: no retry
  TimePoint submitted{}, attempt_start{};
  std::uint32_t attempts = 0, in_a_row = 0;
  std::uint64_t received_before = 0;  // when this attempt began
  io::HttpId http = 0;
  io::TimerId deadline_timer = 0, backoff_timer = 0;
  std::optional<Error> refusal;  // why head() or body() ended the attempt
  std::string last_trouble;
  bool learned = false;
  CredentialPtr credential;  // of the attempt
  bool renewed = false;      // it was refused as expired once, and repeated
  bool dropped = false;      // the origin is gone

 private:
  Body refuse(Code code, std::string why);
  void hold(const HttpResponse& response, std::uint64_t length, bool whole);
  bool handOn(Bytes bytes);
  Body headOfGet(const HttpResponse& response);
  Body headOfOpen(const HttpResponse& response);
};

io::HttpReceiver::Body HttpOrigin::Op::refuse(Code code, std::string why) {
  refusal = Error{code, fmt::format("{}: {}", origin.describe(call), why)};
  return Body::Refuse;
}

io::HttpReceiver::Body HttpOrigin::Op::head(const HttpResponse& response) {
  const CallKind kind = asks();
  if (kind != CallKind::Get && kind != CallKind::Open) return Body::Collect;
  origin.metrics_.first_byte.record(io::Reactor::now() - attempt_start);
  return kind == CallKind::Get ? headOfGet(response) : headOfOpen(response);
}

io::HttpReceiver::Body HttpOrigin::Op::headOfGet(const HttpResponse& response) {
  if (response.status == 200)
    return refuse(Code::Corrupt,
                  "the origin sent the whole object where a range was asked; it (or a proxy before it) "
                  "ignores ranges and can't be read from");
  if (response.status != 206) return Body::Collect;

  const std::uint64_t first = call.offset + received, last = first + asked - 1;
  const auto range = parseContentRange(response.headers.get("content-range"));
  if (!range || range->first != first || range->last != last)
    return refuse(Code::Corrupt, fmt::format("asked for bytes {}-{}, the origin answers with range {}", first, last,
                                             shown(response.headers.get("content-range"))));
  const std::string_view length = response.headers.get("content-length");
  if (!length.empty() && parseNumber(length) != last - first + 1)
    return refuse(Code::Corrupt,
                  fmt::format("{} bytes are due, the origin promises {}", last - first + 1, shown(length)));
  const std::string etag = bareEtag(response.headers.get("etag"));
  if (etag.empty())
    return refuse(Code::Corrupt, "the answer has no ETag: which version its bytes belong to can't be known");
  const std::string& version = opened ? opened->version : call.version;
  if (etag != version)
    return refuse(Code::Gone, fmt::format("version {} was asked, the origin has {}", shown(version), shown(etag)));
  hold(response, last - first + 1, first == 0 && range->size && last + 1 == *range->size);
  return Body::Stream;
}

void HttpOrigin::Op::hold(const HttpResponse& response, std::uint64_t length, bool whole) {
  if (!origin.options_.check_ranges || length == 0) return;
  if (auto expected = origin.dialect_->checksumOf(response, whole)) piece.begin(std::move(*expected), length, *sink);
}

io::HttpReceiver::Body HttpOrigin::Op::headOfOpen(const HttpResponse& response) {
  if (response.status != 206 && response.status != 200) return Body::Collect;
  Result<ObjectInfo> info = origin.dialect_->readHead(response);  // its size is this answer's
  if (!info) return refuse(info.error().code, std::move(info.error().message));
  const std::uint64_t length = info->size;
  if (response.status == 206) {
    const auto range = parseContentRange(response.headers.get("content-range"));
    if (!range || !range->size || range->first != 0 || range->last != std::min(call.length, *range->size) - 1 ||
        length != range->last + 1)
      return refuse(Code::Corrupt,
                    fmt::format("asked for the first {} bytes, the origin answers with range {}, {} bytes", call.length,
                                shown(response.headers.get("content-range")), length));
    info->size = *range->size;
  } else if (length > call.length) {
    return refuse(Code::Corrupt,
                  "the origin sent the whole object where a range was asked; it (or a proxy before it) "
                  "ignores ranges and can't be read from");
  }
  const auto self = shared_from_this();  // the sink may destroy the origin, and us with it
  tellOpened(*info, length);
  asked = length;
  if (!dropped) hold(response, length, length == info->size);
  return dropped ? Body::Refuse : Body::Stream;
}

bool HttpOrigin::Op::body(Bytes bytes) {
  const auto self = shared_from_this();  // the sink may destroy the origin, and us with it
  origin.metrics_.bytes.add(bytes.size());
  if (bytes.size() > received_before + asked - received - piece.held()) {
    refuse(Code::Corrupt, fmt::format("more than the {} bytes that are due arrived", asked));
    return false;
  }
  if (!piece.active()) return handOn(bytes);
  if (piece.take(bytes, *sink)) return true;
  refuse(Code::Cancelled, "whoever wanted the bytes has gone");
  return false;
}

bool HttpOrigin::Op::handOn(Bytes bytes) {
  while (!bytes.empty()) {
    const MutableBytes room = sink->room();
    if (dropped) return false;
    if (room.empty()) {
      refuse(Code::Internal, "the receiver of the bytes has no room");
      return false;
    }
    const std::size_t n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    received += n;
    bytes = bytes.subspan(n);
    sink->wrote(n);
    if (dropped) return false;
  }
  return true;
}

HttpOrigin::HttpOrigin(std::unique_ptr<Dialect> dialect, HttpOriginOptions options, io::Reactor& reactor,
                       io::HttpClient& client, OriginMetrics& metrics, std::shared_ptr<CredentialProvider> credentials,
                       io::WorkerPool* pool)
    : dialect_(std::move(dialect)),
      options_(std::move(options)),
      reactor_(reactor),
      client_(client),
      metrics_(metrics),
      credentials_(std::move(credentials)),
      pool_(pool),
      random_(options_.seed != 0 ? options_.seed : systemRandom()),
      budget_(options_.retry_budget, io::Reactor::now()) {}

HttpOrigin::~HttpOrigin() {
  alive_.reset();
  for (auto& [id, op] : ops_) {
    op->dropped = true;
    reactor_.cancel(op->deadline_timer);
    reactor_.cancel(op->backoff_timer);
    client_.cancel(op->http);
  }
}

void HttpOrigin::later(io::Task task) {
  reactor_.post([alive = std::weak_ptr(alive_), task = std::move(task)]() mutable {
    if (!alive.expired()) task();
  });
}

void HttpOrigin::probe(TimePoint deadline, DoneCallback done) {
  list("", "", 1, deadline, {}, [done = std::move(done)](Result<ListPage> page) mutable {
    if (page)
      done({});
    else
      done(std::unexpected(std::move(page.error())));
  });
}

void HttpOrigin::head(std::string path, TimePoint deadline, Callback<ObjectInfo> done) {
  submit(std::make_shared<Op>(*this, Call{.kind = CallKind::Head, .path = std::move(path)}, deadline, std::move(done)));
}

void HttpOrigin::get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, ByteSink& sink,
                     TimePoint deadline, DoneCallback done) {
  if (length == 0) {  // no range of HTTP can ask for nothing, and an empty object has no bytes to ask for
    later([done = std::move(done)]() mutable { done({}); });
    return;
  }
  auto op = std::make_shared<Op>(*this,
                                 Call{.kind = CallKind::Get,
                                      .path = std::move(path),
                                      .version = std::move(version),
                                      .offset = offset,
                                      .length = length},
                                 deadline, std::move(done));
  op->sink = &sink;
  submit(std::move(op));
}

void HttpOrigin::open(std::string path, std::uint64_t most, OpenSink& sink, TimePoint deadline,
                      Callback<ObjectInfo> done) {
  auto op = std::make_shared<Op>(*this, Call{.kind = CallKind::Open, .path = std::move(path), .length = most}, deadline,
                                 std::move(done));
  op->sink = op->open_sink = &sink;
  submit(std::move(op));
}

void HttpOrigin::list(std::string prefix, std::string next, std::uint32_t max, TimePoint deadline,
                      NextPageCallback next_page, Callback<ListPage> done) {
  auto op = std::make_shared<Op>(
      *this, Call{.kind = CallKind::List, .path = std::move(prefix), .next = std::move(next), .max = max}, deadline,
      std::move(done));
  op->next_page = std::move(next_page);
  submit(std::move(op));
}

namespace {
// What no request has to be sent for. Empty: fine.
std::string problemOf(const Call& call) {
  if (call.path.size() > kMaxNameBytes)
    return fmt::format("a name of {} bytes; object stores have at most {}", call.path.size(), kMaxNameBytes);
  if (call.path.find('\0') != std::string::npos) return "a name with a zero byte";
  if (call.kind == CallKind::List) {
    if (!call.path.empty() && call.path.back() != '/') return "a listed prefix must end with '/'";
    return {};
  }
  if (call.path.empty()) return "an object's name can't be empty";
  if (call.kind == CallKind::Open && call.length == 0) return "no bytes were asked for";
  if (call.kind != CallKind::Get) return {};
  if (call.version.empty()) return "no version was given";
  if (call.offset + call.length < call.offset) return "the range ends beyond 2^64";
  return {};
}
}  // namespace

void HttpOrigin::submit(std::shared_ptr<Op> op) {
  const TimePoint now = io::Reactor::now();
  op->id = next_id_++;
  op->submitted = now;
  Op& call = *op;
  ops_.emplace(op->id, std::move(op));
  const auto fail_later = [this, id = call.id](Error error) {
    later([this, id, why = std::move(error)]() mutable {
      if (const auto known = ops_.find(id); known != ops_.end()) fail(*known->second, std::move(why));
    });
  };
  if (const std::string problem = problemOf(call.call); !problem.empty())
    return fail_later({Code::InvalidArgument, fmt::format("{}: {}", describe(call.call), problem)});
  if (now >= call.deadline)
    return fail_later({Code::DeadlineExceeded, fmt::format("{}: its deadline had passed", describe(call.call))});
  if (running_ >= options_.max_concurrent && waiting_.size() >= options_.max_waiting)
    return fail_later({Code::Busy,
                       fmt::format("{}: {} calls to the origin already wait (max_waiting), {} run (max_concurrent)",
                                   describe(call.call), waiting_.size(), running_),
                       100});
  budget_.onCall(now);
  if (call.deadline != kNever)
    call.deadline_timer = reactor_.at(call.deadline, [this, id = call.id] {
      const auto known = ops_.find(id);
      if (known == ops_.end()) return;
      Op& late = *known->second;
      late.deadline_timer = 0;
      fail(late, {Code::DeadlineExceeded,
                  fmt::format("{}: not done in {} ms; {}", describe(late.call), toMs(late.deadline - late.submitted),
                              credential_asked_           ? "it waited for credentials: " + credentials_->trouble()
                              : late.attempts == 0        ? "it still waited for a place among max_concurrent"
                              : late.last_trouble.empty() ? "the origin is slow"
                                                          : "last: " + late.last_trouble)});
    });
  waiting_.push_back(call.id);
  startWaiting();
}

void HttpOrigin::startWaiting() {
  while (running_ < options_.max_concurrent && !waiting_.empty() && haveCredential()) {
    const auto known = ops_.find(waiting_.front());
    waiting_.pop_front();
    if (known != ops_.end()) startAttempt(*known->second);
  }
}

// Without one, nothing starts: the queue waits, and each call in it within its own deadline.
bool HttpOrigin::haveCredential() {
  if (!credentials_) return true;
  credential_ = credentials_->current();
  if (credential_ != nullptr) return true;
  if (credential_asked_) return false;
  credential_asked_ = true;
  credentials_->get(kNever, [this, alive = std::weak_ptr(alive_)](Result<CredentialPtr> credential) {
    if (alive.expired()) return;
    if (!credential) failWaiting(credential.error());
    if (alive.expired()) return;
    credential_asked_ = false;
    startWaiting();
  });
  return false;
}

// A callback may destroy the origin.
void HttpOrigin::failWaiting(const Error& error) {
  const std::weak_ptr<char> alive = alive_;
  const std::deque<OpId> waiting = waiting_;
  for (const OpId id : waiting) {
    if (alive.expired()) return;
    const auto known = ops_.find(id);
    if (known == ops_.end()) continue;
    Error own = error;
    own.message = fmt::format("{}: {}", describe(known->second->call), error.message);
    fail(*known->second, std::move(own));
  }
}

// Tokens end in the middle of reads. Each call is repeated once; of those that the same credential fails, the first
// pays from the budget for retries, so that a store that refuses everything is asked no more than one that is down.
bool HttpOrigin::repeatWithNewCredential(Op& op, const HttpResponse& response) {
  if (!credentials_ || !op.credential || op.credential->nothing() || op.renewed) return false;
  if (!dialect_->mayHaveExpired(response.status, dialect_->errorCode(response))) return false;
  if (credential_ == op.credential) {
    if (!budget_.take(io::Reactor::now())) return false;
    log::debug("origin", "{}: {} answers {} to {}; it is renewed", describe(op.call), dialect_->url(), response.status,
               credentials_->source());
    credentials_->refuse(*op.credential);
    credential_ = nullptr;
  }
  op.renewed = true;
  resubmit(op.id);
  return true;
}

void HttpOrigin::startAttempt(Op& op) {
  const TimePoint now = io::Reactor::now();
  const Call call = op.next();
  Result<io::HttpRequest> request = dialect_->request(call, credential_.get(), io::Reactor::wallNs());
  op.credential = credential_;
  Result<io::HttpId> started = 0;
  if (request) {
    op.asked = call.length;
    op.piece.drop();
    const bool is_get = call.kind == CallKind::Get || call.kind == CallKind::Open;
    const bool is_list = call.kind == CallKind::List;
    const auto allowance =
        std::chrono::milliseconds(call.length / std::max<std::uint64_t>(1, options_.attempt_bytes_per_second / 1000));
    request->deadline = std::min(op.deadline, now + options_.attempt_timeout + allowance);
    request->connect_timeout = options_.connect_timeout;
    request->idle_timeout = options_.idle_timeout;
    request->receive_buffer = is_get ? std::min<std::uint64_t>(call.length, io::kMaxReceiveBuffer) : 64 * kKiB;
    request->max_body = is_list ? kMaxListBody : kMaxErrorBody;
    request->ca_file = options_.ca_file;
    request->proxy = options_.proxy;
    started = client_.start(std::move(*request), op);
  } else {
    started = std::unexpected(std::move(request.error()));
  }
  if (!started) {
    later([this, id = op.id, error = std::move(started.error())]() mutable {
      const auto known = ops_.find(id);
      if (known == ops_.end()) return;
      error.message = fmt::format("{}: {}", describe(known->second->call), error.message);
      fail(*known->second, std::move(error));
    });
    return;
  }
  op.http = *started;
  ++running_;
  if (op.attempts++ == 0)
    metrics_.wait.record(now - op.submitted);
  else if (!op.goes_on)
    metrics_.retries.add();
  op.goes_on = false;
  ++op.in_a_row;
  op.attempt_start = now;
  op.received_before = op.received;
  (call.kind == CallKind::Head ? metrics_.heads : call.kind == CallKind::List ? metrics_.lists : metrics_.gets).add();
}

void HttpOrigin::end(Op& op) {
  reactor_.cancel(op.deadline_timer);
  reactor_.cancel(op.backoff_timer);
  if (op.http != 0) {
    client_.cancel(op.http);
    op.http = 0;
    --running_;
  }
  if (op.attempts == 0) std::erase(waiting_, op.id);
  ops_.erase(op.id);
  startWaiting();
}

// The callback comes last: it may destroy the origin.
void HttpOrigin::fail(Op& op, Error error) {
  const auto keep = op.shared_from_this();
  if (error.code != Code::NotFound) metrics_.errors.add();
  end(op);
  std::visit([&](auto& done) { done(std::unexpected(std::move(error))); }, keep->done_callback);
}

void HttpOrigin::endAttempt(Op& op, HttpResult& result) {
  const auto keep = op.shared_from_this();
  op.http = 0;
  --running_;
  if (op.refusal) return fail(op, std::move(*op.refusal));
  HttpResponse& response = result.response;
  if (result.ok() && op.piece.active()) {
    if (const Status right = op.piece.verify(); !right) return wrongBytes(op, right.error());
    const std::uint64_t given = op.piece.handOn(*op.sink, op.dropped);
    if (op.dropped) return;
    op.received += given;
    metrics_.checked.add(given);
  }
  if (result.ok() && answered(op, response)) return;
  if (result.ok() && op.asks() == CallKind::Open && response.status == 416) {
    op.no_range = true;
    return resubmit(op.id);
  }
  if (result.ok() && !op.learned && dialect_->learn(response)) {
    op.learned = true;
    return resubmit(op.id);
  }
  if (result.ok() && repeatWithNewCredential(op, response)) return;
  Attempt attempt{.failure = result.failure,
                  .status = response.status,
                  .transient = result.ok() && dialect_->isTransient(dialect_->errorCode(response)),
                  .in_a_row = op.in_a_row,
                  .progress = op.received > op.received_before,
                  .retry_after = retryAfter(response.headers, io::Reactor::wallNs())};
  retryOrGiveUp(op, attempt,
                result.ok() ? statusError(*dialect_, describe(op.call), op.asks(), response, op.credential.get())
                            : failureError(*dialect_, describe(op.call), result, op.received, op.due));
}

// Whether that was the answer, good or bad, that the call waited for.
bool HttpOrigin::answered(Op& op, HttpResponse& response) {
  const auto keep = op.shared_from_this();
  if (op.asks() == CallKind::List) {
    if (response.status != 200) return false;
    readList(op, std::move(response.body));
    return true;
  }
  if (op.asks() == CallKind::Head) {
    if (response.status != 200) return false;
    Result<ObjectInfo> info = dialect_->readHead(response);
    if (info && op.open_sink != nullptr) op.tellOpened(*info, 0);
    if (!op.dropped) give(op, std::move(info));
    return true;
  }
  const bool bytes_came = response.status == 206 || (op.opened && response.status == 200);
  if (!bytes_came) return false;
  if (op.received < op.due && op.received == op.received_before + op.asked) {  // the next piece
    op.goes_on = true;
    op.in_a_row = 0;
    resubmit(op.id);
  } else if (op.received != op.due)
    fail(op, {Code::Corrupt,
              fmt::format("{}: the answer ended after {} of {} bytes", describe(op.call), op.received, op.due)});
  else if (op.opened)
    give(op, Result<ObjectInfo>(*op.opened));
  else {
    end(op);
    std::get<DoneCallback>(keep->done_callback)({});
  }
  return true;
}

template <class T>
void HttpOrigin::give(Op& op, Result<T> result) {
  const auto keep = op.shared_from_this();
  if (!result) {
    result.error().message = fmt::format("{}: {}", describe(op.call), result.error().message);
    return fail(op, std::move(result.error()));
  }
  end(op);
  std::get<Callback<T>>(keep->done_callback)(std::move(result));
}

// A page of 5,000 names takes about 3 ms to read: where there is a pool, the loop goes on meanwhile, and who wants the
// next page asks for it.
void HttpOrigin::readList(Op& op, std::string body) {
  if (pool_ == nullptr || body.size() < kLongList) return give(op, dialect_->readList(op.call, body));
  if (op.next_page)
    if (const std::string next = dialect_->nextOfList(body); !next.empty()) op.next_page(next);
  struct Work {
    std::shared_ptr<const Dialect> dialect;
    Call call;
    std::string body;
    Result<ListPage> page;
  };
  const auto work = std::make_shared<Work>(dialect_, op.call, std::move(body), ListPage{});
  const Status taken = pool_->submit([work] { work->page = work->dialect->readList(work->call, work->body); },
                                     [this, work, id = op.id, alive = std::weak_ptr(alive_)] {
                                       if (alive.expired()) return;
                                       if (const auto known = ops_.find(id); known != ops_.end())
                                         give(*known->second, std::move(work->page));
                                     });
  if (!taken) return give(op, dialect_->readList(op.call, work->body));
  startWaiting();  // its place among those that run is free
}

// Nobody has seen them: the next attempt brings others to the same place.
void HttpOrigin::wrongBytes(Op& op, const Error& why) {
  op.piece.drop();
  metrics_.bad_checksums.add();
  Error error{Code::Corrupt, fmt::format("{}: bytes {}-{}: {}", describe(op.call), op.call.offset + op.received,
                                         op.call.offset + op.received + op.asked - 1, why.message)};
  log::warn("origin", "{}", error.message);
  retryOrGiveUp(op, {.failure = HttpFailure::None, .status = 206, .transient = true, .in_a_row = op.in_a_row}, error);
}

void HttpOrigin::retryOrGiveUp(Op& op, const Attempt& attempt, Error error) {
  const TimePoint now = io::Reactor::now();
  if (attempt.progress) op.in_a_row = 1;
  const Decision decision = decide(options_.retry, attempt, now, op.deadline, budget_, random_);
  if (attempt.retry_after && (error.code == Code::Unavailable || error.code == Code::Busy))
    error.retry_after_ms = static_cast<std::uint32_t>(toMs(*attempt.retry_after));
  switch (decision.what) {
    case Decision::Again:
      log::debug("origin", "{}; again in {} ms", error.message, toMs(decision.wait));
      op.last_trouble = std::move(error.message);
      op.backoff_timer = reactor_.after(decision.wait, [this, id = op.id] { resubmit(id); });
      return startWaiting();
    case Decision::Final:
      break;
    case Decision::Exhausted:
      error.message += fmt::format(", after {} attempts in {} ms", op.attempts, toMs(now - op.submitted));
      break;
    case Decision::TooLate:
      error.message += fmt::format(", and no time is left to wait {} ms for another attempt", toMs(decision.wait));
      break;
    case Decision::NoBudget:
      error.message += ", and so many calls fail that it isn't tried again (retry budget)";
      break;
  }
  fail(op, std::move(error));
}

// Before those that haven't started: it has waited already, and isn't counted in max_waiting.
void HttpOrigin::resubmit(OpId id) {
  const auto known = ops_.find(id);
  if (known == ops_.end()) return;
  known->second->backoff_timer = 0;
  waiting_.push_front(id);
  startWaiting();
}

std::string HttpOrigin::describe(const Call& call) const {
  return describeCall(dialect_->url(), call);
}

}  // namespace forebay::origin
