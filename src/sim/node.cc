#include "sim/node.h"

#include <algorithm>

namespace forebay::sim {

using core::FetchId;
using core::kNoNode;
using core::WaiterId;

Node::Node(World& world, Network& network, Origin& origin, Checkers& checkers, NodeSetup setup)
    : world_(world),
      network_(network),
      origin_(origin),
      checkers_(checkers),
      setup_(std::move(setup)),
      server_(setup_.id, setup_.map, setup_.limits, setup_.seed),
      arena_(setup_.arena_runs),
      random_(mix64(setup_.seed)),
      names_({}) {
  network_.attach(setup_.id, *this);
}

Node::~Node() {
  *alive_ = false;
}

void Node::later(TimePoint when, Task task) {
  world_.at(when, [this, alive = alive_, task = std::move(task)]() mutable {
    if (!*alive) return;
    const TimePoint paused = network_.pausedUntil(setup_.id);
    if (paused > world_.now())
      later(paused, std::move(task));
    else
      task();
  });
}

void Node::step(const core::ServerEvent& event) {
  for (const auto& action : server_.step(world_.now(), event)) act(action);
  if (server_.fallbackFills() > setup_.limits.max_fallback_fills)
    checkers_.found("node {} counts {} fallback fills, {} are allowed", id(), server_.fallbackFills(),
                    setup_.limits.max_fallback_fills);
  armTimer();
}

void Node::armTimer() {
  const TimePoint wake = server_.wakeAt();
  if (wake >= timer_) return;
  timer_ = wake;
  later(wake, [this, wake] {
    if (timer_ == wake) timer_ = kNever;
    step(core::Tick{});
  });
}

void Node::act(const core::ServerAction& action) {
  std::visit(Overloaded{[&](const core::Serve& a) { serve(a); }, [&](const core::Refuse& a) { refuse(a); },
                        [&](const core::FetchFromOrigin& a) { fetchFromOrigin(a); },
                        [&](const core::FetchFromPeer& a) { fetchFromPeer(a); },
                        [&](const core::StopPeer& a) {
                          std::erase_if(peer_reads_, [&](const auto& entry) {
                            const auto& [call, read] = entry;
                            if (read.fetch != a.fetch || read.attempt != a.attempt) return false;
                            network_.send(id(), read.node, {call, ReadStopped{}});
                            return true;
                          });
                        },
                        [&](const core::CopyTo& a) { copyTo(a); },
                        [&](const core::WantMap& a) { wantMap(a.node, a.version); }},
             action);
}

// Readers.

void Node::read(const Piece& piece, core::RunRange runs, TimePoint deadline, BytesDone done) {
  startRead({.must_answer = true, .map_version = server_.map().version(), .deadline = deadline},
            {.piece = piece, .runs = runs, .done = std::move(done)});
}

void Node::startRead(core::Want want, Reader reader) {
  want.waiter = next_waiter_++;
  want.chunk = reader.piece.id();
  want.slot = reader.piece.slot();
  want.chunk_runs = reader.piece.runs();
  want.runs = reader.runs;
  want.present = arena_.present(want.chunk);
  want.copies = setup_.read_copies;
  reader.served = reader.runs.first;
  pieces_[want.chunk] = reader.piece;
  arena_.hold(want.chunk);
  readers_[want.waiter] = std::move(reader);
  step(want);
}

void Node::serve(const core::Serve& a) {
  auto known = readers_.find(a.waiter);
  if (known == readers_.end()) {
    checkers_.found("node {} serves waiter {}, who isn't there", id(), a.waiter);
    return;
  }
  Reader& reader = known->second;
  const core::ChunkId chunk = reader.piece.id();
  const bool last = a.upto >= reader.runs.end;
  if (a.upto == reader.served && reader.from != kNoNode) network_.send(id(), reader.from, {reader.call, ReadBytes{}});
  for (; reader.served < a.upto; ++reader.served) {
    const auto token = arena_.get(chunk, reader.served);
    if (!token) checkers_.found("node {} serves run {} of {:x}, which it doesn't hold", id(), reader.served, chunk.hi);
    if (reader.from == kNoNode)
      reader.tokens.push_back(token.value_or(0));
    else
      network_.send(id(), reader.from,
                    {reader.call, ReadBytes{.first = reader.served,
                                            .tokens = {token.value_or(0)},
                                            .last = last && reader.served + 1 == reader.runs.end}});
  }
  if (!last) return;
  if (reader.done)
    world_.after(Duration{0}, [done = std::move(reader.done), tokens = std::move(reader.tokens)]() mutable {
      done(std::move(tokens));
    });
  endReader(a.waiter);
}

void Node::refuse(const core::Refuse& a) {
  auto known = readers_.find(a.waiter);
  if (known == readers_.end()) {
    checkers_.found("node {} refuses waiter {}, who isn't there", id(), a.waiter);
    return;
  }
  Reader& reader = known->second;
  if (reader.from == kNoNode)
    world_.after(Duration{0}, [done = std::move(reader.done), error = a.error]() mutable { done(fail(error)); });
  else
    network_.send(id(), reader.from, {reader.call, ReadRefused{a.why, a.error, server_.map().version(), a.peers}});
  endReader(a.waiter);
}

void Node::endReader(WaiterId waiter) {
  auto known = readers_.find(waiter);
  arena_.release(known->second.piece.id());
  readers_.erase(known);
}

// Fetches.

// Whether no map of the run has this node as the primary: not asking the ChunkServer what it thinks.
bool Node::isFallback(const core::FetchFromOrigin& a) const {
  const core::Slot slot = pieces_.at(a.chunk).slot();
  return std::ranges::none_of(setup_.every_map,
                              [&](const SharedMap& map) { return map->owners(slot).primary() == id(); });
}

void Node::fetchFromOrigin(const core::FetchFromOrigin& a) {
  from_origin_.insert(a.fetch);
  if (isFallback(a)) as_fallback_.insert(a.fetch);
  if (as_fallback_.size() > setup_.limits.max_fallback_fills)
    checkers_.found("node {} has {} fills from the origin of what others own", id(), as_fallback_.size());
  const auto end = [this, fetch = a.fetch](const std::optional<Error>& error) {
    if (from_origin_.erase(fetch) == 0) return;
    as_fallback_.erase(fetch);
    step(core::OriginDone{fetch, error});
  };
  origin_.get(
      pieces_.at(a.chunk), a.runs,
      [this, alive = alive_, a, end](std::uint32_t run, Token token) {
        if (!*alive) return;
        later(world_.now(), [this, a, end, run, token] {
          if (!from_origin_.contains(a.fetch)) return;
          if (run + 1 == a.runs.end) as_fallback_.erase(a.fetch);  // nothing more comes
          if (arena_.put(a.chunk, run, token)) {
            step(core::Got{a.fetch, run + 1});
            const Piece& piece = pieces_.at(a.chunk);
            if (setup_.read_copies > 1 && arena_.present(a.chunk).count() == piece.runs())
              step(core::Complete{a.chunk, piece.slot(), setup_.read_copies});
          } else
            end(Error{Code::Busy, "the arena is full of what is being read", 20});
        });
      },
      [this, alive = alive_, end](const std::optional<Error>& error) {
        if (*alive) later(world_.now(), [end, error] { end(error); });
      });
}

void Node::fetchFromPeer(const core::FetchFromPeer& a) {
  if (a.node == id()) checkers_.found("node {} asks itself", id());
  if (a.attempt > setup_.limits.walk.max_asks)
    checkers_.found("node {} asks for the {}th time for one fetch", id(), a.attempt);
  const CallId call = network_.newCall();
  peer_reads_[call] = {a.node, a.fetch, a.attempt, a.chunk, a.runs.first};
  network_.send(id(), a.node,
                {call, ReadAsked{.piece = pieces_.at(a.chunk),
                                 .runs = a.runs,
                                 .relay = a.relay,
                                 .fallback = a.fallback,
                                 .no_fill = a.no_fill,
                                 .insist = a.insist,
                                 .map_version = server_.map().version()}});
}

// Lost on the way, or never made: after a while the owner thinks of other copies again.
void Node::copyTo(const core::CopyTo& a) {
  const CallId call = network_.newCall();
  copies_[call] = a;
  network_.send(id(), a.node, {call, CopyAsked{pieces_.at(a.chunk)}});
  later(world_.now() + setup_.limits.fetch_deadline, [this, call] { endCopy(call, false); });
}

void Node::endCopy(CallId call, bool done) {
  const auto copy = copies_.extract(call);
  if (!copy.empty()) step(core::Copied{copy.mapped().chunk, copy.mapped().node, done});
}

void Node::on(NodeId from, CallId call, const CopyAsked& m) {
  startRead({.must_answer = true,
             .keep = true,
             .map_version = server_.map().version(),
             .deadline = world_.now() + setup_.limits.fetch_deadline},
            {.piece = m.piece, .runs = {0, m.piece.runs()}, .done = [this, from, call](const auto& tokens) {
               network_.send(id(), from, {call, CopySaid{tokens.has_value()}});
             }});
}

void Node::on(NodeId, CallId call, const CopySaid& m) {
  endCopy(call, m.done);
}

void Node::wantMap(NodeId node, std::uint64_t version) {
  std::uint64_t& asked = maps_asked_[node];
  if (asked >= version)
    return;  // on its way. If it gets lost the next that asks for a newer one, or learn(), brings it
  asked = version;
  network_.send(id(), node, {network_.newCall(), MapAsked{}});
  later(world_.now() + 100ms, [this, node] { maps_asked_.erase(node); });
}

void Node::learn(const SharedMap& map) {
  if (map->version() <= server_.map().version()) return;
  step(core::NewMap{map});
  std::vector<std::string> paths;
  for (const auto& [path, fetch] : plan_fetches_) paths.push_back(path);
  for (const std::string& path : paths) stepPlan(path, core::MapArrived{});
}

// What peers say.

void Node::receive(NodeId from, const Message& message) {
  std::visit([&](const auto& body) { on(from, message.call, body); }, message.body);
}

void Node::unreachable(NodeId peer) {
  std::vector<PeerRead> reads;
  std::erase_if(peer_reads_, [&](const auto& entry) {
    if (entry.second.node != peer) return false;
    reads.push_back(entry.second);
    return true;
  });
  std::vector<WaiterId> gone;
  for (const auto& [waiter, reader] : readers_)
    if (reader.from == peer) gone.push_back(waiter);
  std::vector<std::string> paths;
  for (const auto& [path, fetch] : plan_fetches_)
    if (fetch.call != 0 && fetch.node == peer) paths.push_back(path);
  for (WaiterId waiter : gone) {
    endReader(waiter);
    step(core::Left{waiter});
  }
  for (const PeerRead& read : reads) step(core::PeerSaid{read.fetch, read.attempt, core::Lost{}});
  for (const std::string& path : paths) stepPlan(path, core::Lost{});
}

void Node::on(NodeId from, CallId call, const ReadAsked& m) {
  startRead({.must_answer = m.relay,
             .relayed = m.relay,
             .fallback = m.fallback,
             .no_fill = m.no_fill,
             .may_ask = !m.relay && !m.no_fill,
             .insist = m.insist,
             .asker = from,
             .map_version = m.map_version,
             .deadline = world_.now() + setup_.limits.fetch_deadline},
            {.piece = m.piece, .runs = m.runs, .from = from, .call = call});
}

void Node::on(NodeId, CallId call, const ReadBytes& m) {
  auto known = peer_reads_.find(call);
  if (known == peer_reads_.end()) return;
  const PeerRead read = known->second;
  if (m.spoiled) {
    network_.send(id(), read.node, {call, ReadStopped{}});
    peer_reads_.erase(known);
    step(core::PeerSaid{read.fetch, read.attempt, core::BadBytes{}});
    return;
  }
  if (m.tokens.empty()) {
    step(core::Got{read.fetch, 0});
    return;
  }
  if (m.first != read.next) checkers_.found("node {} got run {} where {} was next", id(), m.first, read.next);
  std::uint32_t run = m.first;
  for (Token token : m.tokens) {
    if (!arena_.put(read.chunk, run, token)) {
      network_.send(id(), read.node, {call, ReadStopped{}});
      peer_reads_.erase(known);
      step(core::PeerSaid{read.fetch, read.attempt, core::Refused{{Code::Busy, "the arena is full", 20}}});
      return;
    }
    ++run;
  }
  known->second.next = run;
  if (m.last) peer_reads_.erase(known);
  step(core::Got{read.fetch, run});
  if (m.last) step(core::PeerSaid{read.fetch, read.attempt, core::Answered{}});
}

void Node::on(NodeId, CallId call, const ReadRefused& m) {
  auto known = peer_reads_.find(call);
  if (known == peer_reads_.end()) return;
  const PeerRead read = known->second;
  peer_reads_.erase(known);
  core::WalkEvent event = core::Refused{m.error};
  if (m.why == core::Refusal::Miss) event = core::MissThere{};
  if (m.why == core::Refusal::Ask) event = core::AskThere{m.peers};
  if (m.why == core::Refusal::Moved) event = core::Moved{m.map_version};
  if (m.why == core::Refusal::Busy) event = core::BusyThere{Duration(1ms) * m.error.retry_after_ms};
  step(core::PeerSaid{read.fetch, read.attempt, event});
}

void Node::on(NodeId from, CallId call, const ReadStopped&) {
  for (const auto& [waiter, reader] : readers_) {
    if (reader.from != from || reader.call != call) continue;
    const WaiterId left = waiter;
    endReader(left);
    step(core::Left{left});
    return;
  }
}

void Node::on(NodeId from, CallId call, const MapAsked&) {
  network_.send(id(), from, {call, MapSaid{server_.sharedMap()}});
}

void Node::on(NodeId, CallId, const MapSaid& m) {
  learn(m.map);
}

void Node::expectIdle() {
  if (!readers_.empty() || server_.waiters() != 0)
    checkers_.found("node {}: {} readers ({}) still wait", id(), readers_.size(), server_.waiters());
  if (server_.fetches() != 0) checkers_.found("node {}: {} fetches are left", id(), server_.fetches());
  if (server_.fallbackFills() != 0 || !as_fallback_.empty())
    checkers_.found("node {}: {} fallback fills are left", id(), server_.fallbackFills());
  if (server_.wakeAt() != kNever) checkers_.found("node {}: a timer is left", id());
  if (!from_origin_.empty()) checkers_.found("node {}: {} origin ranges are left", id(), from_origin_.size());
  if (!peer_reads_.empty()) checkers_.found("node {}: {} reads from peers are left", id(), peer_reads_.size());
  if (!plan_fetches_.empty() || names_.waiters() != 0)
    checkers_.found("node {}: {} plans are still fetched for {}", id(), plan_fetches_.size(), names_.waiters());
  if (arena_.held() != 0) checkers_.found("node {}: {} chunks are still held", id(), arena_.held());
  if (arena_.runs() > setup_.arena_runs) checkers_.found("node {}: {} runs in the arena", id(), arena_.runs());
}

}  // namespace forebay::sim
