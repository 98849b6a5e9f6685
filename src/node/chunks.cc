#include "node/chunks.h"

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/log.h"
#include "reader/owner_calls.h"

namespace forebay::node {
namespace {
constexpr Duration kPeerDeadline = 60s;  // of one attempt; a peer that is silent is given up long before
constexpr Duration kRoomDeadline = 20s;  // for room in the arena
constexpr Duration kRoomRetry = 10ms;
constexpr Duration kRoomWord = 500ms;  // a quarter of the silence that the core bears
}  // namespace

// One attempt to bring runs of a chunk into a place in the arena, from its first byte to its last.
class ChunkService::Fetch {
 public:
  Fetch(ChunkService& service, core::FetchId id, ChunkInfo chunk, store::Reservation place, Mount& mount,
        const std::shared_ptr<core::Inflow>& inflow)
      : service_(service), id_(id), chunk_(std::move(chunk)), place_(std::move(place)), mount_(mount) {
    if (!inflow->counts(place_.size())) return;
    inflow_ = inflow;
    inflow_->began(io::Reactor::now());
  }
  virtual ~Fetch() { over(); }

  const core::Plan& plan() const { return *chunk_.plan; }
  // The service goes away; an origin's call may keep this object until later, but not its place in the arena.
  void letGo() {
    over();
    place_.abandon();
  }

 protected:
  // Nothing comes any more. In the loop: whoever keeps this object later may be another thread.
  void over() {
    if (const auto inflow = std::exchange(inflow_, nullptr)) inflow->ended(io::Reactor::now());
  }

  // Granules from the place's start that have arrived with these checksums.
  void commit(std::span<const std::uint32_t> crcs) {
    if (place_.committedGranules() == 0) service_.traces_[id_].first_byte = io::Reactor::now();
    const std::uint32_t before = place_.committedBytes();
    place_.commit(crcs);
    if (inflow_ != nullptr) inflow_->came(io::Reactor::now(), place_.committedBytes() - before);
    const bool whole = place_.complete();
    const std::uint32_t upto = whole ? place_.runs().end : place_.runs().first + place_.committedBytes() / core::kRun;
    if (upto == told_) return;
    told_ = upto;
    service_.feed(core::Got{id_, upto});
    if (whole && mount_.read_copies > 1 && service_.holdsAll(chunk_))
      service_.feed(core::Complete{.chunk = core::chunkId(plan().key, chunk_.index),
                                   .slot = core::slotOfChunk(plan().key, plan().first_slot, chunk_.index),
                                   .copies = mount_.read_copies});
  }

  ChunkService& service_;
  const core::FetchId id_;
  ChunkInfo chunk_;
  store::Reservation place_;
  Mount& mount_;
  std::uint32_t told_ = 0;
  std::shared_ptr<core::Inflow> inflow_;  // null: too small to count
};

// From the origin: bytes come in order, in portions of any size; checksums are made here.
class ChunkService::OriginFetch : public Fetch, public origin::ByteSink {
 public:
  using Fetch::Fetch;

  void start(const std::shared_ptr<OriginFetch>& self) {
    const std::uint64_t offset = (std::uint64_t{chunk_.index} << plan().chunk_bits) + place_.chunkOffset();
    mount_.origin->get(plan().path, plan().version, offset, place_.size(), *this,
                       io::Reactor::now() + mount_.request_timeout,
                       [self, alive = std::weak_ptr(service_.alive_)](Status status) {
                         if (!alive.expired()) self->done(std::move(status));
                       });
  }

  MutableBytes room() override { return place_.roomAt(at_); }

  void wrote(std::size_t n) override {
    Bytes bytes = Bytes(place_.roomAt(at_)).first(n);
    std::uint32_t crcs[64];
    std::size_t made = 0;
    while (!bytes.empty()) {
      const std::uint32_t left_in_granule = core::kGranule - at_ % core::kGranule;
      const auto now = bytes.first(std::min<std::size_t>(bytes.size(), left_in_granule));
      crc_ = crc32c(now, crc_);
      at_ += static_cast<std::uint32_t>(now.size());
      bytes = bytes.subspan(now.size());
      if (at_ % core::kGranule != 0 && at_ != place_.size()) continue;
      crcs[made++] = std::exchange(crc_, 0);
      if (made == std::size(crcs)) {
        commit(crcs);
        made = 0;
      }
    }
    if (made > 0) commit(std::span(crcs, made));
  }

 private:
  void done(Status status) {
    over();
    ChunkService& service = service_;
    const auto id = id_;
    std::optional<Error> error;
    if (!status) {
      error = std::move(status.error());
      if (error->code == Code::Gone && service.deps_.gone) service.deps_.gone(plan());
    }
    service.origin_fetches_.erase(id);  // `self` in the callback keeps this object
    place_.abandon();
    service.feed(core::OriginDone{id, std::move(error)});
  }

  std::uint32_t at_ = 0;   // bytes of the place that have been written
  std::uint32_t crc_ = 0;  // of the granule that is being written
};

// From a peer: whole granules in order, with their checksums, already verified.
class ChunkService::PeerFetch : public Fetch, public reader::ReadObserver {
 public:
  PeerFetch(ChunkService& service, core::FetchId id, ChunkInfo chunk, store::Reservation place, Mount& mount,
            std::uint32_t attempt)
      : Fetch(service, id, std::move(chunk), std::move(place), mount, service.from_peers_), attempt_(attempt) {}

  void start(reader::Channel& channel, const core::FetchFromPeer& a) {
    channel_ = &channel;
    const wire::ReadObject object = wire::ReadObject::of(plan());
    wire::ReadItem item;
    item.range = {chunk_.index, place_.chunkOffset(), place_.size()};
    if (a.relay) item.flags |= wire::kRelay;
    if (a.fallback) item.flags |= wire::kFallback;
    if (a.no_fill) item.flags |= wire::kNoFill;
    if (a.insist) item.flags |= wire::kInsist;
    request_ =
        channel.read({.objects = {&object, 1}, .items = {&item, 1}, .map_version = service_.deps_.cell.map().version()},
                     *this, io::Reactor::now() + kPeerDeadline);
  }
  void stop() {
    if (channel_ != nullptr) channel_->cancel(request_);
  }
  std::uint32_t attempt() const { return attempt_; }

  void room(std::uint16_t, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    if (offset != place_.chunkOffset() + place_.committedBytes()) return;  // out of order: not taken, and told below
    std::uint32_t at = offset - place_.chunkOffset();
    while (length > 0) {
      MutableBytes room = place_.roomAt(at);
      room = room.first(std::min<std::size_t>(room.size(), length));
      if (room.empty()) return;
      target.add(room);
      at += static_cast<std::uint32_t>(room.size());
      length -= static_cast<std::uint32_t>(room.size());
    }
  }

  void arrived(std::uint16_t, const wire::ReadDataView& view) override {
    const auto& head = view.head();
    const std::uint32_t end = head.offset + head.length - place_.chunkOffset();
    const bool in_order = head.offset == place_.chunkOffset() + place_.committedBytes();
    const bool whole_granules = end % core::kGranule == 0 || end == place_.size();
    if (!in_order || !whole_granules) {
      odd_ = true;
      return;
    }
    mount_.metrics->peer_bytes.add(head.length);
    if (service_.deps_.cell.direct(id_)) mount_.metrics->direct_bytes.add(head.length);
    std::uint32_t crcs[wire::kMaxPieces];
    for (std::size_t i = 0; i < view.checksums(); ++i) crcs[i] = view.checksum(i);
    commit(std::span(crcs, view.checksums()));
  }

  void filling(std::uint16_t) override { service_.feed(core::Got{id_, 0}); }

  void finished(std::uint16_t, const reader::ItemResult& result) override {
    if (odd_) return say(core::BadBytes{});
    switch (result.outcome) {
      case wire::ReadOutcome::Ok:
        return say(core::Answered{});
      case wire::ReadOutcome::Moved:
        return say(core::Moved{result.map_version});
      case wire::ReadOutcome::Ask:
        return say(core::AskThere{{result.peers.begin(), result.peers.end()}});
      case wire::ReadOutcome::Miss:
        return say(core::MissThere{});
      case wire::ReadOutcome::Busy:
        return say(core::BusyThere{std::chrono::milliseconds(result.error.retry_after_ms)});
      case wire::ReadOutcome::Gone:
        if (service_.deps_.gone) service_.deps_.gone(plan());
        return say(core::Refused{{Code::Gone, result.error.message, 0}});
      default:
        break;
    }
    if (result.error.code == Code::Corrupt) return say(core::BadBytes{});
    if (result.error.code == Code::Cancelled) return say(core::Lost{});
    say(core::Refused{result.error});  // the owner's word: it has tried what can be tried
  }

  void done(Status status) override {
    channel_ = nullptr;
    const auto keep = service_.peer_fetches_.extract(id_);  // this object lives until the end of this call
    if (!status) say(reader::walkEventOf(status.error()));
    place_.abandon();
    if (event_) service_.feed(core::PeerSaid{id_, attempt_, std::move(*event_)});
  }

 private:
  // What the attempt came to; told when nothing of it touches the place any more (done), so that the next can have it.
  void say(core::WalkEvent event) {
    if (!event_) event_ = std::move(event);
  }

  const std::uint32_t attempt_;
  reader::Channel* channel_ = nullptr;
  reader::RequestId request_ = 0;
  bool odd_ = false;
  std::optional<core::WalkEvent> event_;
};

ChunkService::ChunkService(Deps deps) : deps_(std::move(deps)) {}

ChunkService::~ChunkService() {
  alive_.reset();
  for (auto& [id, fetch] : peer_fetches_) fetch->stop();
  for (auto& [id, fetch] : origin_fetches_) fetch->letGo();
  if (timer_ != 0) deps_.reactor.cancel(timer_);
  if (room_timer_ != 0) deps_.reactor.cancel(room_timer_);
}

core::WaiterId ChunkService::want(SharedPlan plan, core::ChunkRange range, const WantOptions& options, Waiter& waiter) {
  const core::WaiterId id = next_waiter_++;
  core::Want want;
  want.waiter = id;
  want.chunk = core::chunkId(plan->key, range.chunk);
  want.slot = core::slotOfChunk(plan->key, plan->first_slot, range.chunk);
  want.chunk_runs = core::runsOf(0, plan->chunkLength(range.chunk)).end;
  want.runs = core::runsOf(range.offset, range.length);
  want.present = deps_.arena.present(plan->key, range.chunk);
  want.must_answer = options.must_answer;
  want.relayed = options.relayed;
  want.fallback = options.fallback;
  want.no_fill = options.no_fill;
  want.may_ask = options.may_ask;
  want.insist = options.insist;
  want.keep = options.keep;
  want.spare = options.spare;
  const Mount* mount = deps_.mounts.find(plan->mount);
  want.copies = mount == nullptr ? 1 : mount->read_copies;
  want.wide = options.wide;
  want.asker = options.asker;
  want.map_version = options.map_version;
  want.deadline = options.deadline;
  waiters_.emplace(id, Waiting{&waiter, want.runs.end});
  chunks_.try_emplace(want.chunk, ChunkInfo{std::move(plan), range.chunk});
  feed(want);
  return id;
}

std::vector<core::NodeId> ChunkService::inMyStead(const SharedPlan& plan, core::ChunkRange range,
                                                  const WantOptions& options) {
  const core::ChunkId chunk = core::chunkId(plan->key, range.chunk);
  core::ServerActions actions;
  auto others = deps_.cell.inMyStead(io::Reactor::now(),
                                     {.chunk = chunk,
                                      .slot = core::slotOfChunk(plan->key, plan->first_slot, range.chunk),
                                      .runs = core::runsOf(range.offset, range.length).size(),
                                      .chunk_runs = core::runsOf(0, plan->chunkLength(range.chunk)).end,
                                      .asker = options.asker,
                                      .may_ask = options.may_ask,
                                      .insist = options.insist},
                                     actions);
  if (!actions.empty()) chunks_.try_emplace(chunk, ChunkInfo{plan, range.chunk});
  for (const auto& action : actions) act(action);
  return others;
}

void ChunkService::left(core::WaiterId waiter) {
  if (waiters_.erase(waiter) > 0) feed(core::Left{waiter});
}

void ChunkService::newMap(std::shared_ptr<const core::SlotMap> map) {
  feed(core::NewMap{std::move(map)});
}

Duration ChunkService::timeFor(std::uint64_t from_peers, std::uint64_t from_origin) const {
  // One after the other: both come over this machine's network.
  const TimePoint now = io::Reactor::now();
  return from_peers_->timeFor(now, from_peers) + from_origin_->timeFor(now, from_origin);
}

namespace {
core::FetchId fetchOf(const core::ServerEvent& event) {
  return std::visit(
      Overloaded{[](const core::Got& e) { return e.fetch; }, [](const core::OriginDone& e) { return e.fetch; },
                 [](const core::PeerSaid& e) { return e.fetch; }, [](const auto&) { return core::FetchId{0}; }},
      event);
}
}  // namespace

void ChunkService::tell(Waiter& waiter) const {
  const auto trace = traces_.find(stepping_);
  if (trace != traces_.end()) waiter.traced(trace->second);
}

void ChunkService::attempted(core::FetchId fetch, core::NodeId from) {
  FetchTrace& trace = traces_[fetch];
  const TimePoint first = trace.attempts == 0 ? io::Reactor::now() : trace.first_asked;
  trace = {.from = from, .attempts = trace.attempts + 1, .first_asked = first, .asked = io::Reactor::now()};
}

// Events are handled in order, each after the actions of the one before, and never inside the call that caused them:
// no waiter is called back while it calls.
void ChunkService::feed(core::ServerEvent event) {
  events_.push_back(std::move(event));
  if (draining_ || drain_posted_) return;
  drain_posted_ = true;
  deps_.reactor.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) drain();
  });
}

void ChunkService::drain() {
  drain_posted_ = false;
  draining_ = true;
  while (!events_.empty()) {
    const core::ServerEvent event = std::move(events_.front());
    events_.pop_front();
    stepping_ = fetchOf(event);
    for (const auto& action : deps_.cell.step(io::Reactor::now(), event)) act(action);
  }
  stepping_ = 0;
  draining_ = false;
  dropIdleChunks();
  rearm();
}

void ChunkService::act(const core::ServerAction& action) {
  std::visit(Overloaded{
                 [&](const core::Serve& a) {
                   auto known = waiters_.find(a.waiter);
                   if (known == waiters_.end()) return;
                   Waiter* waiter = known->second.waiter;
                   if (a.upto >= known->second.end) {  // served whole
                     waiters_.erase(known);
                     tell(*waiter);
                   }
                   waiter->ready(a.upto * core::kRun);
                 },
                 [&](const core::Refuse& a) {
                   auto known = waiters_.extract(a.waiter);
                   if (known.empty()) return;
                   tell(*known.mapped().waiter);
                   if (a.why == core::Refusal::Ask)
                     known.mapped().waiter->askOthers(a.peers);
                   else
                     known.mapped().waiter->refused(a.why, a.error);
                 },
                 [&](const core::FetchFromOrigin& a) {
                   attempted(a.fetch, core::kNoNode);
                   waitForRoom({a, {}, {}});
                 },
                 [&](const core::FetchFromPeer& a) {
                   attempted(a.fetch, a.node);
                   waitForRoom({a, {}, {}});
                 },
                 [&](const core::StopPeer& a) {
                   std::erase_if(waiting_for_room_, [&](const NeedsRoom& w) {
                     const auto* peer = std::get_if<core::FetchFromPeer>(&w.action);
                     return peer != nullptr && peer->fetch == a.fetch;
                   });
                   auto known = peer_fetches_.find(a.fetch);
                   if (known == peer_fetches_.end() || known->second->attempt() != a.attempt) return;
                   known->second->stop();
                   peer_fetches_.erase(known);
                 },
                 [&](const core::CopyTo& a) { copyTo(a); },
                 [&](const core::WantMap& a) {
                   if (deps_.pull_map) deps_.pull_map(a.node, a.version);
                 },
             },
             action);
}

// The first of a fetch's runs may be here already: the core gave a peer up in the moment in which they came. They
// mustn't come twice (the arena has no second place for them), and the core hears of them.
core::RunRange ChunkService::stillMissing(core::FetchId fetch, const ChunkInfo& chunk, core::RunRange runs) {
  const core::RunSet present = deps_.arena.present(chunk.plan->key, chunk.index);
  const std::uint32_t first = runs.first;
  while (!runs.empty() && present.has(runs.first)) ++runs.first;
  if (runs.first != first) feed(core::Got{fetch, runs.first});
  return runs;
}

bool ChunkService::fetchFromOrigin(const core::FetchFromOrigin& a) {
  const ChunkInfo& chunk = chunks_.at(a.chunk);
  const auto failed = [&](Error error) {
    feed(core::OriginDone{a.fetch, std::move(error)});
    return true;
  };
  Mount* mount = deps_.mounts.find(chunk.plan->mount);
  if (mount == nullptr) return failed({Code::NotFound, "this node has no such mount", 0});
  const core::RunRange runs = stillMissing(a.fetch, chunk, a.runs);
  if (runs.empty()) return true;
  auto place =
      deps_.arena.reserve(io::Reactor::now(), *chunk.plan, {.chunk = chunk.index, .runs = runs, .transit = !a.keep});
  if (!place) return place.error().code != Code::Busy && failed(std::move(place.error()));
  auto fetch = std::make_shared<OriginFetch>(*this, a.fetch, chunk, std::move(*place), *mount, from_origin_);
  origin_fetches_[a.fetch] = fetch;
  traces_[a.fetch].placed = io::Reactor::now();
  fetch->start(fetch);
  return true;
}

bool ChunkService::fetchFromPeer(const core::FetchFromPeer& a) {
  const ChunkInfo& chunk = chunks_.at(a.chunk);
  const auto say = [&](core::WalkEvent event) {
    feed(core::PeerSaid{a.fetch, a.attempt, std::move(event)});
    return true;
  };
  Mount* mount = deps_.mounts.find(chunk.plan->mount);
  if (mount == nullptr) return say(core::Refused{{Code::NotFound, "this node has no such mount", 0}});
  reader::Channel* channel = deps_.channels.to(a.node, deps_.cell.map());
  if (channel == nullptr) return say(core::Lost{});
  const core::RunRange runs = stillMissing(a.fetch, chunk, a.runs);
  if (runs.empty()) return true;
  const bool keep_copy = mount->keep_remote == KeepRemote::Always || (a.hot && mount->keep_remote == KeepRemote::Hot);
  // Copies that a mount is to have (read_copies) are as good as what this node owns: others' loss must cost nothing.
  const bool spare = a.keep ? a.spare || (a.copy && mount->read_copies == 1) : keep_copy;
  auto place =
      deps_.arena.reserve(io::Reactor::now(), *chunk.plan,
                          {.chunk = chunk.index, .runs = runs, .transit = !a.keep && !keep_copy, .copy = spare});
  if (!place) return place.error().code != Code::Busy && say(core::Refused{std::move(place.error())});
  if (a.hedge) mount->metrics->hedges.add();
  auto fetch = std::make_shared<PeerFetch>(*this, a.fetch, chunk, std::move(*place), *mount, a.attempt);
  peer_fetches_[a.fetch] = fetch;
  traces_[a.fetch].placed = io::Reactor::now();
  fetch->start(*channel, a);
  return true;
}

// ---- waiting for room ----

bool ChunkService::start(const NeedsRoom& waiting) {
  return std::visit(Overloaded{[&](const core::FetchFromOrigin& a) { return fetchFromOrigin(a); },
                               [&](const core::FetchFromPeer& a) { return fetchFromPeer(a); }},
                    waiting.action);
}

void ChunkService::waitForRoom(NeedsRoom waiting) {
  // First come, first served: a small fetch doesn't overtake a large one for ever.
  if (waiting_for_room_.empty() && start(waiting)) return;
  const TimePoint now = io::Reactor::now();
  waiting.until = now + kRoomDeadline;
  waiting.next_word = now + kRoomWord;
  waiting_for_room_.push_back(std::move(waiting));
  if (room_timer_ == 0) room_timer_ = deps_.reactor.after(kRoomRetry, [this] { startWaiting(); });
}

void ChunkService::startWaiting() {
  room_timer_ = 0;
  const TimePoint now = io::Reactor::now();
  while (!waiting_for_room_.empty() && start(waiting_for_room_.front())) waiting_for_room_.pop_front();
  while (!waiting_for_room_.empty() && waiting_for_room_.front().until <= now) {
    roomless(waiting_for_room_.front());
    waiting_for_room_.pop_front();
  }
  for (NeedsRoom& waiting : waiting_for_room_) {
    const auto* peer = std::get_if<core::FetchFromPeer>(&waiting.action);
    if (peer == nullptr || waiting.next_word > now) continue;
    waiting.next_word = now + kRoomWord;
    feed(core::Got{peer->fetch, 0});
  }
  if (!waiting_for_room_.empty()) room_timer_ = deps_.reactor.after(kRoomRetry, [this] { startWaiting(); });
}

void ChunkService::roomless(const NeedsRoom& waiting) {
  const Error error{Code::Busy,
                    "no room in the arena: everything in it is in use; read less at once or raise node.memory", 100};
  std::visit(
      Overloaded{[&](const core::FetchFromOrigin& a) { feed(core::OriginDone{a.fetch, error}); },
                 [&](const core::FetchFromPeer& a) { feed(core::PeerSaid{a.fetch, a.attempt, core::Refused{error}}); }},
      waiting.action);
}

bool ChunkService::holdsAll(const ChunkInfo& chunk) const {
  return deps_.arena.present(chunk.plan->key, chunk.index).count() ==
         core::runsOf(0, chunk.plan->chunkLength(chunk.index)).end;
}

void ChunkService::copyTo(const core::CopyTo& a) {
  const ChunkInfo& chunk = chunks_.at(a.chunk);
  Mount* const mount = deps_.mounts.find(chunk.plan->mount);
  const bool asked = mount != nullptr && copies_.ask(a.node, *chunk.plan, chunk.index, [this, a, mount](bool done) {
    if (done) mount->metrics->copies.add();
    feed(core::Copied{a.chunk, a.node, done});
  });
  if (!asked) feed(core::Copied{a.chunk, a.node, false});
}

void ChunkService::rearm() {
  const TimePoint due = deps_.cell.wakeAt();
  if (due == timer_due_ && (timer_ != 0 || due == kNever)) return;
  if (timer_ != 0) deps_.reactor.cancel(timer_);
  timer_ = 0;
  timer_due_ = due;
  if (due == kNever) return;
  timer_ = deps_.reactor.at(due, [this] {
    timer_ = 0;
    feed(core::Tick{});
  });
}

void ChunkService::dropIdleChunks() {
  if (traces_.size() > 64 + 2 * deps_.cell.fetches())
    std::erase_if(traces_, [&](const auto& entry) { return !deps_.cell.fetching(entry.first); });
  const std::size_t in_use = deps_.cell.fetches() + deps_.cell.waiters();
  if (chunks_.size() <= 64 + 2 * in_use) return;
  std::erase_if(chunks_,
                [&](const auto& entry) { return !deps_.cell.busy(entry.first) && !deps_.cell.copyDue(entry.first); });
}

}  // namespace forebay::node
