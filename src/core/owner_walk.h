// The reader: whom to ask for something that a slot's owners have (a chunk, a plan, a listing), and what to do with
// each kind of answer.
//
// One walk is one question. It asks the primary; while that can't be reached the alternates, in order; when no owner
// can be reached, the reader's own node does it (HereInstead), within the origin budget of its host. Redirects are
// followed at most twice, then some node is asked to relay. Refusals that pass (Busy) are waited out with backoff.
// An owner that has sent something often names others that have it (AskThere): one of them is asked, the less busy of
// two, and must not fill. If it hasn't the bytes after all, the owner is asked again, and told so (`insist`).
//
// Choosing by load: where the mount has copies (Question::copies), and this node waits for `copy_lead` more answers of
// the primary than of an alternate that should have a copy, that one is asked first, and must not fill either. Copies
// are made in the background, so it may not have it yet: whether they were there lately decides how often to try
// (core/peers.h).
//
//   start / step(now, event) -> what to do next
//
//   Moved      the asked node is no owner under a newer map: pull that map, choose again (at most 2), then relay
//   BusyThere  wait (its retry time, or backoff with jitter), then choose again
//   Lost       couldn't be reached, or was silent for too long: it rests (Peers), choose again without it
//   TooSlow    took longer than this question allows a node, though it may be well (its origin is slow): choose again
//              without it. Nobody else stays away from it for that: who asks for bytes hears when they are on their way
//   AskThere   the owner named others that have it: ask one of them
//   Slow       the owner says nothing, and these should have it as well: ask one of them. Of a copy that was chosen
//              before its owner: ask the owner
//   MissThere  the one that was asked hasn't it: back to the owner
//   BadBytes   the bytes didn't match their checksum: ask again, at the second time without that node (it rests); at
//              most `max_corrupt` times
//   Refused    a final answer (Gone, NotFound, ...): the question fails with it
//   Answered   the end
//
// Pure: no clock, no I/O. One thread at a time. Bounded: at most `max_asks` questions to peers, then Unavailable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/backoff.h"
#include "core/peers.h"
#include "core/slot_map.h"

namespace forebay::core {

struct WalkLimits {
  std::uint32_t max_redirects = 2;
  std::uint32_t max_corrupt = 3;
  std::uint32_t max_asks = 32;
  std::size_t copy_lead = 4;  // a primary that is this much busier is passed over for a copy
  Duration map_wait = 100ms;  // for a newer map to arrive after Moved
  Backoff backoff;
};

// Events.
struct Moved {
  std::uint64_t map_version;
};
struct BusyThere {
  Duration retry_after;
};
struct Lost {};
struct TooSlow {};
struct AskThere {
  std::vector<NodeId> peers;
};
struct Slow {
  std::vector<NodeId> holders;
};
struct MissThere {};
struct BadBytes {};
struct Refused {
  Error error;
};
struct Answered {};
struct MapArrived {};  // the host has a newer map (give it by setMap)
struct WaitOver {};
using WalkEvent = std::variant<Moved, BusyThere, Lost, TooSlow, AskThere, Slow, MissThere, BadBytes, Refused, Answered,
                               MapArrived, WaitOver>;

// What to do next. Exactly one follows from each event that the walk is waiting for (after AskNode an answer or Lost,
// after PullMap and WaitUntil MapArrived or WaitOver); Nothing from others: they are late, not wrong.
struct Nothing {
  bool operator==(const Nothing&) const = default;
};
struct AskNode {
  NodeId node;
  bool relay = false;     // the node shall answer whatever it takes
  bool fallback = false;  // the primary can't be reached: this alternate fills in its place
  bool no_fill = false;   // no owner, but it has it, as an owner says
  bool insist = false;    // of an owner: name nobody else
  bool operator==(const AskNode&) const = default;
};
struct PullMap {  // from `node`, at least `version`; then MapArrived. WaitOver comes at `until` in any case
  NodeId node;
  std::uint64_t version;
  TimePoint until;
  bool operator==(const PullMap&) const = default;
};
struct WaitUntil {
  TimePoint until;
  bool operator==(const WaitUntil&) const = default;
};
struct HereInstead {
  bool operator==(const HereInstead&) const = default;
};  // this node does it itself, as a fallback (unless its map has it as the primary by now). The walk is over
struct Finished {
  bool operator==(const Finished&) const = default;
};
struct Failed {
  Error error;
};
using WalkAction = std::variant<Nothing, AskNode, PullMap, WaitUntil, HereInstead, Finished, Failed>;

class OwnerWalk {
 public:
  struct Question {
    Slot slot = 0;
    NodeId self = kNoNode;     // never asked
    bool may_relay = true;     // false while this node itself relays for a peer: relays don't chain
    std::uint32_t copies = 1;  // that its mount keeps of it: on its slot's owners, in their order
    TimePoint deadline = kNever;
  };
  OwnerWalk(Question question, WalkLimits limits) : question_(question), limits_(limits) {}

  WalkAction start(TimePoint now, const SlotMap& map, Peers& peers, Random& random);
  WalkAction step(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random);

  NodeId asked() const { return asked_; }
  bool redirected() const { return redirects_ > 0; }
  bool asksHolder() const { return at_holder_; }  // the asked node isn't asked as an owner
  bool mayAskHolder() const { return !at_holder_ && !insist_; }
  bool choseCopy() const { return at_copy_; }  // instead of the primary, which was busier

 private:
  WalkAction choose(TimePoint now, const SlotMap& map, Peers& peers);
  NodeId lessBusyCopy(TimePoint now, const SlotMap& map, Peers& peers) const;
  WalkAction moved(TimePoint now, const Moved& e, const SlotMap& map, Peers& peers, Random& random);
  WalkAction wait(TimePoint now, Duration at_least, Random& random);
  WalkAction askHolder(TimePoint now, const std::vector<NodeId>& holders, const SlotMap& map, Peers& peers,
                       Random& random);
  WalkAction ask(TimePoint now, AskNode question, Peers& peers);
  WalkAction answer(TimePoint now, const WalkEvent& event, const SlotMap& map, Peers& peers, Random& random);
  WalkAction finish(WalkAction last);

  Question question_;
  WalkLimits limits_;
  NodeId asked_ = kNoNode;
  std::uint32_t asks_ = 0, redirects_ = 0, corrupt_ = 0, waits_ = 0;
  bool at_holder_ = false, at_copy_ = false, insist_ = false;
  std::vector<NodeId> lost_;  // by this walk: not asked again, even when their rest is over
  enum class State : std::uint8_t { Asking, Waiting, Over };
  State state_ = State::Over;
};

}  // namespace forebay::core
