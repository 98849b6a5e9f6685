#include "reader/owner_calls.h"

#include <algorithm>

namespace forebay::reader {
namespace {

constexpr Duration kNamedTimeout = 2s;  // of a node that was named in an owner's stead: it answers from what it knows

}  // namespace

core::WalkEvent walkEventOf(const Error& error) {
  switch (error.code) {
    case Code::Busy:
      return core::BusyThere{std::chrono::milliseconds(error.retry_after_ms)};
    case Code::Corrupt:
      return core::BadBytes{};
    case Code::Unavailable:
    case Code::DeadlineExceeded:
    case Code::Cancelled:
      return core::Lost{};
    default:
      return core::Refused{error};
  }
}

void OwnerCalls::ask(OwnerQuestion question, OwnerCallback done) {
  const core::OwnerWalk walk({.slot = question.slot, .self = self_, .may_relay = false, .deadline = question.deadline},
                             {});
  auto open = std::make_shared<Open>(Open{std::move(question), std::move(done), walk});
  follow(open, open->walk.start(io::Reactor::now(), cell_.map(), cell_.peers(), random_));
}

void OwnerCalls::step(const std::shared_ptr<Open>& open, const core::WalkEvent& event) {
  follow(open, open->walk.step(io::Reactor::now(), event, cell_.map(), cell_.peers(), random_));
}

void OwnerCalls::follow(const std::shared_ptr<Open>& open, const core::WalkAction& action) {
  std::visit(Overloaded{
                 [](const core::Nothing&) {},
                 [](const core::Finished&) {},
                 [&](const core::AskNode& a) { send(open, a); },
                 // Names need no map: whoever is asked answers. The wait gives the newer one time to come.
                 [&](const core::PullMap& a) { wait(open, a.until); },
                 [&](const core::WaitUntil& a) { wait(open, a.until); },
                 [&](const core::HereInstead&) { open->done(AskHere{}); },
                 [&](const core::Failed& a) { open->done(a.error); },
             },
             action);
}

void OwnerCalls::wait(const std::shared_ptr<Open>& open, TimePoint until) {
  reactor_.at(until, [this, alive = std::weak_ptr(alive_), open] {
    if (!alive.expired()) step(open, core::WaitOver{});
  });
}

void OwnerCalls::send(const std::shared_ptr<Open>& open, const core::AskNode& ask) {
  Channel* channel = channels_.to(ask.node, cell_.map());
  if (channel == nullptr) return step(open, core::Lost{});
  if (open->question.prepare) open->question.prepare(ask);
  const Duration patience =
      ask.no_fill ? std::min(open->question.try_timeout, kNamedTimeout) : open->question.try_timeout;
  const TimePoint deadline = std::min(open->question.deadline, io::Reactor::now() + patience);
  channel->call(
      open->question.type, *open->question.message, deadline,
      [this, alive = std::weak_ptr(alive_), open](Result<Answer> answer) {
        if (alive.expired()) return;
        if (!answer) return step(open, walkEventOf(answer.error()));
        const core::WalkEvent event = open->done(*answer);
        if (!alive.expired()) step(open, event);
      },
      cell_.map().version(), open->question.bulk);
}

}  // namespace forebay::reader
