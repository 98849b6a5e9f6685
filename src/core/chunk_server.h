// What a node does about a range of a chunk that it doesn't wholly hold: the decisions between a request and its bytes.
//
// Whoever asks, one rule: an owner fills from the origin; a node that isn't one answers a peer with Moved, and serves
// its own clients (and relayed requests) by fetching from an owner. Either way a missing run comes to this node once
// (FillTable), and everybody who waits for it is served while it arrives.
//
//   Want       a reader needs runs of a chunk
//   Got        runs of a fetch are in the arena, whoever they came from; or a peer said that they are on their way
//   OriginDone, PeerSaid     how a fetch's attempt ended
//   Complete   this node filled the last missing run of a chunk whose mount has copies
//   Copied     a copy that this node asked another one to make is there, or isn't
//   Left       a reader went away
//   NewMap, Tick             the slot table changed; time passed
//
// Copies. The primary of a chunk that its mount has copies of asks the alternates to make them (CopyTo), a few at a
// time, in the background. A hot chunk's owner answers with who else has it (Refusal::Ask, see core/spread.h); where
// nobody has it, it asks an alternate to.
//
// A new owner asks who owned the slot under the map before, whether they have the chunk, before it goes to the origin.
//
// Fallback: while a primary can't be reached, an alternate or the reader's own node fills in its place. Such fills take
// at most a quarter of the origin's concurrency (`max_fallback_fills`) and wait in line for it: a cell that lost many
// nodes mustn't turn every reader into a client of the origin.
//
// Silence: a peer that sends nothing for `silence` is Lost: paused, cut off or overloaded, it costs that long once. A
// peer that sends to other fetches is there: one that hears nothing meanwhile waits for its turn on a busy connection,
// five times as long (giving it up would make the next owner fill, from the origin, what the first is about to send). A
// slow origin isn't silence: while a fill waits for it, everybody who waits for the fill is told so four times within
// `silence` (a Serve that adds nothing: the node sends a peer an empty FILLING frame), and a node that is told so by
// the peer it asked (a Got that adds nothing) passes it on. Otherwise each owner in turn would be given up and fill the
// same bytes again from an origin that is slow already. The word starts at a fill only, so that nodes that wait for
// each other in a circle, which maps that differ can make, still hear silence. A node whose own tick came late (its
// machine was busy or paused) has heard nothing because it didn't listen: it reads what has come before it judges.
//
// Hedging: where the mount has copies (Want::copies), an owner that says nothing for longer than answers take lately
// (core/hedging.h) is left for one of the alternates, which must not fill; if that one hasn't got it after all, the
// owner is asked again. A copy that was asked before its busier owner is left for the owner. Bytes never come twice:
// the first question is taken back.
//
// A fetch outlives the readers who wanted it while its bytes are coming; it isn't tried again for nobody.
//
// Pure: no clock, no I/O; the node and the simulator run the same code. One thread at a time. Call step() with Tick
// at wakeAt().
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <variant>
#include <vector>

#include "core/fill_table.h"
#include "core/hedging.h"
#include "core/owner_walk.h"
#include "core/peers.h"
#include "core/slot_map.h"
#include "core/spread.h"

namespace forebay::core {

struct ServerLimits {
  FillLimits fill;
  WalkLimits walk;
  std::size_t max_fallback_fills = 16;  // a quarter of the origin's concurrency (64)
  SpreadLimits spread;
  HedgeLimits hedge;
  std::size_t max_copying = 4;                     // copies that others make for this node at once
  std::size_t max_copies_due = 8'192;              // that wait for that; beyond, a copy isn't made
  Duration former_for = std::chrono::minutes(10);  // how long owners of the map before are asked
  Duration silence = 2s;                           // a peer's, in the middle of an answer
  Duration turn = 10s;                             // of one fetch, while the peer sends to others
  Duration fetch_deadline = 60s;                   // of one fetch, whoever waits for it
};

// Events.
struct Want {
  WaiterId waiter = 0;  // never used before
  ChunkId chunk;
  Slot slot = 0;
  std::uint32_t chunk_runs = 0;
  RunRange runs;
  RunSet present;                 // of the chunk, in the arena now
  bool must_answer = false;       // an attached client's, or relayed: Moved is no answer
  bool relayed = false;           // by a peer: don't relay further
  bool fallback = false;          // the asker couldn't reach the owners before this node
  bool no_fill = false;           // Miss rather than fetch
  bool wide = false;              // its reader scans: the rest of the chunk will be wanted too
  bool may_ask = false;           // it can be told to ask others
  bool insist = false;            // it did, in vain
  bool keep = false;              // what comes is to stay here; a copy, if a peer asks
  bool spare = false;             // as a copy that nobody but this node's readers need, unless this node owns it
  std::uint32_t copies = 1;       // that its mount has of each chunk
  NodeId asker = kNoNode;         // the peer that asks, if it is one
  std::uint64_t map_version = 0;  // the asker's
  TimePoint deadline = kNever;
};
struct Sending {  // to a reader that follows Ask
  ChunkId chunk;
  Slot slot = 0;
  std::uint32_t runs = 0, chunk_runs = 0;  // how many it asks for, of how many
  NodeId asker = kNoNode;
  bool may_ask = false, insist = false;
  bool here = true;  // this node holds them
};
struct Got {
  FetchId fetch;
  std::uint32_t upto;
};  // the fetch's runs before `upto`. Nothing new (0 will do): the asked peer said that it is filling
struct OriginDone {
  FetchId fetch;
  std::optional<Error> error;
};
struct Complete {
  ChunkId chunk;
  Slot slot = 0;
  std::uint32_t copies = 1;  // that there should be, this node's among them
};
struct Copied {
  ChunkId chunk;
  NodeId node;
  bool done;
};
struct PeerSaid {
  FetchId fetch;
  std::uint32_t attempt;
  WalkEvent event;
};
struct Left {
  WaiterId waiter;
};
struct NewMap {
  std::shared_ptr<const SlotMap> map;
};
struct Tick {};
using ServerEvent = std::variant<Want, Got, OriginDone, PeerSaid, Complete, Copied, Left, NewMap, Tick>;

// Actions.
// The waiter's runs before `upto` are in the arena; at its range's end it is done. `upto` may be what it was: nothing
// new, but the bytes are on their way, and a waiter that is a peer must hear it.
struct Serve {
  WaiterId waiter;
  std::uint32_t upto;
  bool operator==(const Serve&) const = default;
};
enum class Refusal : std::uint8_t { Miss, Moved, Ask, Busy, Gone, Failed };
struct Refuse {
  WaiterId waiter;
  Refusal why;
  Error error;
  std::vector<NodeId> peers;  // Ask: who has it
};
struct FetchFromOrigin {
  FetchId fetch;
  ChunkId chunk;
  RunRange runs;  // what is still missing of it
  bool keep;      // this node owns it: the bytes stay; otherwise they pass through
};
struct FetchFromPeer {
  FetchId fetch;
  std::uint32_t attempt;  // answers to older attempts are ignored
  NodeId node;
  ChunkId chunk;
  RunRange runs;
  bool relay = false;
  bool fallback = false;
  bool no_fill = false;
  bool insist = false;
  bool keep = false;   // they stay here; otherwise they pass through
  bool copy = false;   // as a copy that their owner asked for
  bool spare = false;  // as a copy that nobody but this node's readers need
  bool hot = false;    // their owner named others that have them
  bool hedge = false;  // who was asked before was slow
};
struct CopyTo {  // that node shall have this node's chunk; Copied when it has
  NodeId node;
  ChunkId chunk;
};
struct StopPeer {
  FetchId fetch;
  std::uint32_t attempt;
};  // nobody needs that attempt's answer any more
struct WantMap {
  NodeId node;
  std::uint64_t version;
};  // from that node; NewMap when it is here
using ServerAction = std::variant<Serve, Refuse, FetchFromOrigin, FetchFromPeer, CopyTo, StopPeer, WantMap>;
using ServerActions = std::vector<ServerAction>;

class ChunkServer {
 public:
  ChunkServer(NodeId self, std::shared_ptr<const SlotMap> map, ServerLimits limits, std::uint64_t seed);

  ServerActions step(TimePoint now, const ServerEvent& event);
  // When Tick is due next; kNever if nothing waits for time.
  TimePoint wakeAt() const { return timers_.empty() ? kNever : std::get<0>(*timers_.begin()); }

  // Before bytes that are here are sent without a Want: who shall send them in this node's stead. Nobody: they count as
  // sent. Copies to be made go to `out`.
  std::vector<NodeId> inMyStead(TimePoint now, const Sending& s, ServerActions& out);

  const SlotMap& map() const { return *map_; }
  std::shared_ptr<const SlotMap> sharedMap() const { return map_; }
  Peers& peers() { return peers_; }
  std::size_t waiters() const { return waiters_.size(); }
  std::size_t fetches() const { return fetches_.size(); }
  // Whether anything of the chunk is on its way or waited for.
  bool busy(const ChunkId& chunk) const { return fills_.busy(chunk); }
  bool fetching(FetchId fetch) const { return fetches_.contains(fetch); }
  // Who else has the chunk, as far as this owner knows.
  std::vector<NodeId> holders(TimePoint now, const ChunkId& chunk) const { return spread_.holders(now, chunk); }
  // Whether another node is to copy it from here.
  bool copyDue(const ChunkId& chunk) const {
    const auto next = copies_.lower_bound({chunk, kNoNode});
    return next != copies_.end() && next->first == chunk;
  }
  std::size_t copiesDue() const { return copies_due_.size() + copying_; }
  std::size_t fallbackFills() const { return fallback_active_; }
  // Whether the fetch's bytes came from the owner that was asked first (not redirected, not relayed).
  bool direct(FetchId fetch) const;

 private:
  enum class Source : std::uint8_t { Origin, Peer, Queued };  // Queued: for a place among the fallback fills
  struct Fetch {
    ChunkId chunk;
    Slot slot = 0;
    RunRange runs;  // still missing
    Source source = Source::Peer;
    bool owner = false, keep = false, copy = false, spare = false;
    bool hedging = false;  // the next question is a hedge
    std::uint32_t copies = 1;
    bool counts_as_fallback = false;
    std::uint32_t attempt = 0;
    bool asking = false;  // a peer's answer is awaited
    NodeId asked = kNoNode;
    bool relayed_ask = false;
    std::vector<NodeId> former;  // owners of the map before, to be asked before the origin; the next one last
    bool asking_former = false;
    TimePoint due = kNever;       // of its timer: silence, the end of a wait, or the next word to those who wait
    TimePoint turn_by = kNever;   // while asking: for bytes or a word of its own
    TimePoint deadline = kNever;  // of its walk
    TimePoint asked_at = kNever;  // while nothing was heard of it
    TimePoint hedge_at = kNever;
    std::optional<OwnerWalk> walk;
  };
  enum class Role : std::uint8_t { Primary, Fallback, Reader };
  Role roleFor(const Want& e) const;
  enum class Timer : std::uint8_t { Waiter, Fetch };
  struct Waiting {
    TimePoint deadline;
    RunRange runs;
  };

  void want(TimePoint now, const Want& e, ServerActions& out);
  bool answerFromHere(TimePoint now, const Want& e, ServerActions& out);
  bool canJoin(const Want& e) const;
  void complete(TimePoint now, const Complete& e, ServerActions& out);
  void copied(TimePoint now, const Copied& e, ServerActions& out);
  void dueCopy(NodeId node, const ChunkId& chunk, ServerActions& out);
  void got(TimePoint now, const Got& e, ServerActions& out);
  void originDone(TimePoint now, const OriginDone& e, ServerActions& out);
  void peerSaid(TimePoint now, const PeerSaid& e, ServerActions& out);
  void newMap(TimePoint now, const NewMap& e, ServerActions& out);
  void tick(TimePoint now, ServerActions& out);

  void startFetch(TimePoint now, const FillTable::Start& start, const Want& cause, ServerActions& out);
  void follow(TimePoint now, FetchId id, const WalkAction& action, ServerActions& out);
  void fill(TimePoint now, FetchId id, Fetch& fetch, bool fallback, ServerActions& out);
  void findFormer(TimePoint now, Fetch& fetch) const;
  bool askFormer(TimePoint now, FetchId id, Fetch& fetch, ServerActions& out);
  void formerSaid(TimePoint now, FetchId id, Fetch& fetch, const WalkEvent& event, ServerActions& out);
  void setAsking(Fetch& fetch, NodeId node);
  void fillHere(TimePoint now, FetchId id, Fetch& fetch, bool fallback, ServerActions& out);
  void timerOf(TimePoint now, Duration late, FetchId id, ServerActions& out);
  bool hedge(TimePoint now, FetchId id, Fetch& fetch, ServerActions& out);
  void awaitPeer(TimePoint now, FetchId id, Fetch& fetch);
  bool heardLately(TimePoint now, NodeId peer) const;
  void tellStillFilling(FetchId id, ServerActions& out);
  void failFetch(TimePoint now, FetchId id, const Error& error, ServerActions& out);
  void endFetch(TimePoint now, FetchId id, ServerActions& out);
  void startQueuedFallbacks(TimePoint now, ServerActions& out);
  void deliver(const FillTable::Outcome& outcome, ServerActions& out);
  void refuse(WaiterId waiter, Refusal why, Error error, ServerActions& out, std::vector<NodeId> peers = {});
  void forgetWaiter(WaiterId waiter);
  void arm(Fetch& fetch, FetchId id, TimePoint when);

  NodeId self_;
  std::shared_ptr<const SlotMap> map_, former_map_;
  TimePoint map_since_;
  ServerLimits limits_;
  Random random_;
  Peers peers_;
  FillTable fills_;
  Spread spread_;
  Hedging hedging_;
  std::deque<CopyTo> copies_due_;
  std::set<std::pair<ChunkId, NodeId>> copies_;  // due and being made
  std::size_t copying_ = 0;
  std::map<FetchId, Fetch> fetches_;
  std::map<WaiterId, Waiting> waiters_;
  std::map<NodeId, TimePoint> heard_;  // when a peer last sent something for a fetch; at most the cell's members
  std::set<std::tuple<TimePoint, Timer, std::uint64_t>> timers_;
  std::deque<FetchId> fallback_queue_;
  std::size_t fallback_active_ = 0;
};

}  // namespace forebay::core
