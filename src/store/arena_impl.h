// Inside the arena: its index, and how memory is given and taken. arena.h is the door.
//
//   arena.cc        the index: reserve, commit, view, forget
//   arena_room.cc   the cap: allocation, eviction, moving bytes between slabs and regions
//   arena_export.cc what others have as a file
//   arena_spares.cc memory that is kept, or made ready, for regions to come
//   arena_share.cc  slabs that clients read in place
//   arena_sweep.cc  what leaves by name
//
// An object has units (what leaves together), a unit has pages (2 MiB windows of the object), a page has runs. A run's
// bytes are in the object's region if its page is, else in one of the page's slab extents.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/block_pool.h"
#include "core/eviction.h"
#include "store/arena.h"
#include "store/region.h"
#include "store/slab.h"
#include "store/spares.h"

namespace forebay::store {
namespace detail {

constexpr std::uint32_t kRunsPerPage = kPage / core::kRun;  // 8: a page's runs fit a byte
constexpr std::uint32_t kPageBits = 21;
static_assert(kPage == 1U << kPageBits && kRunsPerPage == 8);
constexpr std::uint32_t kGranulesPerRun = core::kRun / core::kGranule;

struct Extent {  // runs [first_run, first_run + runs) of a page, in slab memory
  SlabExtent place;
  std::uint8_t first_run = 0, runs = 0;
  bool passing = false;  // belongs to the unit's passing entry
  std::uint8_t mask() const { return static_cast<std::uint8_t>(((1U << runs) - 1) << first_run); }
};

struct PageState {
  std::uint8_t present = 0, reserved = 0;  // by run
  bool in_region = false;
  std::vector<Extent> extents;
  std::uint8_t placed() const {
    std::uint8_t mask = in_region ? 0xff : 0;
    for (const Extent& extent : extents) mask |= extent.mask();
    return mask;
  }
  bool empty() const { return present == 0 && reserved == 0; }
};

struct Object;
// A unit whose mount's share is full may still be asked for runs that it lacks. They pass: they lie in slab extents of
// their own, under a transit entry of their own, and leave without the unit. (If the whole unit became a transit copy,
// random reads of a large dataset would replace its chunks all the time.)
struct Unit {
  Object* object = nullptr;  // null once forgotten
  std::uint32_t index = 0;
  core::Eviction::Ref ref = 0;
  core::Placement placement = core::Placement::Owned;
  bool promotable = false;  // a page became whole while somebody read the unit
  std::uint32_t views = 0, fills = 0;
  std::uint32_t client_pins = 0;  // each with a view
  std::uint64_t start = 0;        // in the object
  std::uint32_t length = 0;       // bytes that it can hold
  std::uint64_t charge = 0;       // bytes of pages and extents, less what passes
  std::optional<core::Eviction::Ref> passing;
  std::uint64_t passing_charge = 0;
  std::shared_ptr<ObjectRegion> region;
  std::vector<PageState> pages;
  std::vector<std::uint32_t> crcs;  // by granule
  bool inUse() const { return views != 0 || fills != 0; }
  std::uint64_t regionPage(std::size_t page) const { return (start >> kPageBits) + page; }
  std::uint32_t runLength(std::uint32_t run) const;  // `run` in the unit; the last may be short
  std::uint8_t allRuns(std::size_t page) const;
};

// Objects in the order of their names, for those who speak of names: versions of one name are neighbours.
struct NameOrder {
  core::MountId mount = 0;
  std::string path;
  core::ObjectKey key;
  auto operator<=>(const NameOrder&) const = default;
};
using ByName = std::map<NameOrder, Object*>;

struct Object {
  core::ObjectKey key;
  ByName::iterator named;
  core::MountId mount = 0;
  std::uint64_t size = 0;
  std::uint32_t chunk_bits = 0;
  std::shared_ptr<ObjectRegion> region;
  std::optional<std::list<Object*>::iterator> away_at;  // its region is away, its units are held
  std::map<std::uint32_t, std::unique_ptr<Unit>> units;
  std::uint32_t unitBits() const { return std::max(chunk_bits, kPageBits); }
  std::uint32_t unitOf(std::uint32_t chunk) const { return chunk >> (unitBits() - chunk_bits); }
  std::uint32_t offsetInUnit(std::uint32_t chunk) const {
    return static_cast<std::uint32_t>((std::uint64_t{chunk} << chunk_bits) & ((std::uint64_t{1} << unitBits()) - 1));
  }
  std::uint32_t chunkLength(std::uint32_t chunk) const;
};

struct KeyHash {  // keys are HMACs: any 64 bits of them are a hash
  std::size_t operator()(const core::ObjectKey& key) const { return loadLe<std::uint64_t>(key.bytes.data()); }
};

// What the index takes in the heap, with the allocator's and containers' overhead: rounded up, for the cap.
constexpr std::uint64_t kObjectCost = sizeof(Object) + 96 + sizeof(ByName::value_type) + 64,
                        kUnitCost = sizeof(Unit) + 192, kPageCost = sizeof(PageState),
                        kExtentCost = sizeof(Extent) + 96, kGhostCost = 64, kRegionCost = 2 * kKiB;

inline std::uint64_t objectCost(const std::string& path) {
  return kObjectCost + path.size();
}
inline std::uint64_t unitCost(std::uint64_t bytes) {
  return kUnitCost + divideUp(bytes, kPage) * kPageCost + divideUp(bytes, core::kGranule) * sizeof(std::uint32_t);
}

}  // namespace detail

struct Arena::Impl {
  using Unit = detail::Unit;
  using Object = detail::Object;
  using PageState = detail::PageState;

  Impl(Arena& owner, Metrics& metrics);
  ~Impl();

  struct Filling {  // one reserve() call
    TimePoint now;
    Unit& unit;
    core::MountId mount;
    core::Placement placement;
    std::uint64_t evicted = 0;
    bool passing() const { return placement == core::Placement::Transit && unit.placement != core::Placement::Transit; }
  };

  // --- index (arena.cc)
  Object* find(const core::ObjectKey& key) const;
  Object& objectOf(const core::Plan& plan);
  Unit* unitOf(const Object& object, std::uint32_t chunk) const;
  Unit* makeUnit(TimePoint now, Object& object, std::uint32_t index, core::Placement placement);
  Status checkRequest(const core::Plan& plan, const ReserveRequest& request) const;
  void spansOf(const Unit& unit, core::RunRange runs, std::vector<MutableBytes>& out) const;
  void hold(Unit& unit, std::uint32_t& count);
  void release(Unit& unit, std::uint32_t& count);
  void publish(Unit& unit, core::RunRange runs);
  void abandon(Unit& unit, core::RunRange runs);
  Piece pieceAt(const Unit& unit, std::uint32_t offset, std::uint32_t length) const;
  std::uint64_t indexCostOf(const core::Plan& plan) const;
  std::unexpected<Error> refuse();
  void countNotAdmitted();
  void updateMetrics();

  // --- room (arena_room.cc)
  std::uint64_t used() const;
  std::uint64_t freeBytes() const;
  std::uint64_t usual() const;          // what everything but a promotion may take
  std::uint64_t entryCapacity() const;  // what is left of it for units
  bool room(std::uint64_t bytes, std::uint64_t limit);
  bool makeRoomForIndex(TimePoint now, std::uint64_t bytes, const core::Eviction::Want& want,
                        core::Placement& placement);
  Unit* admit(TimePoint now, const core::Plan& plan, const ReserveRequest& request);
  void own(TimePoint now, Unit& unit, std::uint64_t bytes, core::Placement placement);
  void place(Unit& unit, core::Placement placement);
  void ownPassing(Unit& unit);
  bool placeRuns(Filling& filling, core::RunRange runs);
  bool placePage(Filling& filling, std::size_t page, std::uint8_t wanted);
  bool placeGroup(Filling& filling, std::size_t page, std::uint8_t first_run, std::uint8_t runs);
  bool evictFor(Filling& filling, std::uint64_t bytes);
  void respectTransit(Filling& filling, std::uint64_t bytes);
  bool shed(Unit& unit);
  bool tryRegionPage(Unit& unit, std::size_t page, std::uint64_t limit);
  bool reserveRegionPage(ObjectRegion& region, std::uint64_t number, std::uint64_t limit);
  bool tryExtent(Filling& filling, std::size_t page, std::uint8_t first_run, std::uint8_t runs);
  bool mayTake(const Filling& filling, std::uint64_t bytes) const;
  core::Eviction::Want wantOf(const Filling& filling, std::uint64_t bytes) const;
  void startPassing(Filling& filling);
  void dropPassing(Unit& unit);
  void endPassing(Unit& unit);
  std::optional<SlabExtent> trySlab(std::uint32_t wanted);
  void freeExtent(Unit& unit, PageState& page, std::size_t i);
  void freeRegionPage(Unit& unit, std::size_t page);
  bool mayHaveRegion(const Unit& unit) const;
  bool promote(Unit& unit, std::size_t page, std::uint64_t limit);
  void promoteWhole(Unit& unit);
  bool vacatePage();
  bool moveAway(std::uint32_t slab_page);
  void charge(Unit& unit, std::int64_t delta, bool passing = false);
  void tidy(Unit& unit);
  void freeMemory(Unit& unit);
  void dropRegion(std::shared_ptr<ObjectRegion>& region);
  void dropUnusedRegion(Unit& unit);
  void refreshOutside();
  void evict(core::Eviction::Victim victim);
  bool leavesWhole(const Object& object) const;
  void detach(Unit& unit, bool left_for_room);
  void countLeft(core::LeaveReason reason, std::uint64_t bytes);
  void removeUnit(Unit& unit, core::LeaveReason reason);
  void removeObject(Object& object, core::LeaveReason reason);
  void dropIfEmpty(Unit& unit);
  void dropObject(Object& object);
  std::byte* addressOf(const Unit& unit, std::uint32_t run) const;

  // --- files for others (arena_export.cc)
  Status shareToExport(std::uint64_t bytes);
  void wentAway(Object& object);
  void endAway(Object& object);
  bool isHome(Object& object);
  void bringHome();

  // --- spares (arena_spares.cc)
  std::uint64_t spareBytes() const { return spares.bytes() + making_bytes; }
  std::uint64_t sparesToHave() const;  // that are made ready ahead
  bool makeRegion(Object& object);
  void retireRegion(Object& object);  // all of the object leaves: what its region has is kept, where it may be
  bool giveSparesBack(std::uint64_t bytes);
  bool startFile();
  void fileIsMade();

  // --- by name (arena_sweep.cc)
  void sweepObject(Object& object, Sweep& sweep);

  Arena& arena;
  core::Eviction eviction;
  std::unique_ptr<SlabRegion> slab;
  std::unordered_map<core::ObjectKey, std::unique_ptr<Object>, detail::KeyHash> objects;
  detail::ByName by_name;
  std::vector<Unit*> by_ref;
  std::map<std::pair<std::uint32_t, std::uint16_t>, Unit*> slab_owners;  // by slab page and first unit
  std::unordered_map<Unit*, std::unique_ptr<Unit>> forgotten;            // still in use
  std::list<Object*> away;                                               // the next to be looked at first
  std::uint64_t region_bytes = 0, index_bytes = 0, outside_bytes = 0, exported_bytes = 0;
  Spares spares;
  std::uint64_t ready_bytes = 0;                         // of region_bytes, in pages that hold nothing
  std::vector<std::weak_ptr<ObjectRegion>> begun_ready;  // that began with such pages
  std::optional<SpareFile> making;                       // is being written, from its start
  std::uint64_t making_bytes = 0;                        // of it, what is being written included
  bool making_now = false;                               // somebody writes to it
  bool makes_none = false;                               // the kernel had no memory: until the next region
  std::uint64_t last_region_size = 0;
  std::uint64_t client_pinned_bytes = 0;
  const std::shared_ptr<BlockPool> view_blocks = std::make_shared<BlockPool>(1'024);  // of views that are being sent
  std::uint64_t next_region_name = 1;
  std::uint32_t regions = 0;
  std::uint64_t units = 0, pinned_bytes = 0, refused = 0, not_admitted = 0, evicted_units = 0, evicted_bytes = 0;
  io::Descriptor lock;

  Gauge& used_gauge;
  Gauge& transit_gauge;
  Gauge& exported_gauge;
  Gauge& spare_gauge;
  Counter& ready_pages_counter;
  Counter& fresh_pages_counter;
  Gauge& client_pinned_gauge;
  Counter& refused_counter;
  Counter& not_admitted_counter;
  std::array<Counter*, core::kLeaveReasons> evicted_bytes_by{}, evicted_by{};
};

}  // namespace forebay::store
