// The node's chunks: core's decisions (ChunkServer) carried out on the real arena, origins and peers.
//
// A reader that finds a range missing in the arena calls want(), and hears ready() each time that more of it is there,
// up to its end, or refused(), once. Bytes are then taken from the arena (view): between ready() and view() they may
// have left again, if memory is short; then want() again.
//
// Fetches write straight into places reserved in the arena: from the origin with checksums computed here, granule by
// granule while they are in the processor's cache; from a peer with the checksums that the peer sent and the channel
// verified. A fetch for which there is no room waits its turn, in order, for at most `kRoomDeadline`; then it fails
// with Busy. Meanwhile its peer isn't held to be silent.
//
// Threading: the node's loop. A Waiter must call left() before it goes away, unless it was refused or served whole.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>

#include "core/chunk_server.h"
#include "core/completion.h"
#include "io/reactor.h"
#include "node/copy_calls.h"
#include "node/mounts.h"
#include "reader/channels.h"
#include "store/arena.h"

namespace forebay::node {

using core::SharedPlan;

// How a fetch went so far. Times that haven't been: TimePoint{}.
struct FetchTrace {
  core::NodeId from = core::kNoNode;  // none: the origin
  std::uint32_t attempts = 0;
  TimePoint first_asked{}, asked{};  // the first attempt; the last one
  TimePoint placed{};                // there was room for it
  TimePoint first_byte{};
};

class Waiter {
 public:
  virtual ~Waiter() = default;
  // Before the last ready(), and before refused(): how the fetch went that it came of, if there was one.
  virtual void traced(const FetchTrace&) {}
  // The chunk's bytes from the wanted range's start to `upto` (an offset in the chunk) were in the arena just now. When
  // `upto` is what it was: the rest is on its way.
  virtual void ready(std::uint32_t upto) = 0;
  virtual void refused(core::Refusal why, const Error& error) = 0;
  // In place of refused(), for whom `may_ask` was said: these nodes have it.
  virtual void askOthers(std::span<const core::NodeId> nodes) {
    (void)nodes;
    refused(core::Refusal::Failed, {Code::Internal, "a reader that asks nobody else was told to", 0});
  }
};

struct WantOptions {
  bool must_answer = false;  // see core::Want
  bool relayed = false;
  bool fallback = false;
  bool no_fill = false;
  bool may_ask = false;
  bool insist = false;
  bool keep = false;
  bool spare = false;
  bool wide = false;
  core::NodeId asker = core::kNoNode;
  std::uint64_t map_version = 0;
  TimePoint deadline = kNever;
};

class ChunkService {
 public:
  struct Deps {
    io::Reactor& reactor;
    core::ChunkServer& cell;
    reader::Channels& channels;
    store::Arena& arena;
    Mounts& mounts;
    std::function<void(core::NodeId, std::uint64_t version)> pull_map;
    std::function<void(const core::Plan&)> gone;  // the origin no longer has that version
  };
  explicit ChunkService(Deps deps);
  ~ChunkService();

  // `waiter` hears about it later, never inside the call. The answer is for left().
  core::WaiterId want(SharedPlan plan, core::ChunkRange range, const WantOptions& options, Waiter& waiter);
  void left(core::WaiterId waiter);
  // Who shall send a range that is here in this node's stead, because it is hot; mostly nobody.
  std::vector<core::NodeId> inMyStead(const SharedPlan& plan, core::ChunkRange range, const WantOptions& options);
  void newMap(std::shared_ptr<const core::SlotMap> map);
  // What bringing so many missing bytes from other nodes, and so many from the origin, would take, from how they lately
  // came.
  Duration timeFor(std::uint64_t from_peers, std::uint64_t from_origin) const;

 private:
  struct ChunkInfo {
    SharedPlan plan;
    std::uint32_t index;
  };
  struct NeedsRoom {
    std::variant<core::FetchFromOrigin, core::FetchFromPeer> action;
    TimePoint until;      // then: Busy
    TimePoint next_word;  // to the core, that it isn't the peer's silence
  };
  class Fetch;
  class OriginFetch;
  class PeerFetch;

  void feed(core::ServerEvent event);
  void drain();
  void act(const core::ServerAction& action);
  // Started (or failed for good): true. No room: false.
  bool fetchFromOrigin(const core::FetchFromOrigin& a);
  bool fetchFromPeer(const core::FetchFromPeer& a);
  core::RunRange stillMissing(core::FetchId fetch, const ChunkInfo& chunk, core::RunRange runs);
  bool start(const NeedsRoom& waiting);
  void waitForRoom(NeedsRoom waiting);
  void startWaiting();
  void roomless(const NeedsRoom& waiting);
  void rearm();
  bool holdsAll(const ChunkInfo& chunk) const;
  void copyTo(const core::CopyTo& a);
  void dropIdleChunks();
  void tell(Waiter& waiter) const;
  void attempted(core::FetchId fetch, core::NodeId from);

  Deps deps_;
  CopyCalls copies_{deps_.cell, deps_.channels};
  // Fetches that outlive this have their share of it.
  std::shared_ptr<core::Inflow> from_peers_ = std::make_shared<core::Inflow>();
  std::shared_ptr<core::Inflow> from_origin_ = std::make_shared<core::Inflow>();
  std::deque<core::ServerEvent> events_;
  bool draining_ = false;
  bool drain_posted_ = false;
  core::WaiterId next_waiter_ = 1;
  struct Waiting {
    Waiter* waiter;
    std::uint32_t end;  // of its runs
  };
  std::unordered_map<core::WaiterId, Waiting> waiters_;
  std::map<core::ChunkId, ChunkInfo> chunks_;             // of everything that core waits for or fetches
  std::unordered_map<core::FetchId, FetchTrace> traces_;  // of core's fetches, and of a few that have ended
  core::FetchId stepping_ = 0;                            // whose event is being handled; 0: none's
  std::unordered_map<core::FetchId, std::shared_ptr<OriginFetch>> origin_fetches_;
  std::unordered_map<core::FetchId, std::shared_ptr<PeerFetch>> peer_fetches_;
  std::deque<NeedsRoom> waiting_for_room_;  // at most the core's fetches
  io::TimerId room_timer_ = 0;
  io::TimerId timer_ = 0;
  TimePoint timer_due_ = kNever;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
