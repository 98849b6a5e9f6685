#include "core/chunk_server.h"

#include <algorithm>

namespace forebay::core {
namespace {
Refusal refusalOf(const Error& error) {
  switch (error.code) {
    case Code::Busy:
      return Refusal::Busy;
    case Code::Gone:
      return Refusal::Gone;
    default:
      return Refusal::Failed;
  }
}
}  // namespace

ChunkServer::ChunkServer(NodeId self, std::shared_ptr<const SlotMap> map, ServerLimits limits, std::uint64_t seed)
    : self_(self), map_(std::move(map)), limits_(limits), random_(seed), peers_(mix64(seed)), fills_(limits.fill) {}

ServerActions ChunkServer::step(TimePoint now, const ServerEvent& event) {
  ServerActions out;
  std::visit(Overloaded{[&](const Want& e) { want(now, e, out); }, [&](const Got& e) { got(now, e, out); },
                        [&](const OriginDone& e) { originDone(now, e, out); },
                        [&](const PeerSaid& e) { peerSaid(now, e, out); },
                        [&](const Left& e) {
                          fills_.left(e.waiter);
                          forgetWaiter(e.waiter);
                        },
                        [&](const NewMap& e) { newMap(now, e, out); }, [&](const Tick&) { tick(now, out); }},
             event);
  return out;
}

bool ChunkServer::direct(FetchId fetch) const {
  auto known = fetches_.find(fetch);
  return known != fetches_.end() && known->second.walk && !known->second.walk->redirected() &&
         !known->second.relayed_ask;
}

void ChunkServer::want(TimePoint now, const Want& e, ServerActions& out) {
  if (e.no_fill) {
    refuse(e.waiter, Refusal::Miss, {Code::NotFound, "this node doesn't hold it", 0}, out);
    return;
  }
  // Who asks under a newer map knows better who owns the chunk: serve, and catch up.
  const bool asker_is_ahead = e.map_version > map_->version();
  if (asker_is_ahead && e.asker != kNoNode) out.emplace_back(WantMap{e.asker, e.map_version});
  const Owners owners = map_->owners(e.slot);
  const bool may_fill = owners.primary() == self_ || asker_is_ahead || (e.fallback && owners.has(self_));
  if (!may_fill && !e.must_answer) {
    refuse(e.waiter, Refusal::Moved, {Code::Unavailable, "another node owns it", 0}, out);
    return;
  }
  const auto outcome = fills_.wanted(e.waiter, e.chunk, e.runs, e.present, e.chunk_runs);
  if (!outcome.refused.empty()) {
    refuse(e.waiter, Refusal::Busy, {Code::Busy, "too many fetches or readers wait at this node", 50}, out);
    return;
  }
  waiters_[e.waiter] = {e.deadline, e.runs};
  if (e.deadline != kNever) timers_.emplace(e.deadline, Timer::Waiter, e.waiter);
  for (const auto& start : outcome.starts) startFetch(now, start, e, out);
  deliver(outcome, out);
}

void ChunkServer::startFetch(TimePoint now, const FillTable::Start& start, const Want& cause, ServerActions& out) {
  Fetch& fetch = fetches_[start.fetch];
  fetch.chunk = start.chunk;
  fetch.slot = cause.slot;
  fetch.runs = start.runs;
  const Owners owners = map_->owners(cause.slot);
  fetch.owner = owners.has(self_) || cause.map_version > map_->version();
  if (owners.primary() == self_ || cause.map_version > map_->version()) {
    fillHere(start.fetch, fetch, false, out);
  } else if (cause.fallback && owners.has(self_)) {
    fillHere(start.fetch, fetch, true, out);
  } else {
    fetch.walk.emplace(
        OwnerWalk::Question{
            .slot = cause.slot, .self = self_, .may_relay = !cause.relayed, .deadline = now + limits_.fetch_deadline},
        limits_.walk);
    follow(now, start.fetch, fetch.walk->start(now, *map_, peers_, random_), out);
  }
}

void ChunkServer::fillHere(FetchId id, Fetch& fetch, bool fallback, ServerActions& out) {
  arm(fetch, id, kNever);
  fetch.asking = false;
  if (fallback) {
    if (fallback_active_ >= limits_.max_fallback_fills) {
      fetch.source = Source::Queued;
      fallback_queue_.push_back(id);
      return;
    }
    ++fallback_active_;
    fetch.counts_as_fallback = true;
  }
  fetch.source = Source::Origin;
  out.emplace_back(FetchFromOrigin{id, fetch.chunk, fetch.runs, fetch.owner});
}

void ChunkServer::follow(TimePoint now, FetchId id, const WalkAction& action, ServerActions& out) {
  Fetch& fetch = fetches_.at(id);
  std::visit(
      Overloaded{
          [](const Nothing&) {},
          [&](const AskNode& a) {
            ++fetch.attempt;
            fetch.source = Source::Peer;
            fetch.asking = true;
            fetch.relayed_ask = a.relay;
            arm(fetch, id, now + limits_.silence);
            out.emplace_back(FetchFromPeer{id, fetch.attempt, a.node, fetch.chunk, fetch.runs, a.relay, a.fallback});
          },
          [&](const PullMap& a) {
            fetch.asking = false;
            arm(fetch, id, a.until);
            out.emplace_back(WantMap{a.node, a.version});
          },
          [&](const WaitUntil& a) {
            fetch.asking = false;
            arm(fetch, id, a.until);
          },
          [&](const HereInstead&) { fillHere(id, fetch, true, out); },
          [&](const Finished&) {
            // The peer says that it sent everything; what hasn't arrived by now was refused by the arena.
            if (!fetch.runs.empty())
              failFetch(id, fetch.last_error.value_or(Error{Code::Unavailable, "a peer sent less than asked", 0}), out);
          },
          [&](const Failed& a) { failFetch(id, a.error, out); },
      },
      action);
}

void ChunkServer::got(TimePoint now, const Got& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end()) return;
  Fetch& fetch = known->second;
  if (e.upto <= fetch.runs.first) return;
  fetch.runs.first = std::min(e.upto, fetch.runs.end);
  if (fetch.asking) arm(fetch, e.fetch, now + limits_.silence);
  const auto outcome = fills_.arrived(e.fetch, e.upto);
  if (fetch.runs.empty()) endFetch(e.fetch, out);
  deliver(outcome, out);
}

void ChunkServer::originDone(TimePoint, const OriginDone& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end()) return;  // its last Got ended it
  failFetch(e.fetch, e.error.value_or(Error{Code::Corrupt, "the origin sent less than it said", 0}), out);
}

void ChunkServer::peerSaid(TimePoint now, const PeerSaid& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end()) return;
  Fetch& fetch = known->second;
  if (!fetch.asking || fetch.attempt != e.attempt) return;
  fetch.asking = false;
  arm(fetch, e.fetch, kNever);
  follow(now, e.fetch, fetch.walk->step(now, e.event, *map_, peers_, random_), out);
}

void ChunkServer::newMap(TimePoint now, const NewMap& e, ServerActions& out) {
  if (e.map->version() <= map_->version()) return;
  map_ = e.map;
  std::vector<FetchId> waiting;
  for (const auto& [id, fetch] : fetches_)
    if (fetch.source == Source::Peer && !fetch.asking) waiting.push_back(id);
  for (FetchId id : waiting)
    follow(now, id, fetches_.at(id).walk->step(now, MapArrived{}, *map_, peers_, random_), out);
}

void ChunkServer::tick(TimePoint now, ServerActions& out) {
  while (!timers_.empty() && std::get<0>(*timers_.begin()) <= now) {
    const auto [when, kind, id] = *timers_.begin();
    timers_.erase(timers_.begin());
    if (kind == Timer::Waiter) {
      fills_.left(id);
      waiters_[id].deadline = kNever;  // its timer is gone already
      refuse(id, Refusal::Failed, {Code::DeadlineExceeded, "the bytes didn't arrive before the request's deadline", 0},
             out);
      continue;
    }
    Fetch& fetch = fetches_.at(id);
    fetch.due = kNever;
    if (fetch.asking) {
      out.emplace_back(StopPeer{id, fetch.attempt});
      fetch.asking = false;
      follow(now, id, fetch.walk->step(now, Lost{}, *map_, peers_, random_), out);
    } else {
      follow(now, id, fetch.walk->step(now, WaitOver{}, *map_, peers_, random_), out);
    }
  }
}

void ChunkServer::failFetch(FetchId id, const Error& error, ServerActions& out) {
  const auto outcome = fills_.failed(id);
  endFetch(id, out);
  for (WaiterId waiter : outcome.refused) refuse(waiter, refusalOf(error), error, out);
}

void ChunkServer::endFetch(FetchId id, ServerActions& out) {
  Fetch& fetch = fetches_.at(id);
  arm(fetch, id, kNever);
  if (fetch.source == Source::Queued) std::erase(fallback_queue_, id);
  const bool frees = fetch.counts_as_fallback;
  fetches_.erase(id);
  if (!frees) return;
  --fallback_active_;
  startQueuedFallbacks(out);
}

void ChunkServer::startQueuedFallbacks(ServerActions& out) {
  while (!fallback_queue_.empty() && fallback_active_ < limits_.max_fallback_fills) {
    const FetchId id = fallback_queue_.front();
    fallback_queue_.pop_front();
    fillHere(id, fetches_.at(id), true, out);
  }
}

void ChunkServer::deliver(const FillTable::Outcome& outcome, ServerActions& out) {
  for (const auto& ready : outcome.ready) {
    auto known = waiters_.find(ready.waiter);
    if (known == waiters_.end()) continue;
    out.emplace_back(Serve{ready.waiter, ready.upto});
    if (ready.upto >= known->second.runs.end) forgetWaiter(ready.waiter);
  }
}

void ChunkServer::refuse(WaiterId waiter, Refusal why, Error error, ServerActions& out) {
  forgetWaiter(waiter);
  out.emplace_back(Refuse{waiter, why, std::move(error)});
}

void ChunkServer::forgetWaiter(WaiterId waiter) {
  auto known = waiters_.find(waiter);
  if (known == waiters_.end()) return;
  if (known->second.deadline != kNever) timers_.erase({known->second.deadline, Timer::Waiter, waiter});
  waiters_.erase(known);
}

void ChunkServer::arm(Fetch& fetch, FetchId id, TimePoint when) {
  if (fetch.due != kNever) timers_.erase({fetch.due, Timer::Fetch, id});
  fetch.due = when;
  if (when != kNever) timers_.emplace(when, Timer::Fetch, id);
}

}  // namespace forebay::core
