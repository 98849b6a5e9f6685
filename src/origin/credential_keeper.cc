#include "origin/credential_keeper.h"

#include <fmt/format.h>
#include <utility>

#include "base/log.h"

namespace forebay::origin {
namespace {

bool isRefusal(Code code) {
  switch (code) {
    case Code::InvalidArgument:
    case Code::NotFound:
    case Code::PermissionDenied:
    case Code::Unauthenticated:
    case Code::Unsupported:
      return true;
    default:
      return false;
  }
}

}  // namespace

CredentialKeeper::CredentialKeeper(std::unique_ptr<CredentialSource> source, KeeperOptions options,
                                   io::Reactor& reactor)
    : source_(std::move(source)),
      options_(std::move(options)),
      reactor_(reactor),
      policy_(options_.refresh, options_.seed != 0 ? options_.seed : systemRandom()) {}

CredentialKeeper::~CredentialKeeper() {
  alive_.reset();
  reactor_.cancel(timer_);
  for (const Waiter& waiter : waiters_) reactor_.cancel(waiter.timer);
}

void CredentialKeeper::later(io::Task task) {
  reactor_.post([alive = std::weak_ptr(alive_), task = std::move(task)]() mutable {
    if (!alive.expired()) task();
  });
}

CredentialPtr CredentialKeeper::current() {
  if (credential_ && policy_.usable(now())) return credential_;
  policy_.want(now());
  schedule();
  return nullptr;
}

void CredentialKeeper::get(TimePoint deadline, Callback<CredentialPtr> done) {
  if (CredentialPtr usable = current())
    return later([usable = std::move(usable), done = std::move(done)]() mutable { done(std::move(usable)); });
  if (refused_ && !policy_.fetching() && !policy_.due(now()))
    return later([error = *trouble_, done = std::move(done)]() mutable { done(std::unexpected(std::move(error))); });
  if (waiters_.size() >= options_.max_waiting)
    return later([this, done = std::move(done)]() mutable {
      done(fail(Code::Busy,
                fmt::format("{} requests already wait for credentials ({})", options_.max_waiting, source()), 100));
    });
  Waiter& waiter = waiters_.emplace_back();
  waiter.id = next_waiter_++;
  waiter.deadline = deadline;
  waiter.done = std::move(done);
  if (deadline != kNever) waiter.timer = reactor_.after(deadline - now(), [this, id = waiter.id] { expire(id); });
}

void CredentialKeeper::refuse(const Credential& credential) {
  if (!credential_ || credential_->number != credential.number) return;
  credential_ = nullptr;
  policy_.refusedByStore(now());
  schedule();
}

// Never fetches inside a call of current(), get() or refuse(): a source may answer at once.
void CredentialKeeper::schedule() {
  reactor_.cancel(timer_);
  timer_ = 0;
  if (policy_.fetching() || policy_.nextFetch() == kNever) return;
  const Duration wait = std::max(Duration{}, policy_.nextFetch() - now());
  timer_ = reactor_.after(wait, [this] {
    timer_ = 0;
    tick();
  });
}

void CredentialKeeper::tick() {
  const TimePoint at = now();
  if (!policy_.due(at)) return schedule();
  reactor_.cancel(std::exchange(timer_, 0));
  policy_.began(at);
  source_->fetch(io::Reactor::now() + options_.fetch_timeout,
                 [this](Result<Credential> result) { fetched(std::move(result)); });
}

void CredentialKeeper::fetched(Result<Credential> result) {
  if (result && result->lifetime <= Duration{})
    result = fail(Code::Unavailable,
                  fmt::format("{}: what was issued has expired already: check this machine's clock", source()));
  if (result)
    accept(std::move(*result));
  else
    reject(std::move(result.error()));
}

void CredentialKeeper::accept(Credential credential) {
  policy_.fetched(now(), credential.lifetime, credential.refresh_after);
  if (trouble_ && !credential.nothing()) log::info("origin", "{}: credentials are renewed again", source());
  log::debug("origin", "{}: new credentials for {} s", source(), toMs(credential.lifetime) / 1000);
  if (options_.refreshes != nullptr) options_.refreshes->add();
  trouble_.reset();
  refused_ = false;
  credential.number = next_number_++;
  credential_ = std::make_shared<const Credential>(std::move(credential));
  schedule();
  answerAll(credential_);
}

void CredentialKeeper::reject(Error error) {
  const bool refused = isRefusal(error.code);
  if (refused) error.code = Code::Unauthenticated;
  std::optional<Duration> retry_after;
  if (error.retry_after_ms > 0) retry_after = std::chrono::milliseconds(error.retry_after_ms);
  policy_.failed(now(), refused, retry_after);
  if (options_.failed_refreshes != nullptr) options_.failed_refreshes->add();
  const bool usable = credential_ && policy_.usable(now());
  log::warn("origin", "{}{}; tried again in {} ms", error.message,
            usable ? fmt::format(" (the credentials that are there are good for another {} s)",
                                 toMs(policy_.usableUntil() - now()) / 1000)
                   : std::string(),
            toMs(policy_.nextFetch() - now()));
  trouble_ = error;
  refused_ = refused;
  schedule();
  if (refused && !usable) answerAll(std::unexpected(std::move(error)));
}

void CredentialKeeper::expire(std::uint64_t waiter) {
  for (auto at = waiters_.begin(); at != waiters_.end(); ++at) {
    if (at->id != waiter) continue;
    Callback<CredentialPtr> done = std::move(at->done);
    waiters_.erase(at);
    return done(fail(Code::DeadlineExceeded, fmt::format("no credentials in time ({}){}", source(),
                                                         trouble_ ? "; last: " + trouble_->message : "")));
  }
}

// A callback may destroy the keeper, or ask again.
void CredentialKeeper::answerAll(const Result<CredentialPtr>& result) {
  std::list<Waiter> waiters = std::exchange(waiters_, {});
  for (const Waiter& waiter : waiters) reactor_.cancel(waiter.timer);
  const std::weak_ptr<char> alive = alive_;
  const Result<CredentialPtr> answer = result;
  for (Waiter& waiter : waiters) {
    if (alive.expired()) return;
    waiter.done(answer);
  }
}

}  // namespace forebay::origin
