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
    : self_(self),
      map_(std::move(map)),
      limits_(limits),
      random_(seed),
      peers_(mix64(seed)),
      fills_(limits.fill),
      spread_(limits.spread),
      hedging_(limits.hedge) {}

ServerActions ChunkServer::step(TimePoint now, const ServerEvent& event) {
  ServerActions out;
  std::visit(
      Overloaded{[&](const Want& e) { want(now, e, out); }, [&](const Got& e) { got(now, e, out); },
                 [&](const OriginDone& e) { originDone(now, e, out); },
                 [&](const PeerSaid& e) { peerSaid(now, e, out); }, [&](const Complete& e) { complete(now, e, out); },
                 [&](const Copied& e) { copied(now, e, out); },
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
         !known->second.walk->asksHolder() && !known->second.relayed_ask;
}

// What this node is to who asks for that slot.
ChunkServer::Role ChunkServer::roleFor(const Want& e) const {
  const Owners owners = map_->owners(e.slot);
  if (owners.primary() == self_) return Role::Primary;
  // Who chose this node under a newer map knows better who owns the slot: serve, and catch up. Who asks for an answer
  // at any price didn't choose it for that.
  const bool chosen_by_newer_map = e.map_version > map_->version() && !e.must_answer;
  if (e.fallback && (owners.has(self_) || chosen_by_newer_map)) return Role::Fallback;
  return chosen_by_newer_map ? Role::Primary : Role::Reader;
}

void ChunkServer::want(TimePoint now, const Want& e, ServerActions& out) {
  if (e.map_version > map_->version() && e.asker != kNoNode) out.emplace_back(WantMap{e.asker, e.map_version});
  if (e.runs.empty() || e.runs.end > e.chunk_runs || e.chunk_runs > kMaxRuns) {
    refuse(e.waiter, Refusal::Failed, {Code::InvalidArgument, "that range isn't inside its chunk", 0}, out);
    return;
  }
  if (answerFromHere(now, e, out)) return;
  if (e.no_fill && !canJoin(e)) {
    refuse(e.waiter, Refusal::Miss, {Code::NotFound, "this node doesn't hold it", 0}, out);
    return;
  }
  if (e.deadline <= now) {
    refuse(e.waiter, Refusal::Failed, {Code::DeadlineExceeded, "the request's deadline was over when it came", 0}, out);
    return;
  }
  if (roleFor(e) == Role::Reader && !e.must_answer && !e.no_fill) {
    refuse(e.waiter, Refusal::Moved, {Code::Unavailable, "another node owns it", 0}, out);
    return;
  }
  const auto outcome = fills_.wanted(e.waiter, e.chunk, e.runs, e.present, e.chunk_runs, e.wide);
  if (!outcome.refused.empty()) {
    refuse(e.waiter, Refusal::Busy, {Code::Busy, "too many fetches or readers wait at this node", 50}, out);
    return;
  }
  waiters_[e.waiter] = {e.deadline, e.runs};
  if (e.deadline != kNever) timers_.emplace(e.deadline, Timer::Waiter, e.waiter);
  for (const auto& start : outcome.starts) startFetch(now, start, e, out);
  deliver(outcome, out);
}

// A node serves what it holds, whoever owns it; but a hot chunk's owner names others that have it.
bool ChunkServer::answerFromHere(TimePoint now, const Want& e, ServerActions& out) {
  bool whole = true;
  for (std::uint32_t run = e.runs.first; run < e.runs.end; ++run) whole = whole && e.present.has(run);
  auto others = inMyStead(now,
                          {.chunk = e.chunk,
                           .slot = e.slot,
                           .runs = e.runs.size(),
                           .chunk_runs = e.chunk_runs,
                           .asker = e.asker,
                           .may_ask = e.may_ask && !e.no_fill,
                           .insist = e.insist,
                           .here = whole},
                          out);
  if (!others.empty())
    refuse(e.waiter, Refusal::Ask, {Code::Busy, "others have it too: ask one of them", 0}, out, std::move(others));
  else if (whole)
    out.emplace_back(Serve{e.waiter, e.runs.end});
  else
    return false;
  return true;
}

std::vector<NodeId> ChunkServer::inMyStead(TimePoint now, const Sending& s, ServerActions& out) {
  if (!s.may_ask || map_->owners(s.slot).primary() != self_) return {};
  if (s.insist)
    spread_.wrong(s.chunk);
  else if (auto others = spread_.others(now, s.chunk, s.asker, random_); !others.empty()) {
    spread_.named(now, s.chunk, s.asker);
    return others;
  }
  // Peers that it is sent to will have it; clients serve nobody.
  if (s.asker == kNoNode && s.here && spread_.hot(now, s.chunk)) {
    const Owners owners = map_->owners(s.slot);
    for (NodeId owner : owners.all())
      if (owner != self_ && owner != s.asker && peers_.usable(now, owner)) dueCopy(owner, s.chunk, out);
  }
  spread_.sent(now, {.chunk = s.chunk, .to = s.asker, .runs = s.runs, .all_runs = s.chunk_runs});
  return {};
}

// Whether what is on its way here serves one who mustn't cause a fetch. Not if it comes from the asker, or from one who
// was named in an owner's stead: nodes that wait for each other would wait in a circle.
bool ChunkServer::canJoin(const Want& e) const {
  const auto bringing = fills_.bringing(e.chunk, e.runs, e.present);
  if (bringing.empty()) return false;
  for (FetchId id : bringing) {
    const Fetch& fetch = fetches_.at(id);
    if (fetch.asking_former || (fetch.source == Source::Peer && fetch.walk && fetch.walk->asksHolder())) return false;
    if (fetch.asking && fetch.asked == e.asker) return false;
  }
  return true;
}

// ---- copies

void ChunkServer::complete(TimePoint now, const Complete& e, ServerActions& out) {
  const Owners owners = map_->owners(e.slot);
  if (owners.primary() != self_) return;
  std::uint32_t wanted = e.copies;
  for (NodeId owner : owners.all()) {
    if (wanted-- == 0) return;
    if (owner != self_ && peers_.usable(now, owner)) dueCopy(owner, e.chunk, out);
  }
}

void ChunkServer::dueCopy(NodeId node, const ChunkId& chunk, ServerActions& out) {
  if (copies_due_.size() >= limits_.max_copies_due || !copies_.emplace(chunk, node).second) return;
  if (copying_ >= limits_.max_copying) {
    copies_due_.push_back({node, chunk});
    return;
  }
  ++copying_;
  out.emplace_back(CopyTo{node, chunk});
}

void ChunkServer::copied(TimePoint now, const Copied& e, ServerActions& out) {
  if (e.done) spread_.keeps(now, e.chunk, e.node);
  copies_.erase({e.chunk, e.node});
  --copying_;
  if (copies_due_.empty()) return;
  ++copying_;
  out.emplace_back(copies_due_.front());
  copies_due_.pop_front();
}

// ---- fetches

void ChunkServer::startFetch(TimePoint now, const FillTable::Start& start, const Want& cause, ServerActions& out) {
  Fetch& fetch = fetches_[start.fetch];
  fetch.chunk = start.chunk;
  fetch.slot = cause.slot;
  fetch.runs = start.runs;
  const Role role = roleFor(cause);
  fetch.owner = role != Role::Reader || map_->owners(cause.slot).has(self_);
  fetch.keep = cause.keep;
  fetch.copy = cause.keep && cause.asker != kNoNode;
  fetch.spare = cause.keep && cause.spare;
  fetch.copies = cause.copies;
  if (role != Role::Reader) {
    fillHere(now, start.fetch, fetch, role == Role::Fallback, out);
    return;
  }
  fetch.deadline = now + limits_.fetch_deadline;
  fetch.walk.emplace(OwnerWalk::Question{.slot = cause.slot,
                                         .self = self_,
                                         .may_relay = !cause.relayed,
                                         .copies = cause.copies,
                                         .deadline = fetch.deadline},
                     limits_.walk);
  follow(now, start.fetch, fetch.walk->start(now, *map_, peers_, random_), out);
}

// As its owner, or in an owner's place.
void ChunkServer::fillHere(TimePoint now, FetchId id, Fetch& fetch, bool fallback, ServerActions& out) {
  if (fetch.owner && !fallback) {
    findFormer(now, fetch);
    if (askFormer(now, id, fetch, out)) return;
  }
  fill(now, id, fetch, fallback, out);
}

void ChunkServer::findFormer(TimePoint now, Fetch& fetch) const {
  if (former_map_ == nullptr || now - map_since_ >= limits_.former_for) return;
  const Owners owners = former_map_->owners(fetch.slot);
  if (owners.primary() == self_) return;
  for (std::size_t i = owners.size(); i-- > 0;)
    if (const NodeId node = owners.all()[i]; node != self_ && map_->find(node) != nullptr) fetch.former.push_back(node);
}

bool ChunkServer::askFormer(TimePoint now, FetchId id, Fetch& fetch, ServerActions& out) {
  while (!fetch.former.empty()) {
    const NodeId node = fetch.former.back();
    fetch.former.pop_back();
    if (!peers_.usable(now, node)) continue;
    ++fetch.attempt;
    fetch.source = Source::Peer;
    fetch.asking_former = true;
    if (fetch.deadline == kNever) fetch.deadline = now + limits_.fetch_deadline;
    setAsking(fetch, node);
    // All of them together must take less time than those who wait here take for silence.
    fetch.turn_by = std::min(now + limits_.silence / 4, fetch.deadline);
    arm(fetch, id, fetch.turn_by);
    peers_.asked(now, node);
    out.emplace_back(FetchFromPeer{.fetch = id,
                                   .attempt = fetch.attempt,
                                   .node = node,
                                   .chunk = fetch.chunk,
                                   .runs = fetch.runs,
                                   .no_fill = true,
                                   .keep = true});
    return true;
  }
  return false;
}

void ChunkServer::formerSaid(TimePoint now, FetchId id, Fetch& fetch, const WalkEvent& event, ServerActions& out) {
  if (std::holds_alternative<Lost>(event))
    peers_.failed(now, fetch.asked);
  else if (!std::holds_alternative<TooSlow>(event))
    peers_.answered(fetch.asked);
  setAsking(fetch, kNoNode);
  if (askFormer(now, id, fetch, out)) return;
  fetch.asking_former = false;
  fill(now, id, fetch, false, out);
}

void ChunkServer::setAsking(Fetch& fetch, NodeId node) {
  if (fetch.asking) peers_.ended(fetch.asked);
  fetch.asking = node != kNoNode;
  if (!fetch.asking) return;
  fetch.asked = node;
  peers_.began(node);
}

void ChunkServer::fill(TimePoint now, FetchId id, Fetch& fetch, bool fallback, ServerActions& out) {
  setAsking(fetch, kNoNode);
  arm(fetch, id, now + limits_.silence / 4);
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
  out.emplace_back(FetchFromOrigin{id, fetch.chunk, fetch.runs, fetch.owner || fetch.keep});
}

void ChunkServer::follow(TimePoint now, FetchId id, const WalkAction& action, ServerActions& out) {
  Fetch& fetch = fetches_.at(id);
  const bool ends = std::holds_alternative<Finished>(action) || std::holds_alternative<Failed>(action);
  if (!ends && fills_.waiting(id).empty()) {
    failFetch(now, id, {Code::Cancelled, "nobody waits for it any more", 0}, out);
    return;
  }
  std::visit(
      Overloaded{
          [](const Nothing&) {},
          [&](const AskNode& a) {
            ++fetch.attempt;
            fetch.source = Source::Peer;
            setAsking(fetch, a.node);
            fetch.relayed_ask = a.relay;
            hedging_.asked();
            fetch.asked_at = now;
            const bool as_owner = !a.relay && !a.fallback && !a.no_fill && !a.insist;
            const bool hedges = as_owner || fetch.walk->choseCopy(), hedge = std::exchange(fetch.hedging, false);
            fetch.hedge_at = hedges && fetch.copies > 1 ? now + hedging_.after() : kNever;
            awaitPeer(now, id, fetch);
            out.emplace_back(FetchFromPeer{.fetch = id,
                                           .attempt = fetch.attempt,
                                           .node = a.node,
                                           .chunk = fetch.chunk,
                                           .runs = fetch.runs,
                                           .relay = a.relay,
                                           .fallback = a.fallback,
                                           .no_fill = a.no_fill,
                                           .insist = a.insist,
                                           .keep = fetch.keep,
                                           .copy = fetch.copy,
                                           .spare = fetch.spare,
                                           .hot = (a.no_fill || a.insist) && !fetch.walk->choseCopy() && !hedge,
                                           .hedge = hedge});
          },
          [&](const PullMap& a) {
            setAsking(fetch, kNoNode);
            arm(fetch, id, a.until);
            out.emplace_back(WantMap{a.node, a.version});
          },
          [&](const WaitUntil& a) {
            setAsking(fetch, kNoNode);
            arm(fetch, id, a.until);
          },
          [&](const HereInstead&) {
            const Owners owners = map_->owners(fetch.slot);  // of a map that may be newer than the fetch
            fetch.owner = owners.has(self_);
            fillHere(now, id, fetch, owners.primary() != self_, out);
          },
          // It says that it sent everything. What hasn't arrived by now was refused by the arena, or never sent.
          [&](const Finished&) { failFetch(now, id, {Code::Unavailable, "a peer sent less than asked", 0}, out); },
          [&](const Failed& a) { failFetch(now, id, a.error, out); },
      },
      action);
}

void ChunkServer::got(TimePoint now, const Got& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end()) return;
  Fetch& fetch = known->second;
  if (fetch.asking) {
    peers_.answered(fetch.asked);
    heard_[fetch.asked] = now;
    fetch.hedge_at = kNever;
    const TimePoint asked_at = std::exchange(fetch.asked_at, kNever);
    // What it had to fill first says nothing about how fast it answers.
    if (asked_at != kNever && e.upto > fetch.runs.first) hedging_.answered(now - asked_at);
    awaitPeer(now, e.fetch, fetch);
  }
  if (e.upto <= fetch.runs.first) {
    if (fetch.asking) tellStillFilling(e.fetch, out);
    return;
  }
  fetch.runs.first = std::min(e.upto, fetch.runs.end);
  const auto outcome = fills_.arrived(e.fetch, e.upto);
  if (fetch.runs.empty()) endFetch(now, e.fetch, out);
  deliver(outcome, out);
}

void ChunkServer::tellStillFilling(FetchId id, ServerActions& out) {
  for (const auto& [waiter, upto] : fills_.waiting(id)) out.emplace_back(Serve{waiter, upto});
}

void ChunkServer::originDone(TimePoint now, const OriginDone& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end() || known->second.source != Source::Origin) return;  // its last Got ended it
  failFetch(now, e.fetch, e.error.value_or(Error{Code::Corrupt, "the origin sent less than it said", 0}), out);
}

void ChunkServer::peerSaid(TimePoint now, const PeerSaid& e, ServerActions& out) {
  auto known = fetches_.find(e.fetch);
  if (known == fetches_.end()) return;
  Fetch& fetch = known->second;
  if (!fetch.asking || fetch.attempt != e.attempt) return;
  if (fetch.asking_former) return formerSaid(now, e.fetch, fetch, e.event, out);
  setAsking(fetch, kNoNode);
  arm(fetch, e.fetch, kNever);
  follow(now, e.fetch, fetch.walk->step(now, e.event, *map_, peers_, random_), out);
}

void ChunkServer::newMap(TimePoint now, const NewMap& e, ServerActions& out) {
  if (e.map->version() <= map_->version()) return;
  former_map_ = std::exchange(map_, e.map);
  map_since_ = now;
  std::erase_if(heard_, [this](const auto& peer) { return map_->find(peer.first) == nullptr; });
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
    fetches_.at(id).due = kNever;
    timerOf(now, now - when, id, out);
  }
}

void ChunkServer::timerOf(TimePoint now, Duration late, FetchId id, ServerActions& out) {
  Fetch& fetch = fetches_.at(id);
  if (fetch.source == Source::Queued && fills_.waiting(id).empty()) {
    failFetch(now, id, {Code::Cancelled, "nobody waits for it any more", 0}, out);
    return;
  }
  if (fetch.source != Source::Peer) {
    tellStillFilling(id, out);
    arm(fetch, id, now + limits_.silence / 4);
    return;
  }
  if (!fetch.asking) {
    follow(now, id, fetch.walk->step(now, WaitOver{}, *map_, peers_, random_), out);
    return;
  }
  if (now >= fetch.hedge_at) {
    if (!hedge(now, id, fetch, out)) arm(fetch, id, std::min(fetch.asked_at + limits_.silence, fetch.deadline));
    return;
  }
  const bool sends_to_others = heardLately(now, fetch.asked);
  if (sends_to_others && now < std::min(fetch.turn_by, fetch.deadline)) {
    arm(fetch, id, std::min({heard_[fetch.asked] + limits_.silence, fetch.turn_by, fetch.deadline}));
    return;
  }
  // It was this node that didn't look for so long: what the peer has said meanwhile is still to be read.
  if (late > limits_.silence / 8 && now < fetch.deadline) {
    arm(fetch, id, std::min(now + limits_.silence / 2, fetch.deadline));
    return;
  }
  out.emplace_back(StopPeer{id, fetch.attempt});
  if (fetch.asking_former) {
    formerSaid(now, id, fetch, TooSlow{}, out);  // it had less time than silence takes
    return;
  }
  setAsking(fetch, kNoNode);
  if (now >= fetch.deadline)  // it did say that it was filling: slow, not lost
    failFetch(now, id, {Code::DeadlineExceeded, "the owner didn't send the bytes before the fetch's deadline", 0}, out);
  else
    follow(now, id, fetch.walk->step(now, sends_to_others ? WalkEvent(TooSlow{}) : Lost{}, *map_, peers_, random_),
           out);
}

// Leaves a silent owner for one that should have a copy, and a silent copy for its owner.
bool ChunkServer::hedge(TimePoint now, FetchId id, Fetch& fetch, ServerActions& out) {
  fetch.hedge_at = kNever;
  const bool from_copy = fetch.walk && fetch.walk->choseCopy();
  if (!fetch.walk || (!from_copy && !fetch.walk->mayAskHolder())) return false;
  std::vector<NodeId> holders;
  const Owners owners = map_->owners(fetch.slot);
  for (std::size_t i = 0; i < std::min<std::size_t>(owners.size(), fetch.copies); ++i) {
    const NodeId owner = owners.all()[i];
    if (owner != self_ && owner != fetch.asked && peers_.usable(now, owner)) holders.push_back(owner);
  }
  if ((holders.empty() && !from_copy) || !hedging_.take()) return false;
  out.emplace_back(StopPeer{id, fetch.attempt});
  setAsking(fetch, kNoNode);
  fetch.hedging = true;
  follow(now, id, fetch.walk->step(now, Slow{std::move(holders)}, *map_, peers_, random_), out);
  return true;
}

void ChunkServer::awaitPeer(TimePoint now, FetchId id, Fetch& fetch) {
  fetch.turn_by = now + limits_.turn;
  arm(fetch, id, std::min({now + limits_.silence, fetch.deadline, fetch.hedge_at}));
}

bool ChunkServer::heardLately(TimePoint now, NodeId peer) const {
  const auto heard = heard_.find(peer);
  return heard != heard_.end() && now < heard->second + limits_.silence;
}

void ChunkServer::failFetch(TimePoint now, FetchId id, const Error& error, ServerActions& out) {
  const auto outcome = fills_.failed(id);
  endFetch(now, id, out);
  for (WaiterId waiter : outcome.refused) refuse(waiter, refusalOf(error), error, out);
}

void ChunkServer::endFetch(TimePoint now, FetchId id, ServerActions& out) {
  Fetch& fetch = fetches_.at(id);
  arm(fetch, id, kNever);
  if (fetch.source == Source::Queued) std::erase(fallback_queue_, id);
  setAsking(fetch, kNoNode);
  const bool frees = fetch.counts_as_fallback;
  fetches_.erase(id);
  if (!frees) return;
  --fallback_active_;
  startQueuedFallbacks(now, out);
}

void ChunkServer::startQueuedFallbacks(TimePoint now, ServerActions& out) {
  while (!fallback_queue_.empty() && fallback_active_ < limits_.max_fallback_fills) {
    const FetchId id = fallback_queue_.front();
    fallback_queue_.pop_front();
    Fetch& fetch = fetches_.at(id);
    fetch.source = Source::Origin;  // out of the queue
    if (fills_.waiting(id).empty())
      failFetch(now, id, {Code::Cancelled, "nobody waits for it any more", 0}, out);
    else
      fillHere(now, id, fetch, true, out);
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

void ChunkServer::refuse(WaiterId waiter, Refusal why, Error error, ServerActions& out, std::vector<NodeId> peers) {
  forgetWaiter(waiter);
  out.emplace_back(Refuse{waiter, why, std::move(error), std::move(peers)});
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
