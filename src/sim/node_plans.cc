// Plans of a simulated node: who asks whom for a name, as the daemon does it.
#include "sim/node.h"

namespace forebay::sim {

void Node::open(const std::string& path, bool revalidate, PlanDone done) {
  wantPlan(path, revalidate, Whence::Owner, true, std::move(done));
}

void Node::wantPlan(const std::string& path, bool revalidate, Whence whence, bool may_relay, PlanDone done) {
  const Names::Waiter waiter = next_waiter_++;
  plan_waiters_[waiter] = std::move(done);
  const auto outcome = names_.wanted(world_.now(), waiter, path, revalidate);
  settle(outcome, {Code::Busy, "too many wait for names", 50});
  if (outcome.fetch) startPlan(path, whence, may_relay, revalidate);
}

void Node::settle(const Names::Outcome& outcome, const Error& error) {
  const auto take = [&](Names::Waiter waiter) {
    auto known = plan_waiters_.extract(waiter);
    return std::move(known.mapped());
  };
  for (const auto& found : outcome.found)
    world_.after(Duration{0}, [done = take(found.waiter), plan = *found.answer]() mutable { done(plan); });
  for (Names::Waiter waiter : outcome.refused)
    world_.after(Duration{0}, [done = take(waiter), error]() mutable { done(fail(error)); });
}

void Node::startPlan(const std::string& path, Whence whence, bool may_relay, bool revalidate) {
  const core::OwnerWalk::Question question{.slot = core::slotOfPath("data", path),
                                           .self = id(),
                                           .may_relay = may_relay,
                                           .deadline = world_.now() + setup_.plan_deadline};
  auto [fetch, made] =
      plan_fetches_.try_emplace(path, PlanFetch{.walk = core::OwnerWalk(question, setup_.limits.walk)});
  if (!made) checkers_.found("node {} fetches the plan of {} twice at once", id(), path);
  fetch->second.revalidate = revalidate;
  if (whence == Whence::Here)
    headHere(path);
  else
    followPlan(path, fetch->second.walk.start(world_.now(), server_.map(), server_.peers(), random_));
}

void Node::stepPlan(const std::string& path, const core::WalkEvent& event) {
  auto fetch = plan_fetches_.find(path);
  if (fetch == plan_fetches_.end()) return;
  if (!std::holds_alternative<core::MapArrived>(event) && !std::holds_alternative<core::WaitOver>(event))
    fetch->second.call = 0;
  followPlan(path, fetch->second.walk.step(world_.now(), event, server_.map(), server_.peers(), random_));
}

void Node::followPlan(const std::string& path, const core::WalkAction& action) {
  std::visit(Overloaded{
                 [](const core::Nothing&) {},
                 [&](const core::AskNode& a) { askForPlan(path, a); },
                 [&](const core::PullMap& a) {
                   wantMap(a.node, a.version);
                   planWaits(path, a.until);
                 },
                 [&](const core::WaitUntil& a) { planWaits(path, a.until); },
                 [&](const core::HereInstead&) { headHere(path); },
                 [](const core::Finished&) {},  // endPlan() follows with the answer
                 [&](const core::Failed& a) { endPlan(path, fail(a.error)); },
             },
             action);
}

void Node::askForPlan(const std::string& path, const core::AskNode& ask) {
  PlanFetch& fetch = plan_fetches_.at(path);
  const CallId call = network_.newCall();
  fetch.call = call;
  fetch.node = ask.node;
  if (++fetch.attempt > setup_.limits.walk.max_asks)
    checkers_.found("node {} asks for the {}th time for the plan of {}", id(), fetch.attempt, path);
  network_.send(id(), ask.node,
                {call, PlanAsked{.path = path,
                                 .relay = ask.relay,
                                 .fallback = ask.fallback,
                                 .revalidate = fetch.revalidate,
                                 .map_version = server_.map().version()}});
  later(world_.now() + setup_.plan_try, [this, path, call] {
    auto known = plan_fetches_.find(path);
    if (known != plan_fetches_.end() && known->second.call == call) stepPlan(path, core::TooSlow{});
  });
}

void Node::planWaits(const std::string& path, TimePoint until) {
  PlanFetch& fetch = plan_fetches_.at(path);
  const std::uint32_t wait = ++fetch.waits;
  later(until, [this, path, wait] {
    auto known = plan_fetches_.find(path);
    if (known != plan_fetches_.end() && known->second.waits == wait) stepPlan(path, core::WaitOver{});
  });
}

void Node::headHere(const std::string& path) {
  origin_.head(path, [this, alive = alive_, path](Result<SharedPlan> plan) {
    if (*alive) later(world_.now(), [this, path, plan = std::move(plan)] { endPlan(path, plan); });
  });
}

void Node::endPlan(const std::string& path, Result<SharedPlan> plan) {
  plan_fetches_.erase(path);
  const Error error = plan.has_value() ? Error{} : plan.error();
  const auto outcome = plan.has_value()
                           ? names_.answered(world_.now(), path, *plan, setup_.plan_ttl, sizeof(core::Plan))
                           : names_.failed(path);
  settle(outcome, error);
  if (outcome.fetch) startPlan(path, Whence::Owner, true, true);
}

void Node::on(NodeId from, CallId call, const PlanAsked& m) {
  const bool ahead = m.map_version > server_.map().version();
  if (ahead) wantMap(from, m.map_version);
  const core::Owners owners = server_.map().owners(core::slotOfPath("data", m.path));
  const bool owner = owners.primary() == id() || (ahead && !m.relay) || (m.fallback && owners.has(id()));
  if (!owner && !m.relay) {
    network_.send(id(), from, {call, PlanSaid{.why = core::Refusal::Moved, .map_version = server_.map().version()}});
    return;
  }
  wantPlan(m.path, m.revalidate, owner ? Whence::Here : Whence::Owner, !m.relay,
           [this, alive = alive_, from, call](Result<SharedPlan> plan) {
             if (!*alive) return;
             PlanSaid said{.map_version = server_.map().version()};
             if (plan.has_value())
               said.plan = *plan;
             else
               said.error = plan.error();
             network_.send(id(), from, {call, std::move(said)});
           });
}

void Node::on(NodeId from, CallId call, const PlanSaid& m) {
  for (const auto& [path, fetch] : plan_fetches_) {
    if (fetch.call != call || fetch.node != from) continue;
    const std::string name = path;
    if (m.plan) {
      stepPlan(name, core::Answered{});
      endPlan(name, m.plan);
    } else if (m.why == core::Refusal::Moved) {
      stepPlan(name, core::Moved{m.map_version});
    } else {
      stepPlan(name, core::Refused{m.error});
    }
    return;
  }
}

}  // namespace forebay::sim
