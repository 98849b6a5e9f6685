// An object store behind HTTP as an Origin: what Azure Blob and S3 have in common.
//
//   queue      at most `max_concurrent` attempts at once; calls above that wait in order, at most `max_waiting`
//   identity   with a CredentialProvider, calls wait (in the queue, within their deadlines) until a credential is
//   there;
//              one that the store refuses as expired is replaced, and the call repeated once with the next
//   attempts   each has its own time limit inside the call's deadline; retry.h decides about the next one
//   resuming   a body cut midway goes on at its offset; the sink sees each byte once
//   checks     206 with exactly the range that was asked, the ETag that was asked, the length that was promised;
//   anything
//              else is Corrupt (or Gone, where the version changed) and not a byte of it is handed on
//
// What the numbers in OriginMetrics mean here: every attempt is a request, also one that no answer came to; bytes are
// those of objects' bodies, as they arrived.
// Memory: per attempt a receive buffer (512 KiB for a get of that much, less for less); a list's page up to 32 MiB.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "io/http_client.h"
#include "io/reactor.h"
#include "io/worker_pool.h"
#include "origin/credential.h"
#include "origin/dialect.h"
#include "origin/origin.h"
#include "origin/retry.h"

namespace forebay::origin {

struct HttpOriginOptions {
  std::uint32_t max_concurrent = 64;
  std::uint32_t max_waiting = 4096;
  Duration connect_timeout = 5s;
  Duration idle_timeout = 10s;                    // no byte for so long
  Duration attempt_timeout = 30s;                 // of one attempt, plus
  std::uint64_t attempt_bytes_per_second = kMiB;  // its length at this rate
  RetryPolicy retry;
  RetryBudgetOptions retry_budget;
  std::string ca_file;
  std::string proxy;
  // Asks for checksums and compares them (checked_piece.h): in ranges no longer than the service gives them for. A
  // range that doesn't fit is asked for again, and Corrupt in the end.
  bool check_ranges = false;
  std::uint64_t seed = 0;  // of the jitter; 0: from the operating system
};

class HttpOrigin final : public Origin {
 public:
  // `client` and `metrics` must outlive it. `credentials`: null where what the dialect knows doesn't change. `pool`:
  // reads long lists; none: the loop does. May be gone when the origin is.
  HttpOrigin(std::unique_ptr<Dialect> dialect, HttpOriginOptions options, io::Reactor& reactor, io::HttpClient& client,
             OriginMetrics& metrics, std::shared_ptr<CredentialProvider> credentials = nullptr,
             io::WorkerPool* pool = nullptr);
  ~HttpOrigin() override;
  HttpOrigin(const HttpOrigin&) = delete;
  HttpOrigin& operator=(const HttpOrigin&) = delete;

  void probe(TimePoint deadline, DoneCallback done) override;
  void head(std::string path, TimePoint deadline, Callback<ObjectInfo> done) override;
  void get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, ByteSink& sink,
           TimePoint deadline, DoneCallback done) override;
  void open(std::string path, std::uint64_t most, OpenSink& sink, TimePoint deadline,
            Callback<ObjectInfo> done) override;
  void list(std::string prefix, std::string next, std::uint32_t max, TimePoint deadline, NextPageCallback next_page,
            Callback<ListPage> done) override;
  std::string url() const override { return dialect_->url(); }

 private:
  class Op;
  using OpId = std::uint64_t;

  void submit(std::shared_ptr<Op> op);
  void startWaiting();
  bool haveCredential();
  void failWaiting(const Error& error);
  bool repeatWithNewCredential(Op& op, const io::HttpResponse& response);
  void startAttempt(Op& op);
  void endAttempt(Op& op, io::HttpResult& result);
  bool answered(Op& op, io::HttpResponse& response);
  template <class T>
  void give(Op& op, Result<T> result);
  void readList(Op& op, std::string body);
  void wrongBytes(Op& op, const Error& why);
  void retryOrGiveUp(Op& op, const Attempt& attempt, Error error);
  void resubmit(OpId id);
  void end(Op& op);  // forgets it; its callback is the caller's to run, last
  void fail(Op& op, Error error);
  void later(io::Task task);
  std::string describe(const Call& call) const;

  const std::shared_ptr<Dialect> dialect_;
  const HttpOriginOptions options_;
  io::Reactor& reactor_;
  io::HttpClient& client_;
  OriginMetrics& metrics_;
  const std::shared_ptr<CredentialProvider> credentials_;
  io::WorkerPool* const pool_;
  CredentialPtr credential_;       // for the attempts that start now
  bool credential_asked_ = false;  // get() will call back
  Random random_;
  RetryBudget budget_;
  std::unordered_map<OpId, std::shared_ptr<Op>> ops_;
  std::deque<OpId> waiting_;
  std::uint32_t running_ = 0;
  OpId next_id_ = 1;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // tasks posted to the loop look whether we still are
};

}  // namespace forebay::origin
