#include "client/owner_operation.h"

#include <algorithm>
#include <fmt/format.h>

#include "client/parts.h"
#include "core/chunk_server.h"
#include "reader/owner_calls.h"

namespace forebay::client {
namespace {

constexpr core::Backoff kAnew{.first = 20ms, .most = 1s};  // between walks of one question
constexpr std::uint32_t kRelays = 3;                       // members that are asked in the owners' place, in one try

}  // namespace

void OwnerOperation::startMore() {
  if (starting_) return;  // a question that ends at once mustn't start the next inside itself
  starting_ = true;
  if (walks_.empty()) starting();
  walks_.resize(questions());
  while (next_ < questions() && active_ < kWindow) {
    ++active_;
    walks_[next_] =
        std::allocate_shared<Walking>(PooledIn<Walking>(cell_.walkBlocks()), Walking{.walk = core::OwnerWalk({}, {})});
    begin(next_++);
  }
  starting_ = false;
  if (over_ < questions()) return;
  const auto self = shared_from_this();
  close();
  complete();
}

void OwnerOperation::begin(std::size_t question) {
  Walking& walking = *walks_[question];
  walking.relayed = false;
  walking.relays = 0;
  if (cell_.map() == nullptr)
    return failedWalk(question, {Code::Unavailable, "no member of the cell has answered yet", 0}, false);
  walking.walk = core::OwnerWalk(
      {.slot = slotOf(question), .self = core::kNoNode, .copies = copiesOf(question), .deadline = deadline_}, {});
  follow(question, walking.walk.start(io::Reactor::now(), *cell_.map(), cell_.peers(), cell_.random()));
}

void OwnerOperation::follow(std::size_t question, const core::WalkAction& action) {
  std::visit(Overloaded{
                 [](const core::Nothing&) {},
                 [&](const core::AskNode& a) { ask(question, a); },
                 [&](const core::PullMap& a) {
                   cell_.pullMap(a.node, a.version);
                   wait(question, a.until, State::WaitsForMap);
                 },
                 [&](const core::WaitUntil& a) { wait(question, a.until, State::Waits); },
                 [&](const core::HereInstead&) { relay(question); },
                 [&](const core::Finished&) { end(question, nullptr); },
                 [&](const core::Failed& a) { failedWalk(question, a.error, false); },
             },
             action);
}

void OwnerOperation::ask(std::size_t question, const core::AskNode& ask) {
  Walking& walking = *walks_[question];
  walking.ask = ask;
  walking.state = State::Asked;
  cell_.peers().began(ask.node);
  outbox_[ask.node].push_back(question);
  flush();
}

void OwnerOperation::flush() {
  if (std::exchange(flush_posted_, true)) return;
  cell_.post([weak = weak_from_this()] {
    const auto self = std::static_pointer_cast<OwnerOperation>(weak.lock());
    if (!self) return;
    self->flush_posted_ = false;
    auto outbox = std::exchange(self->outbox_, {});
    for (auto& [node, waiting] : outbox) {
      self->send(node, waiting);
      if (!waiting.empty()) {
        auto& left = self->outbox_[node];
        left.insert(left.begin(), waiting.begin(), waiting.end());
      }
    }
    std::erase_if(self->outbox_, [](const auto& entry) { return entry.second.empty(); });
  });
}

void OwnerOperation::said(std::size_t question, const core::WalkEvent& event, const Error* why) {
  Walking& walking = *walks_[question];
  cell_.peers().ended(walking.ask.node);
  if (why != nullptr) walking.last = *why;
  if (walking.relayed) return relayedSaid(question, event);
  const auto* const refused = std::get_if<core::Refused>(&event);
  const auto action = walking.walk.step(io::Reactor::now(), event, *cell_.map(), cell_.peers(), cell_.random());
  if (refused != nullptr && std::holds_alternative<core::Failed>(action))
    return failedWalk(question, refused->error, true);
  follow(question, action);
}

void OwnerOperation::giveUp(std::size_t question, const Error& error) {
  cell_.peers().ended(walks_[question]->ask.node);
  end(question, &error);
}

// Who runs out of time hasn't heard that the node is lost.
void OwnerOperation::lost(std::size_t question, const Error& error) {
  if (error.code == Code::DeadlineExceeded && io::Reactor::now() >= deadline_) return giveUp(question, error);
  said(question, reader::walkEventOf(error), &error);
}

// No owner can be reached: another member asks them, from where it stands, or does it in their place.
void OwnerOperation::relay(std::size_t question) {
  Walking& walking = *walks_[question];
  const TimePoint now = io::Reactor::now();
  const core::Owners owners = cell_.map()->owners(slotOf(question));
  std::vector<core::NodeId> fit;
  for (const core::Member& member : cell_.map()->members())
    if (!owners.has(member.id) && cell_.peers().usable(now, member.id)) fit.push_back(member.id);
  if (fit.empty() || walking.relays++ == kRelays) {
    if (fit.empty()) cell_.lostEverybody();
    return failedWalk(question, {Code::Unavailable, "none of the nodes that could answer can be reached", 0}, false);
  }
  walking.relayed = true;
  ask(question, {.node = fit[cell_.random().below(fit.size())], .relay = true});
}

void OwnerOperation::relayedSaid(std::size_t question, const core::WalkEvent& event) {
  Walking& walking = *walks_[question];
  const core::NodeId node = walking.ask.node;
  if (std::holds_alternative<core::Answered>(event)) {
    cell_.peers().answered(node);
    return end(question, nullptr);
  }
  if (const auto* refused = std::get_if<core::Refused>(&event)) {
    const Error error = refused->error;
    return failedWalk(question, error, true);
  }
  if (std::holds_alternative<core::BusyThere>(event))
    return failedWalk(question, walking.last.value_or(Error{Code::Busy, "the node that relays is busy", 0}), false);
  cell_.peers().failed(io::Reactor::now(), node);
  relay(question);
}

// `answered`: a node said so, after it had done what it could.
void OwnerOperation::failedWalk(std::size_t question, Error error, bool answered) {
  Walking& walking = *walks_[question];
  // That nobody answered in time, or could be reached, has a reason; the walk doesn't know it.
  const bool general = !answered && (error.code == Code::DeadlineExceeded || error.code == Code::Unavailable);
  if (general && walking.last) error = *walking.last;
  if (!answered && error.code == Code::Corrupt) return end(question, &error);
  if (answered && ++walking.answered_failures >= static_cast<std::uint32_t>(kAnsweredFailures))
    return end(question, &error);
  const TimePoint until =
      io::Reactor::now() + kAnew.wait(walking.tries++, cell_.random(), std::chrono::milliseconds(error.retry_after_ms));
  if (!passes(error) || until >= deadline_) return end(question, &error);
  walking.last = std::move(error);
  wait(question, until, State::StartsAnew);
}

void OwnerOperation::end(std::size_t question, const Error* error) {
  const Error kept = error == nullptr ? Error() : *error;  // `error` may be in the walk
  walks_[question].reset();
  --active_;
  ++over_;
  ended(question, error == nullptr ? nullptr : &kept);
  if (active_ < kWindow / 2 || next_ == questions()) startMore();
}

void OwnerOperation::newMap() {
  std::vector<std::size_t> waiting;
  std::erase_if(waits_, [&](const auto& entry) {
    if (walks_[entry.second]->state != State::WaitsForMap) return false;
    waiting.push_back(entry.second);
    return true;
  });
  const auto self = shared_from_this();
  for (const std::size_t question : waiting)
    follow(question, walks_[question]->walk.step(io::Reactor::now(), core::MapArrived{}, *cell_.map(), cell_.peers(),
                                                 cell_.random()));
}

void OwnerOperation::wait(std::size_t question, TimePoint until, State state) {
  walks_[question]->state = state;
  waits_.emplace(until, question);
  arm();
}

void OwnerOperation::arm() {
  const TimePoint due = waits_.empty() ? kNever : waits_.begin()->first;
  if (due >= timer_at_) return;
  if (timer_ != 0) cell_.reactor().cancel(timer_);
  timer_at_ = due;
  timer_ = cell_.reactor().at(due, [weak = weak_from_this()] {
    if (const auto self = std::static_pointer_cast<OwnerOperation>(weak.lock())) self->wake();
  });
}

void OwnerOperation::wake() {
  timer_ = 0;
  timer_at_ = kNever;
  std::vector<std::size_t> due;
  const TimePoint now = io::Reactor::now();
  while (!waits_.empty() && waits_.begin()->first <= now) {
    due.push_back(waits_.begin()->second);
    waits_.erase(waits_.begin());
  }
  for (const std::size_t question : due) {
    Walking& walking = *walks_[question];
    if (walking.state == State::StartsAnew)
      begin(question);
    else
      follow(question, walking.walk.step(now, core::WaitOver{}, *cell_.map(), cell_.peers(), cell_.random()));
  }
  arm();
}

void OwnerOperation::forget() {
  if (timer_ != 0) cell_.reactor().cancel(std::exchange(timer_, 0));
  waits_.clear();
  outbox_.clear();
  for (auto& walking : walks_)
    if (walking && walking->state == State::Asked) cell_.peers().ended(walking->ask.node);
  walks_.clear();
}

}  // namespace forebay::client
