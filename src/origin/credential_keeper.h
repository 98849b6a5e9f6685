// A CredentialProvider over any CredentialSource: one attempt in flight for all who ask, renewal ahead of the end
// (when: refresh_policy.h), the old credential while it is good and renewing fails, bounded waiting.
//
// Failure: while a good credential is there, failed renewals are only logged (and counted). Without one, a refusal is
// handed to all who wait and, until the next attempt is due, to all who come; what may pass makes them wait on.
// Bounds: `max_waiting` callbacks; one attempt of at most `fetch_timeout`.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "base/metrics.h"
#include "io/reactor.h"
#include "origin/credential.h"
#include "origin/refresh_policy.h"

namespace forebay::origin {

struct KeeperOptions {
  RefreshOptions refresh;
  Duration fetch_timeout = 15s;
  std::size_t max_waiting = 4096;
  std::uint64_t seed = 0;            // of the jitter; 0: from the operating system
  std::function<TimePoint()> clock;  // empty: the reactor's. Tests stand where they like in time, and call tick()
  Counter* refreshes = nullptr;      // attempts that gave one
  Counter* failed_refreshes = nullptr;
};

class CredentialKeeper final : public CredentialProvider {
 public:
  // `reactor` and the counters must outlive it.
  CredentialKeeper(std::unique_ptr<CredentialSource> source, KeeperOptions options, io::Reactor& reactor);
  ~CredentialKeeper() override;
  CredentialKeeper(const CredentialKeeper&) = delete;
  CredentialKeeper& operator=(const CredentialKeeper&) = delete;

  CredentialPtr current() override;
  void get(TimePoint deadline, Callback<CredentialPtr> done) override;
  void refuse(const Credential& credential) override;
  const std::string& source() const override { return source_->description(); }
  std::string trouble() const override { return trouble_ ? trouble_->message : std::string(); }

  // Does what is due: its own timer calls it.
  void tick();

 private:
  struct Waiter {
    std::uint64_t id = 0;
    TimePoint deadline{};
    io::TimerId timer = 0;
    Callback<CredentialPtr> done;
  };

  TimePoint now() const { return options_.clock ? options_.clock() : io::Reactor::now(); }
  void later(io::Task task);
  void schedule();
  void fetched(Result<Credential> result);
  void accept(Credential credential);
  void reject(Error error);
  void expire(std::uint64_t waiter);
  void answerAll(const Result<CredentialPtr>& result);

  std::unique_ptr<CredentialSource> source_;
  const KeeperOptions options_;
  io::Reactor& reactor_;
  RefreshPolicy policy_;
  CredentialPtr credential_;
  std::optional<Error> trouble_;
  bool refused_ = false;  // the trouble is a refusal: those who come are told at once
  std::list<Waiter> waiters_;
  std::uint64_t next_waiter_ = 1, next_number_ = 1;
  io::TimerId timer_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace forebay::origin
