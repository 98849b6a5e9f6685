// Who is admitted to a node's arena and who leaves it, in bytes. No memory is touched here: the arena (store/arena.h)
// asks, and does.
//
// What leaves together is an entry: a chunk, mostly (two of 1 MiB share a 2 MiB page and one entry). An entry is Owned
// (it belongs to its mount's share), a Copy (in the share too, but another node owns it) or Transit (a peer's chunk, or
// a fill that wasn't admitted).
//
//   copies    least recently read first. They leave before any owned entry of their mount, and for one; none leaves for
//             a copy but copies that nobody read for `copy_idle`.
//
//   dataset   Admit until the mount's share is full, then don't replace: a job reads each chunk once an epoch, so hits
//             per epoch are at most cache / dataset, and standing still reaches that (measured, shuffled epochs, cache
//             of half the data: LRU 15%, S3-FIFO 18%, SIEVE 30%, none 50%). Replaced is what nobody read for two of
//             the mount's re-read intervals (the longest gap seen lately after which an entry was read again), or
//             since the mount's job ended.
//   hot       S3-FIFO (SOSP'23): a small queue of a tenth, a main one, a ghost queue of names that left.
//   transit   FIFO, at most `transit_percent` of the capacity (or one chunk, where that is more). A quarter of that (or
//             the largest chunk seen) belongs to no mount's share: what isn't admitted must pass through somewhere.
//   others    are Unsupported: their writers come with the write path and KV blocks.
//
// Shares. Classes with an active mount split the capacity by `class_weight`, active mounts split their class's part by
// weight. What isn't needed is lent: anybody may fill free room. Whoever is below its share takes from whoever is most
// above: so a second job never starves, and a mount that nobody reads keeps its bytes until somebody needs the room.
//
// Two states are seams for what comes later: a dirty or pinned-by-policy entry would be held (hold(): never a victim)
// as an entry in use is today.
//
// Pure and deterministic: no clock, no I/O, no iteration over hashed containers. One thread at a time.
// Cost: O(1) per touch, O(log ghosts) per entry of a hot mount, O(mounts + entries in use that must be skipped) per
// victim. About 100 bytes an entry.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/types.h"

namespace forebay::core {

enum class CacheClass : std::uint8_t { Dataset, Hot, Checkpoint, Scratch, Kv };
constexpr std::size_t kCacheClasses = 5;
std::string_view className(CacheClass cls);
Result<CacheClass> parseClass(std::string_view name);

struct CachePolicy {  // of a mount
  CacheClass cls = CacheClass::Dataset;
  std::uint32_t weight = 1;  // among the mounts of its class
};

struct EvictionOptions {
  std::uint64_t capacity_bytes = 0;
  std::uint32_t transit_percent = 10;
  std::array<std::uint32_t, kCacheClasses> class_weight = {1, 1, 1, 1, 1};
  // Touches of an entry that follow each other within this time are one visit: a chunk is read in many pieces.
  Duration visit = 1s;
  // How long a mount that was never read twice is believed to need until it comes again: its entries stay for two of
  // these. Long, because replacing during a first epoch that lasts for hours would bring LRU's thrashing back.
  Duration unknown_interval = std::chrono::hours(6);
  Duration copy_idle = std::chrono::minutes(1);
  // A mount that nobody reads for this long (and for two of its intervals) has no share until it is read again.
  Duration mount_idle = std::chrono::minutes(10);
};

enum class Placement : std::uint8_t { Owned, Copy, Transit };
enum class LeaveReason : std::uint8_t { Idle, JobEnded, Replaced, Reclaimed, Transit, Forgotten, Shed };
constexpr std::size_t kLeaveReasons = 7;
std::string_view reasonName(LeaveReason reason);

class Eviction {
 public:
  using Ref = std::uint32_t;  // of an entry, from insert() to remove()

  struct Want {
    MountId mount = 0;
    std::uint64_t bytes = 0;        // that will be added
    std::uint64_t chunk_bytes = 0;  // of the whole chunk: the least that transit copies may always take
    std::uint64_t free_bytes = 0;   // what the arena could give now without anybody leaving
  };
  struct Victim {
    Ref ref;
    LeaveReason reason;
  };

  explicit Eviction(EvictionOptions options) : options_(options) {}

  Status addMount(MountId mount, CachePolicy policy);  // again: changes its policy, not its class
  void removeMount(MountId mount);                     // its entries stay, without a share
  bool knows(MountId mount) const;
  // What entries may take now: an arena's index and holes grow and shrink.
  void setCapacity(std::uint64_t bytes) { options_.capacity_bytes = bytes; }

  // Where a new entry belongs: as `wanted` (Owned or Copy) if there is free room or somebody would leave for it, else
  // Transit.
  Placement place(TimePoint now, Placement wanted, const Want& want);
  // Whether owned bytes may take free room now: beyond its share a mount leaves alone what transit copies come back to.
  bool mayTake(TimePoint now, const Want& want) const;
  // Who must leave before `want` may be added as `placement`, though there may be room: transit copies over their
  // bound. Repeat until nobody.
  std::optional<Victim> overflow(Placement placement, const Want& want) const;
  // Room is lacking: who leaves next for `want`. None: nobody may.
  std::optional<Victim> victim(TimePoint now, Placement placement, const Want& want);

  // `fingerprint`: 64 bits that are the same when the same entry comes again.
  Ref insert(TimePoint now, MountId mount, std::uint64_t fingerprint, Placement placement);
  void charge(Ref ref, std::int64_t delta_bytes);
  void move(Ref ref,
            Placement placement);      // what outgrew its mount's share becomes a transit copy, what stays isn't one
  void touch(TimePoint now, Ref ref);  // it was read
  void hold(Ref ref);                  // being read or filled: never a victim. Counted
  void release(Ref ref);
  void remove(Ref ref, bool left_for_room);

  // A job-end hint: what the mount holds now may be replaced until it is read again.
  void jobEnded(TimePoint now, MountId mount);

  std::uint64_t bytes() const { return owned_bytes_ + transit_.bytes; }
  std::uint64_t transitBytes() const { return transit_.bytes; }
  std::uint64_t mountBytes(MountId mount) const;
  std::uint64_t share(TimePoint now, MountId mount) const;
  std::size_t ghosts() const;
  std::uint64_t entryTag(Ref ref) const { return entries_[ref].fingerprint; }

 private:
  static constexpr Ref kNone = ~Ref{0};
  enum class Queue : std::uint8_t { Lru, Small, Main, Copies, Transit };
  struct Entry {
    std::uint64_t fingerprint = 0;
    std::uint64_t bytes = 0;
    TimePoint last_touch;
    MountId mount = 0;
    std::uint32_t holds = 0;
    Ref newer = kNone, older = kNone;
    Queue queue = Queue::Lru;
    std::uint8_t visits = 0;  // S3-FIFO's frequency, 0 to 3
  };
  struct List {
    Ref newest = kNone, oldest = kNone;
    std::uint64_t bytes = 0;
  };
  struct Ghosts {  // names of what left a small queue, oldest first; a generation tells a stale name from a new one
    std::deque<std::pair<std::uint64_t, std::uint64_t>> order;  // fingerprint, generation
    std::map<std::uint64_t, std::uint64_t> names;
    std::uint64_t next_generation = 0;
  };
  struct Mount {
    CachePolicy policy;
    bool removed = false;
    bool seen = false;
    TimePoint last_seen;
    std::optional<TimePoint> job_ended;
    // The longest gap of this window and of the one before: old observations are forgotten.
    Duration gap_now{0}, gap_before{0};
    TimePoint window_start;
    List lru, small, main, copies;
    std::size_t entries = 0;  // in small and main
    Ghosts ghosts;
    std::uint64_t bytes() const { return lru.bytes + small.bytes + main.bytes + copies.bytes; }
  };

  Duration interval(const Mount& mount) const;
  bool active(TimePoint now, const Mount& mount) const;
  std::uint64_t transitLimit(const Want& want) const;
  std::uint64_t transitReserve() const;
  void observeGap(TimePoint now, Mount& mount, Duration gap);
  static Queue ownQueue(const Mount& mount, Placement placement);
  List& listOf(Entry& entry);
  void link(Ref ref);
  void unlink(Ref ref);
  Ref oldestFree(const List& list) const;
  std::optional<Victim> replaceOwn(TimePoint now, Mount& mount);
  std::optional<Victim> leaveHot(Mount& mount, LeaveReason reason);
  std::optional<Victim> reclaim(TimePoint now, std::optional<MountId> not_from, bool even_within_share);
  std::optional<Victim> leaveOf(Mount& mount);
  void addGhost(Mount& mount, std::uint64_t fingerprint);
  void trimGhosts(Mount& mount);

  EvictionOptions options_;
  std::vector<Entry> entries_;
  std::vector<Ref> free_refs_;
  std::map<MountId, Mount> mounts_;
  List transit_;
  std::uint64_t owned_bytes_ = 0;
  std::uint64_t largest_chunk_ = 0;  // ever wanted
  std::optional<TimePoint> transit_seen_;
};

}  // namespace forebay::core
