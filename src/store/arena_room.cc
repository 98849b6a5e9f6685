// The arena's memory: who gets it, who gives it back, and the cap over all of it.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "store/arena_impl.h"

namespace forebay::store {

using core::kRun;
using core::LeaveReason;
using core::Placement;
using detail::Extent;
using detail::kExtentCost;
using detail::kRunsPerPage;

namespace {
constexpr std::uint64_t kWholePart = 8;  // of the arena: an object that is larger doesn't leave for the room of a chunk
}  // namespace

// ---- the cap

std::uint64_t Arena::Impl::used() const {
  const std::uint64_t ghosts = eviction.ghosts() * detail::kGhostCost;
  return region_bytes + spareBytes() + slab->bytes() + index_bytes + outside_bytes + ghosts;
}

// One page is kept for promotions: moving a page from slabs to its region needs both places for a moment.
std::uint64_t Arena::Impl::usual() const {
  const std::uint64_t capacity = arena.options_.capacity_bytes;
  return capacity >= std::uint64_t{16} * kPage ? capacity - kPage : capacity;
}

std::uint64_t Arena::Impl::entryCapacity() const {
  const std::uint64_t others = index_bytes + outside_bytes + eviction.ghosts() * detail::kGhostCost;
  return usual() > others ? usual() - others : 0;
}

std::uint64_t Arena::Impl::freeBytes() const {
  const std::uint64_t taken = used() - slab->allocator().freeUnits() * kUnit - spares.bytes() - ready_bytes;
  return usual() > taken ? usual() - taken : 0;
}

bool Arena::Impl::room(std::uint64_t bytes, std::uint64_t limit) {
  for (;;) {
    if (used() + bytes <= limit) return true;
    if (giveSparesBack(used() + bytes - limit)) continue;
    if (slab->giveBack()) continue;
    if (outside_bytes != 0) {
      refreshOutside();
      if (used() + bytes <= limit) return true;
    }
    if (!vacatePage()) return false;
  }
}

void Arena::Impl::refreshOutside() {
  struct statfs info{};
  if (!arena.options_.directory || ::fstatfs(arena.options_.directory->directory.get(), &info) != 0) return;
  const std::uint64_t all = (info.f_blocks - info.f_bfree) * static_cast<std::uint64_t>(info.f_bsize);
  const std::uint64_t ours = region_bytes + spareBytes() + (slab->shared() ? slab->blockBytes() : 0);
  outside_bytes = all > ours ? all - ours : 0;
}

void Arena::Impl::charge(Unit& unit, std::int64_t delta, bool passing) {
  (passing ? unit.passing_charge : unit.charge) += static_cast<std::uint64_t>(delta);
  if (unit.inUse()) pinned_bytes += static_cast<std::uint64_t>(delta);
  if (unit.client_pins != 0) client_pinned_bytes += static_cast<std::uint64_t>(delta);
  if (unit.object != nullptr) eviction.charge(passing ? *unit.passing : unit.ref, delta);
}

// ---- taking memory

bool Arena::Impl::mayHaveRegion(const Unit& unit) const {
  const Object& object = *unit.object;
  if (!arena.options_.directory || object.size < kPage) return false;
  return object.region != nullptr || regions < arena.options_.max_object_regions;
}

bool Arena::Impl::tryRegionPage(Unit& unit, std::size_t page, std::uint64_t limit) {
  Object& object = *unit.object;
  if (object.region == nullptr) {
    // Whoever must leave for its first page may leave a file for all of it.
    if (freeBytes() < kPage) return false;
    if (!room(detail::kRegionCost, limit) || !makeRegion(object)) return false;
  }
  if (reserveRegionPage(*object.region, unit.regionPage(page), limit)) {
    if (unit.region != object.region) {
      dropRegion(unit.region);
      unit.region = object.region;
    }
    unit.pages[page].in_region = true;
    charge(unit, static_cast<std::int64_t>(object.region->pageBytes(unit.regionPage(page))));
    // A kernel that rounds a tail up to 2 MiB took more than asked.
    if (used() <= arena.options_.capacity_bytes) return true;
    freeRegionPage(unit, page);
  }
  dropUnusedRegion(unit);
  if (object.region != nullptr && object.region->pages() == 0) dropRegion(object.region);
  return false;
}

std::optional<SlabExtent> Arena::Impl::trySlab(std::uint32_t wanted) {
  if (auto got = slab->allocator().allocate(wanted)) return got;
  if (room(kPage, usual()) && slab->populate()) return slab->allocator().allocate(wanted);
  if (vacatePage()) return slab->allocator().allocate(wanted);
  return std::nullopt;
}

bool Arena::Impl::tryExtent(Filling& filling, std::size_t page, std::uint8_t first_run, std::uint8_t runs) {
  Unit& unit = filling.unit;
  std::uint64_t bytes = 0;
  for (std::uint32_t run = first_run; run < std::uint32_t{first_run} + runs; ++run)
    bytes += unit.runLength(static_cast<std::uint32_t>(page) * kRunsPerPage + run);
  if (!room(kExtentCost, usual())) return false;
  index_bytes += kExtentCost;
  auto place = trySlab(static_cast<std::uint32_t>(divideUp(bytes, kUnit)));
  if (!place) {
    index_bytes -= kExtentCost;
    return false;
  }
  unit.pages[page].extents.push_back({*place, first_run, runs, filling.passing()});
  slab_owners[{place->page, place->first}] = &unit;
  charge(unit, static_cast<std::int64_t>(place->bytes()), filling.passing());
  return true;
}

void Arena::Impl::freeExtent(Unit& unit, PageState& page, std::size_t i) {
  const SlabExtent place = page.extents[i].place;
  const bool passing = page.extents[i].passing;
  slab_owners.erase({place.page, place.first});
  slab->free(place);
  page.extents.erase(page.extents.begin() + static_cast<std::ptrdiff_t>(i));
  index_bytes -= kExtentCost;
  charge(unit, -static_cast<std::int64_t>(place.bytes()), passing);
}

void Arena::Impl::freeRegionPage(Unit& unit, std::size_t page) {
  ObjectRegion& region = *unit.region;
  const std::uint64_t number = unit.regionPage(page);
  const std::uint64_t before = region.blockBytes(), ready_before = region.readyBytes();
  region.freePage(number);
  region_bytes -= before - region.blockBytes();
  ready_bytes += region.readyBytes() - ready_before;
  unit.pages[page].in_region = false;
  charge(unit, -static_cast<std::int64_t>(region.pageBytes(number)));
}

// ---- placing runs: evicting until there is room

bool Arena::Impl::placeRuns(Filling& filling, core::RunRange runs) {
  for (std::uint32_t run = runs.first; run < runs.end;) {
    const std::size_t page = run / kRunsPerPage;
    std::uint8_t wanted = 0;
    for (; run < runs.end && run / kRunsPerPage == page; ++run)
      wanted |= static_cast<std::uint8_t>(1U << (run % kRunsPerPage));
    if (!placePage(filling, page, wanted)) return false;
  }
  return true;
}

bool Arena::Impl::placePage(Filling& filling, std::size_t number, std::uint8_t wanted) {
  Unit& unit = filling.unit;
  // A page that this fill makes whole goes to its region at once, with what it has so far.
  while (!filling.passing() && unit.views == 0 && unit.pages[number].reserved == 0 && !unit.pages[number].in_region &&
         (unit.pages[number].present | wanted) == unit.allRuns(number) && mayHaveRegion(unit)) {
    respectTransit(filling, kPage);
    if (mayTake(filling, kPage) && promote(unit, number, usual())) break;
    if (!evictFor(filling, kPage)) break;
  }
  unit.pages[number].reserved |= wanted;  // before anything is evicted for it: shed() keeps what is reserved
  // Only what has no place yet: an abandoned fill left its extent. Eviction may take the unit's own older runs.
  for (std::uint8_t missing = 0; (missing = wanted & static_cast<std::uint8_t>(~unit.pages[number].placed())) != 0;) {
    const auto first = static_cast<std::uint8_t>(std::countr_zero(missing));
    const auto runs = static_cast<std::uint8_t>(std::countr_one(static_cast<unsigned>(missing) >> first));
    if (!placeGroup(filling, number, first, runs)) return false;
  }
  return true;
}

bool Arena::Impl::placeGroup(Filling& filling, std::size_t page, std::uint8_t first_run, std::uint8_t runs) {
  const std::uint64_t bytes = std::min<std::uint64_t>(std::uint64_t{runs} * kRun, roundUp(filling.unit.length, kUnit));
  for (;;) {
    respectTransit(filling, bytes);
    if (mayTake(filling, bytes) && tryExtent(filling, page, first_run, runs)) return true;
    if (runs > 1 && mayTake(filling, kRun) && tryExtent(filling, page, first_run, 1))
      return true;  // the caller comes back for the rest
    if (!evictFor(filling, bytes)) return false;
  }
}

core::Eviction::Want Arena::Impl::wantOf(const Filling& filling, std::uint64_t bytes) const {
  return {.mount = filling.mount, .bytes = bytes, .chunk_bytes = filling.unit.length, .free_bytes = freeBytes()};
}

bool Arena::Impl::mayTake(const Filling& filling, std::uint64_t bytes) const {
  return filling.placement == Placement::Transit || eviction.mayTake(filling.now, wantOf(filling, bytes));
}

void Arena::Impl::respectTransit(Filling& filling, std::uint64_t bytes) {
  const core::Eviction::Want want = wantOf(filling, bytes);
  while (auto victim = eviction.overflow(filling.placement, want)) evict(*victim);
}

// One step towards room: somebody leaves, or what is filled becomes a transit copy. False: nothing more can be done.
bool Arena::Impl::evictFor(Filling& filling, std::uint64_t bytes) {
  Unit& unit = filling.unit;
  // Regions that others hold give nothing back at once: never empty the arena for one fill.
  if (filling.evicted > std::max(64 * kMiB, std::uint64_t{8} * unit.length)) return false;
  bringHome();
  if (auto victim = eviction.victim(filling.now, filling.placement, wantOf(filling, bytes))) {
    const Unit& leaving = *by_ref[victim->ref];
    filling.evicted += victim->ref == leaving.ref ? leaving.charge : leaving.passing_charge;
    evict(*victim);
    return true;
  }
  if (filling.placement != Placement::Transit) {
    countNotAdmitted();
    startPassing(filling);
    return true;
  }
  return shed(unit);
}

// ---- runs that pass

void Arena::Impl::startPassing(Filling& filling) {
  Unit& unit = filling.unit;
  filling.placement = Placement::Transit;
  if (unit.charge == 0) {  // nothing of it belongs to the share yet: all of it is a transit copy
    eviction.move(unit.ref, Placement::Transit);
    unit.placement = Placement::Transit;
    return;
  }
  if (unit.passing) return;
  unit.passing = eviction.insert(filling.now, filling.mount, 0, Placement::Transit);
  if (by_ref.size() <= *unit.passing) by_ref.resize(*unit.passing + 1);
  by_ref[*unit.passing] = &unit;
  for (std::uint32_t i = 0; i < unit.views + unit.fills; ++i) eviction.hold(*unit.passing);
}

void Arena::Impl::dropPassing(Unit& unit) {
  for (PageState& page : unit.pages)
    for (std::size_t e = page.extents.size(); e-- > 0;) {
      if (!page.extents[e].passing) continue;
      page.present &= static_cast<std::uint8_t>(~page.extents[e].mask());
      freeExtent(unit, page, e);
    }
  endPassing(unit);
}

// What passed stays with the unit.
void Arena::Impl::ownPassing(Unit& unit) {
  if (!unit.passing) return;
  for (PageState& page : unit.pages)
    for (Extent& extent : page.extents) {
      if (!extent.passing) continue;
      const auto bytes = static_cast<std::int64_t>(extent.place.bytes());
      charge(unit, -bytes, true);
      extent.passing = false;
      charge(unit, bytes);
    }
  if (!unit.inUse()) endPassing(unit);
}

void Arena::Impl::endPassing(Unit& unit) {
  assert(unit.passing && unit.passing_charge == 0);
  eviction.remove(*unit.passing, false);
  by_ref[*unit.passing] = nullptr;
  unit.passing.reset();
}

// The last resort of a unit that alone is larger than what it may take: its own older runs.
bool Arena::Impl::shed(Unit& unit) {
  if (unit.views != 0 || unit.fills != 1) return false;
  const std::uint64_t before = unit.charge + unit.passing_charge;
  for (PageState& page : unit.pages)
    if (page.reserved == 0) page.present = 0;
  tidy(unit);
  const std::uint64_t freed = before - unit.charge - unit.passing_charge;
  evicted_bytes += freed;
  evicted_bytes_by[static_cast<std::size_t>(LeaveReason::Shed)]->add(freed);
  return freed != 0;
}

// The index's room is made as part of the whole: asked for alone, a few hundred bytes would push out a chunk of a full
// dataset, and its room would admit what the class doesn't.
bool Arena::Impl::makeRoomForIndex(TimePoint now, std::uint64_t bytes, const core::Eviction::Want& want,
                                   Placement& placement) {
  while (!room(bytes, usual())) {
    if (auto victim = eviction.victim(now, placement, want)) {
      evict(*victim);
    } else if (placement != Placement::Transit) {
      placement = Placement::Transit;
      countNotAdmitted();
    } else {
      return false;
    }
  }
  return true;
}

// ---- moving bytes

// A page's present runs move from slab extents to the object's region. Nobody may be reading or filling the page.
bool Arena::Impl::promote(Unit& unit, std::size_t number, std::uint64_t limit) {
  PageState& page = unit.pages[number];
  assert(unit.views == 0 && page.reserved == 0 && !page.in_region);
  if (!tryRegionPage(unit, number, limit)) return false;
  const std::uint64_t start = unit.start + number * kPage;
  for (const Extent& extent : page.extents) {
    for (std::uint32_t i = 0; i < extent.runs; ++i) {
      const std::uint32_t run = extent.first_run + i;
      if ((page.present >> run & 1) == 0) continue;
      const std::uint32_t length = unit.runLength(static_cast<std::uint32_t>(number) * kRunsPerPage + run);
      std::memcpy(unit.region->at(start + std::uint64_t{run} * kRun), slab->at(extent.place) + std::uint64_t{i} * kRun,
                  length);
    }
  }
  while (!page.extents.empty()) freeExtent(unit, page, page.extents.size() - 1);
  return true;
}

void Arena::Impl::promoteWhole(Unit& unit) {
  unit.promotable = false;
  if (unit.object == nullptr || !mayHaveRegion(unit)) return;
  for (std::size_t i = 0; i < unit.pages.size(); ++i) {
    const PageState& page = unit.pages[i];
    if (page.in_region || page.reserved != 0 || page.present != unit.allRuns(i)) continue;
    if (std::any_of(page.extents.begin(), page.extents.end(), [](const Extent& extent) { return extent.passing; }))
      continue;
    if (unit.views != 0) {
      unit.promotable = true;  // its last reader's end comes back here
      return;
    }
    if (!promote(unit, i, arena.options_.capacity_bytes)) return;
    room(0, usual());  // the page kept for the next promotion
  }
}

// Empties a slab page by moving its extents into holes elsewhere, so that small objects which leave here and there
// make room for a whole page. False: there aren't holes enough, or what lies there is in use.
bool Arena::Impl::vacatePage() {
  SlabAllocator& allocator = slab->allocator();
  if (allocator.freeUnits() < kUnitsPerPage || allocator.emptyPage()) return false;
  constexpr std::size_t kTries = 4;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> least;  // used units, page
  for (std::uint32_t page = 0; page < allocator.maxPages(); ++page) {
    if (!allocator.populated(page)) continue;
    least.emplace_back(allocator.usedUnits(page), page);
    std::push_heap(least.begin(), least.end());
    if (least.size() <= kTries) continue;
    std::pop_heap(least.begin(), least.end());
    least.pop_back();
  }
  std::sort(least.begin(), least.end());
  for (const auto& [taken, page] : least)
    if (moveAway(page)) return true;
  return false;
}

bool Arena::Impl::moveAway(std::uint32_t slab_page) {
  const auto begin = slab_owners.lower_bound({slab_page, 0});
  const auto end = slab_owners.lower_bound({slab_page + 1, 0});
  if (std::any_of(begin, end, [](const auto& owned) { return owned.second->inUse(); })) return false;
  std::vector<std::pair<std::uint16_t, Unit*>> owned;
  for (auto i = begin; i != end; ++i) owned.emplace_back(i->first.second, i->second);
  for (const auto& [first, unit] : owned) {
    Extent* extent = nullptr;
    for (PageState& page : unit->pages)
      for (Extent& candidate : page.extents)
        if (candidate.place.page == slab_page && candidate.place.first == first) extent = &candidate;
    assert(extent != nullptr);
    const auto place = slab->allocator().allocate(extent->place.units, slab_page);
    if (!place) return false;
    std::memcpy(slab->at(*place), slab->at(extent->place), place->bytes());
    slab_owners.erase({slab_page, first});
    slab_owners[{place->page, place->first}] = unit;
    slab->free(std::exchange(extent->place, *place));
  }
  return true;
}

// ---- giving memory back

// Frees places in which nothing is, and nothing will be.
void Arena::Impl::tidy(Unit& unit) {
  for (std::size_t i = 0; i < unit.pages.size(); ++i) {
    PageState& page = unit.pages[i];
    for (std::size_t e = page.extents.size(); e-- > 0;)
      if ((page.extents[e].mask() & (page.present | page.reserved)) == 0) freeExtent(unit, page, e);
    if (page.in_region && page.empty()) freeRegionPage(unit, i);
  }
  dropUnusedRegion(unit);
}

void Arena::Impl::dropUnusedRegion(Unit& unit) {
  if (unit.region == nullptr) return;
  if (std::any_of(unit.pages.begin(), unit.pages.end(), [](const auto& page) { return page.in_region; })) return;
  dropRegion(unit.region);
  if (unit.object != nullptr && unit.object->region != nullptr && unit.object->region->pages() == 0)
    dropRegion(unit.object->region);
}

void Arena::Impl::freeMemory(Unit& unit) {
  for (PageState& page : unit.pages) page.present = page.reserved = 0;
  tidy(unit);
  index_bytes -= detail::unitCost(unit.length);
  dropRegion(unit.region);
  --units;
}

void Arena::Impl::dropRegion(std::shared_ptr<ObjectRegion>& region) {
  if (region == nullptr) return;
  const bool last = region.use_count() == 1;
  const bool was_away = region->away();
  if (last) {
    region_bytes -= region->blockBytes();
    ready_bytes -= region->readyBytes();
    if (was_away) exported_bytes -= region->blockBytes();
    index_bytes -= detail::kRegionCost;
    --regions;
    if (region->retired()) spares.keep(std::move(*region).intoSpare());
  }
  region.reset();
  if (last && was_away) refreshOutside();
}

void Arena::Impl::evict(core::Eviction::Victim victim) {
  Unit& unit = *by_ref[victim.ref];
  if (victim.ref != unit.ref) {
    countLeft(victim.reason, unit.passing_charge);
    dropPassing(unit);
    return;
  }
  // What is away isn't punched: its object leaves whole.
  if (unit.region != nullptr && (unit.region->away() || leavesWhole(*unit.object))) {
    removeObject(*unit.object, victim.reason);
    return;
  }
  removeUnit(unit, victim.reason);
}

// An object that others own, and that was read as a file: all of it was read at the same time, as far as is known, and
// less than all of it can't be given as a file again. Its memory is the next one's only if it leaves whole.
bool Arena::Impl::leavesWhole(const Object& object) const {
  if (!object.region->hasBeenAway() || object.size > arena.options_.capacity_bytes / kWholePart) return false;
  return std::all_of(object.units.begin(), object.units.end(), [](const auto& unit) {
    return unit.second->placement == Placement::Copy && !unit.second->inUse();
  });
}

void Arena::Impl::removeUnit(Unit& unit, LeaveReason reason) {
  const std::uint64_t bytes = unit.charge + unit.passing_charge;
  Object& object = *unit.object;
  endAway(object);  // from now on nobody is given it
  detach(unit, reason != LeaveReason::Forgotten);
  auto node = object.units.extract(unit.index);
  if (unit.inUse()) {
    forgotten.emplace(&unit, std::move(node.mapped()));
  } else {
    freeMemory(unit);
  }
  if (object.units.empty()) {
    dropObject(object);
  } else if (object.region != nullptr && object.region->pages() == 0) {
    dropRegion(object.region);
  }
  countLeft(reason, bytes);
}

// From here on policy knows nothing of the unit; its memory stays until it is freed.
void Arena::Impl::detach(Unit& unit, bool left_for_room) {
  eviction.remove(unit.ref, left_for_room);
  by_ref[unit.ref] = nullptr;
  unit.object = nullptr;
  if (!unit.passing) return;
  eviction.remove(*unit.passing, false);
  by_ref[*unit.passing] = nullptr;
  unit.passing.reset();
}

void Arena::Impl::countLeft(LeaveReason reason, std::uint64_t bytes) {
  evicted_bytes += bytes;
  ++evicted_units;
  evicted_bytes_by[static_cast<std::size_t>(reason)]->add(bytes);
  evicted_by[static_cast<std::size_t>(reason)]->add();
}

void Arena::Impl::removeObject(Object& object, LeaveReason reason) {
  retireRegion(object);
  for (std::size_t left = object.units.size(); left > 0; --left) removeUnit(*object.units.begin()->second, reason);
}

void Arena::Impl::dropObject(Object& object) {
  endAway(object);
  dropRegion(object.region);
  index_bytes -= detail::objectCost(object.named->first.path);
  by_name.erase(object.named);
  objects.erase(core::ObjectKey(object.key));
}

// After an abandoned fill: a unit that holds nothing goes.
void Arena::Impl::dropIfEmpty(Unit& unit) {
  if (unit.inUse()) return;
  if (unit.object == nullptr) {
    freeMemory(unit);
    forgotten.erase(&unit);
    return;
  }
  const bool holds_any = std::any_of(unit.pages.begin(), unit.pages.end(), [](const auto& p) { return !p.empty(); });
  if (holds_any) return;
  Object& object = *unit.object;
  detach(unit, false);
  const auto node = object.units.extract(unit.index);
  freeMemory(unit);
  if (object.units.empty()) {
    dropObject(object);
  }
}

}  // namespace forebay::store
