#include "store/arena.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/hash.h"
#include "store/arena_impl.h"

namespace forebay::store {

using core::kGranule;
using core::kRun;
using core::LeaveReason;
using core::Placement;
using detail::kGranulesPerRun;
using detail::kRunsPerPage;

namespace detail {

std::uint32_t Unit::runLength(std::uint32_t run) const {
  return std::min<std::uint32_t>(kRun, length - run * kRun);
}

std::uint8_t Unit::allRuns(std::size_t page) const {
  const std::uint64_t left = divideUp(length - page * kPage, kRun);
  return left >= kRunsPerPage ? 0xff : static_cast<std::uint8_t>((1U << left) - 1);
}

std::uint32_t Object::chunkLength(std::uint32_t chunk) const {
  const std::uint64_t start = std::uint64_t{chunk} << chunk_bits;
  if (start >= size) return 0;
  return static_cast<std::uint32_t>(std::min(size - start, std::uint64_t{1} << chunk_bits));
}

}  // namespace detail

namespace {

constexpr std::uint32_t kRetryMs = 20;  // about what a reader needs to send a chunk on and let it go

// Two arenas in one directory would delete each other's files.
Result<io::Descriptor> lockDirectory(int directory) {
  io::Descriptor fd(::openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return failErrno("make the lock file of the arena's directory", errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Code::Busy, "the arena's directory is in use by another node: give each node its own");
  return fd;
}

// Files of a process that died belong to nobody.
Status deleteLeftovers(int directory) {
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failErrno("list the arena's directory", errno);
  DIR* dir = ::fdopendir(fd);
  if (dir == nullptr) {
    const int error = errno;
    ::close(fd);
    return failErrno("list the arena's directory", error);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && name != "lock") names.emplace_back(name);
  }
  ::closedir(dir);
  for (const std::string& name : names)
    if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT)
      return failErrno(fmt::format("delete '{}' of an earlier process from the arena's directory", name), errno);
  return {};
}

std::uint32_t defaultRegions() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  constexpr std::uint64_t kMost = 16'384;  // a quarter of max_map_count's default: each has a mapping too
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit.rlim_cur / 4, kMost));
}

core::EvictionOptions withCapacity(core::EvictionOptions options, std::uint64_t capacity) {
  options.capacity_bytes = capacity;
  return options;
}

}  // namespace

// ---- start and end

Arena::Impl::Impl(Arena& owner, Metrics& metrics)
    : arena(owner),
      eviction(withCapacity(owner.options_.eviction, owner.options_.capacity_bytes)),
      used_gauge(metrics.gauge("forebay_arena_used_bytes", "Memory that the arena takes, of all kinds.")),
      transit_gauge(metrics.gauge("forebay_arena_transit_bytes", "Of it, charged to transit copies.")),
      exported_gauge(metrics.gauge("forebay_arena_exported_bytes",
                                   "Of it, whole objects that clients or the kernel may read as files.")),
      spare_gauge(metrics.gauge("forebay_arena_spare_bytes",
                                "Of it, free memory that is kept, or was made ready, for objects to come.")),
      ready_pages_counter(
          metrics.counter("forebay_arena_pages_total", "Pages of 2 MiB that objects took.", {{"memory", "ready"}})),
      fresh_pages_counter(
          metrics.counter("forebay_arena_pages_total", "Pages of 2 MiB that objects took.", {{"memory", "fresh"}})),
      client_pinned_gauge(metrics.gauge("forebay_arena_pinned_bytes",
                                        "Of it, what programs of this machine have in view, which can't leave.")),
      refused_counter(metrics.counter("forebay_arena_refused_total", "Fills refused because nothing could leave.")),
      not_admitted_counter(metrics.counter("forebay_arena_not_admitted_total",
                                           "Fills kept as transit copies only: their mount's share was full.")) {
  metrics.gauge("forebay_arena_capacity_bytes", "The arena's cap.")
      .set(static_cast<std::int64_t>(owner.options_.capacity_bytes));
  for (std::size_t i = 0; i < core::kLeaveReasons; ++i) {
    const Labels labels{{"reason", std::string(core::reasonName(static_cast<LeaveReason>(i)))}};
    evicted_bytes_by[i] = &metrics.counter("forebay_arena_left_bytes_total", "Bytes that left the arena.", labels);
    evicted_by[i] = &metrics.counter("forebay_arena_left_units_total", "Units (chunks) that left the arena.", labels);
  }
}

Arena::Impl::~Impl() {
  assert(pinned_bytes == 0 && "a View or a Reservation outlives its arena");
}

Arena::Arena(ArenaOptions options, Metrics& metrics)
    : options_(std::move(options)), impl_(std::make_unique<Impl>(*this, metrics)) {}

Arena::~Arena() = default;

Result<std::unique_ptr<Arena>> Arena::create(ArenaOptions options, Metrics& metrics) {
  if (options.capacity_bytes < kMinArena)
    return fail(Code::InvalidArgument,
                fmt::format("an arena of {} bytes: at least {} are needed; give the node more memory",
                            options.capacity_bytes, kMinArena));
  options.capacity_bytes = roundDown(options.capacity_bytes, kUnit);
  if (options.max_object_regions == 0) options.max_object_regions = defaultRegions();
  const bool has_directory = options.directory.has_value();
  std::string note = has_directory ? fmt::format("arena in {}", options.directory->how)
                                   : "arena in slabs only: large objects have no files of their own";
  auto arena = std::unique_ptr<Arena>(new Arena(std::move(options), metrics));
  arena->note_ = std::move(note);
  if (has_directory) {
    const int directory = arena->options_.directory->directory.get();
    arena->impl_->lock = TRY(lockDirectory(directory));
    TRY(deleteLeftovers(directory));
  }
  arena->impl_->slab = TRY(SlabRegion::create(arena->options_.capacity_bytes,
                                              has_directory ? arena->options_.directory->directory.get() : -1));
  arena->impl_->index_bytes = arena->impl_->slab->allocator().memoryBytes() + arena->impl_->slab->tableBytes();
  return arena;
}

Status Arena::addMount(core::MountId mount, core::CachePolicy policy) {
  return impl_->eviction.addMount(mount, policy);
}
void Arena::removeMount(core::MountId mount) {
  impl_->eviction.removeMount(mount);
}
void Arena::jobEnded(TimePoint now, core::MountId mount) {
  impl_->eviction.jobEnded(now, mount);
}

// ---- the index

detail::Object* Arena::Impl::find(const core::ObjectKey& key) const {
  auto known = objects.find(key);
  return known == objects.end() ? nullptr : known->second.get();
}

detail::Unit* Arena::Impl::unitOf(const Object& object, std::uint32_t chunk) const {
  auto known = object.units.find(object.unitOf(chunk));
  return known == object.units.end() ? nullptr : known->second.get();
}

detail::Object& Arena::Impl::objectOf(const core::Plan& plan) {
  auto [known, fresh] = objects.try_emplace(plan.key);
  if (fresh) {
    known->second = std::make_unique<Object>();
    Object& made = *known->second;
    made.key = plan.key;
    made.mount = plan.mount;
    made.size = plan.size;
    made.chunk_bits = plan.chunk_bits;
    made.named = by_name.emplace(detail::NameOrder{plan.mount, plan.path, plan.key}, &made).first;
    index_bytes += detail::objectCost(plan.path);
  }
  return *known->second;
}

Status Arena::Impl::checkRequest(const core::Plan& plan, const ReserveRequest& request) const {
  if (plan.chunk_bits < core::kMinChunkBits || plan.chunk_bits > core::kMaxChunkBits)
    return fail(Code::InvalidArgument, fmt::format("chunks of 2^{} bytes: 1 to 64 MiB are possible", plan.chunk_bits));
  if (!eviction.knows(plan.mount)) return fail(Code::InvalidArgument, "the arena doesn't know this plan's mount");
  const std::uint64_t start = std::uint64_t{request.chunk} << plan.chunk_bits;
  if (start >= plan.size || request.runs.empty() || request.runs.end > divideUp(plan.chunkLength(request.chunk), kRun))
    return fail(Code::InvalidArgument, fmt::format("chunk {}, runs {} to {}: outside of an object of {} bytes",
                                                   request.chunk, request.runs.first, request.runs.end, plan.size));
  if (std::uint64_t{request.runs.size()} * kRun > usual() / 2)
    return fail(Code::InvalidArgument,
                fmt::format("{} bytes at once don't fit an arena of {} bytes: give the node more memory, or its mounts "
                            "smaller chunks",
                            std::uint64_t{request.runs.size()} * kRun, arena.options_.capacity_bytes));
  const Object* object = find(plan.key);
  if (object == nullptr) return {};
  if (object->size != plan.size || object->chunk_bits != plan.chunk_bits)
    return fail(Code::Internal, "two plans with one key disagree about size or chunks");
  const Unit* unit = unitOf(*object, request.chunk);
  if (unit == nullptr) return {};
  const std::uint32_t base = object->offsetInUnit(request.chunk) / kRun;
  for (std::uint32_t run = base + request.runs.first; run < base + request.runs.end; ++run) {
    const PageState& page = unit->pages[run / kRunsPerPage];
    if ((page.present >> (run % kRunsPerPage) & 1) != 0)
      return fail(Code::Internal, fmt::format("chunk {}, run {}: already there", request.chunk, run - base));
    if ((page.reserved >> (run % kRunsPerPage) & 1) != 0)
      return fail(Code::Busy, fmt::format("chunk {}, run {}: on its way already", request.chunk, run - base), kRetryMs);
  }
  return {};
}

std::uint64_t Arena::Impl::indexCostOf(const core::Plan& plan) const {
  const std::uint64_t unit = std::min(std::max<std::uint64_t>(plan.chunkSize(), kPage), plan.size);
  return detail::unitCost(unit) + (find(plan.key) == nullptr ? detail::objectCost(plan.path) : 0);
}

// The chunk's unit, new if need be; null: no room.
detail::Unit* Arena::Impl::admit(TimePoint now, const core::Plan& plan, const ReserveRequest& request) {
  if (const Object* object = find(plan.key)) {
    if (Unit* unit = unitOf(*object, request.chunk)) {
      // The other chunk of its page was a peer's, or there was no room then. Nobody leaves for it.
      const std::uint64_t bytes = std::uint64_t{request.runs.size()} * kRun;
      const Placement wanted = request.copy ? Placement::Copy : Placement::Owned;
      if (!request.transit && unit->placement == Placement::Transit && freeBytes() >= bytes)
        own(now, *unit, bytes, wanted);
      if (!request.transit && unit->placement == Placement::Copy) place(*unit, wanted);
      return unit;
    }
  }
  const std::uint64_t index_cost = indexCostOf(plan);
  const core::Eviction::Want want{.mount = plan.mount,
                                  .bytes = std::uint64_t{request.runs.size()} * kRun + index_cost,
                                  .chunk_bytes = std::max<std::uint64_t>(plan.chunkLength(request.chunk), kPage),
                                  .free_bytes = freeBytes()};
  if (want.free_bytes < want.bytes) bringHome();
  Placement placement = Placement::Transit;
  if (!request.transit) {
    placement = eviction.place(now, request.copy ? Placement::Copy : Placement::Owned, want);
    if (placement == Placement::Transit) countNotAdmitted();
  }
  // Before the object is made: whoever leaves may be the last of it.
  if (!makeRoomForIndex(now, index_cost, want, placement)) return nullptr;
  Object& object = objectOf(plan);
  return makeUnit(now, object, object.unitOf(request.chunk), placement);
}

// A transit copy, to which `bytes` come, stays from now on if its mount's share allows it. What is owned isn't made a
// copy again: one of its two chunks may be this node's.
void Arena::Impl::own(TimePoint now, Unit& unit, std::uint64_t bytes, Placement placement) {
  if (unit.placement != Placement::Transit) {
    if (unit.placement == Placement::Copy) place(unit, placement);
    return ownPassing(unit);
  }
  const core::Eviction::Want want{.mount = unit.object->mount,
                                  .bytes = bytes,
                                  .chunk_bytes = std::max<std::uint64_t>(unit.length, kPage),
                                  .free_bytes = freeBytes()};
  if (!eviction.mayTake(now, want)) return;
  place(unit, placement);
}

void Arena::Impl::place(Unit& unit, Placement placement) {
  eviction.move(unit.ref, placement);
  unit.placement = placement;
}

void Arena::keep(TimePoint now, const core::ObjectKey& key, std::uint32_t chunk, bool copy) {
  const detail::Object* object = impl_->find(key);
  if (object == nullptr) return;
  if (detail::Unit* unit = impl_->unitOf(*object, chunk))
    impl_->own(now, *unit, 0, copy ? Placement::Copy : Placement::Owned);
}

detail::Unit* Arena::Impl::makeUnit(TimePoint now, Object& object, std::uint32_t index, Placement placement) {
  const std::uint64_t start = std::uint64_t{index} << object.unitBits();
  auto made = std::make_unique<Unit>();
  made->object = &object;
  made->index = index;
  made->start = start;
  made->length = static_cast<std::uint32_t>(std::min(object.size - start, std::uint64_t{1} << object.unitBits()));
  made->pages.resize(divideUp(made->length, kPage));
  made->crcs.resize(divideUp(made->length, kGranule));
  made->placement = placement;
  const std::uint64_t fingerprint = mix64(loadLe<std::uint64_t>(object.key.bytes.data()) + mix64(index));
  made->ref = eviction.insert(now, object.mount, fingerprint, made->placement);
  if (by_ref.size() <= made->ref) by_ref.resize(made->ref + 1);
  Unit* unit = by_ref[made->ref] = made.get();
  index_bytes += detail::unitCost(unit->length);
  ++units;
  object.units.emplace(index, std::move(made));
  return unit;
}

void Arena::Impl::hold(Unit& unit, std::uint32_t& count) {
  if (!unit.inUse()) pinned_bytes += unit.charge + unit.passing_charge;
  ++count;
  if (unit.object == nullptr) return;
  eviction.hold(unit.ref);
  if (unit.passing) eviction.hold(*unit.passing);
}

void Arena::Impl::release(Unit& unit, std::uint32_t& count) {
  assert(count != 0);
  --count;
  if (!unit.inUse()) pinned_bytes -= unit.charge + unit.passing_charge;
  if (unit.object != nullptr) eviction.release(unit.ref);
  if (unit.passing) {
    eviction.release(*unit.passing);
    if (!unit.inUse() && unit.passing_charge == 0) endPassing(unit);
  }
  if (unit.promotable && unit.views == 0) promoteWhole(unit);
  dropIfEmpty(unit);
  updateMetrics();
}

void Arena::Impl::updateMetrics() {
  used_gauge.set(static_cast<std::int64_t>(used()));
  transit_gauge.set(static_cast<std::int64_t>(eviction.transitBytes()));
  exported_gauge.set(static_cast<std::int64_t>(exported_bytes));
  spare_gauge.set(static_cast<std::int64_t>(spareBytes() + ready_bytes));
  client_pinned_gauge.set(static_cast<std::int64_t>(client_pinned_bytes));
}

// ---- filling

Result<Reservation> Arena::reserve(TimePoint now, const core::Plan& plan, const ReserveRequest& request) {
  Impl& impl = *impl_;
  TRY(impl.checkRequest(plan, request));
  impl.eviction.setCapacity(impl.entryCapacity());
  detail::Unit* unit = impl.admit(now, plan, request);
  if (unit == nullptr) return impl.refuse();
  impl.hold(*unit, unit->fills);
  const std::uint32_t base = unit->object->offsetInUnit(request.chunk) / kRun;
  const core::RunRange runs{base + request.runs.first, base + request.runs.end};
  Impl::Filling filling{.now = now, .unit = *unit, .mount = plan.mount, .placement = unit->placement};
  if (request.transit && unit->placement != Placement::Transit) impl.startPassing(filling);
  if (!impl.placeRuns(filling, runs)) {
    impl.abandon(*unit, runs);
    impl.release(*unit, unit->fills);
    return impl.refuse();
  }
  Reservation made;
  made.arena_ = this;
  made.unit_ = unit;
  made.runs_ = request.runs;
  made.chunk_offset_ = request.runs.first * kRun;
  made.first_granule_ = runs.first * kGranulesPerRun;
  made.size_ = (runs.size() - 1) * kRun + unit->runLength(runs.end - 1);
  impl.spansOf(*unit, runs, made.spans_);
  impl.updateMetrics();
  return made;
}

void Arena::Impl::countNotAdmitted() {
  ++not_admitted;
  not_admitted_counter.add();
}

std::unexpected<Error> Arena::Impl::refuse() {
  ++refused;
  refused_counter.add();
  return fail(Code::Busy, "the arena is full of bytes in use: try again, or give the node more memory", kRetryMs);
}

std::byte* Arena::Impl::addressOf(const Unit& unit, std::uint32_t run) const {
  const PageState& page = unit.pages[run / kRunsPerPage];
  if (page.in_region) return unit.region->at(unit.start + std::uint64_t{run} * kRun);
  const auto in_page = static_cast<std::uint8_t>(run % kRunsPerPage);
  for (const detail::Extent& extent : page.extents)
    if ((extent.mask() >> in_page & 1) != 0)
      return slab->at(extent.place) + std::uint64_t{in_page - std::uint32_t{extent.first_run}} * kRun;
  return nullptr;
}

void Arena::Impl::spansOf(const Unit& unit, core::RunRange runs, std::vector<MutableBytes>& out) const {
  for (std::uint32_t run = runs.first; run < runs.end; ++run) {
    std::byte* at = addressOf(unit, run);
    assert(at != nullptr);
    const std::uint32_t length = unit.runLength(run);
    if (!out.empty() && out.back().data() + out.back().size() == at)
      out.back() = MutableBytes(out.back().data(), out.back().size() + length);
    else
      out.emplace_back(at, length);
  }
}

// `runs` in the unit: reserved until now, readable from now on.
void Arena::Impl::publish(Unit& unit, core::RunRange runs) {
  bool whole = false;
  for (std::uint32_t run = runs.first; run < runs.end; ++run) {
    PageState& page = unit.pages[run / kRunsPerPage];
    const auto bit = static_cast<std::uint8_t>(1U << (run % kRunsPerPage));
    assert((page.reserved & bit) != 0);
    page.reserved &= static_cast<std::uint8_t>(~bit);
    page.present |= bit;
    whole |= !page.in_region && page.present == unit.allRuns(run / kRunsPerPage);
  }
  if (whole) promoteWhole(unit);
}

void Arena::Impl::abandon(Unit& unit, core::RunRange runs) {
  for (std::uint32_t run = runs.first; run < runs.end; ++run)
    unit.pages[run / kRunsPerPage].reserved &= static_cast<std::uint8_t>(~(1U << (run % kRunsPerPage)));
  tidy(unit);
}

Reservation::Reservation(Reservation&& other) noexcept {
  *this = std::move(other);
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  abandon();
  arena_ = std::exchange(other.arena_, nullptr);
  unit_ = std::exchange(other.unit_, nullptr);
  runs_ = other.runs_;
  chunk_offset_ = other.chunk_offset_;
  size_ = other.size_;
  first_granule_ = other.first_granule_;
  committed_ = other.committed_;
  published_ = other.published_;
  spans_ = std::move(other.spans_);
  return *this;
}

std::uint32_t Reservation::granules() const {
  return static_cast<std::uint32_t>(divideUp(size_, kGranule));
}

std::uint32_t Reservation::committedBytes() const {
  return std::min(size_, committed_ * kGranule);
}

bool Reservation::wanted() const {
  return unit_ != nullptr && unit_->object != nullptr;
}

MutableBytes Reservation::roomAt(std::uint32_t offset) const {
  for (MutableBytes span : spans_) {
    if (offset < span.size()) return span.subspan(offset);
    offset -= static_cast<std::uint32_t>(span.size());
  }
  return {};
}

void Reservation::commit(std::span<const std::uint32_t> crcs) {
  assert(arena_ != nullptr && committed_ + crcs.size() <= granules());
  std::copy(crcs.begin(), crcs.end(), unit_->crcs.begin() + first_granule_ + committed_);
  committed_ += static_cast<std::uint32_t>(crcs.size());
  const std::uint32_t whole = complete() ? runs_.size() : committed_ / kGranulesPerRun;
  if (whole == published_) return;
  const std::uint32_t first = first_granule_ / kGranulesPerRun;
  const core::RunRange fresh{first + published_, first + whole};
  published_ = whole;
  arena_->impl_->publish(*unit_, fresh);
}

void Reservation::abandon() {
  if (arena_ == nullptr) return;
  Arena::Impl& impl = *std::exchange(arena_, nullptr)->impl_;
  detail::Unit& unit = *std::exchange(unit_, nullptr);
  const std::uint32_t first = first_granule_ / kGranulesPerRun;
  if (published_ != runs_.size()) impl.abandon(unit, {first + published_, first + runs_.size()});
  impl.release(unit, unit.fills);
  spans_.clear();
}

// ---- what is there

core::RunSet Arena::present(const core::ObjectKey& key, std::uint32_t chunk) const {
  core::RunSet set;
  const detail::Object* object = impl_->find(key);
  const detail::Unit* unit = object == nullptr ? nullptr : impl_->unitOf(*object, chunk);
  if (unit == nullptr) return set;
  const std::uint32_t base = object->offsetInUnit(chunk) / kRun;
  const auto runs = static_cast<std::uint32_t>(divideUp(object->chunkLength(chunk), kRun));
  for (std::uint32_t run = 0; run < runs; ++run)
    if ((unit->pages[(base + run) / kRunsPerPage].present >> ((base + run) % kRunsPerPage) & 1) != 0) set.add(run);
  return set;
}

std::vector<std::uint64_t> Arena::held(const core::ObjectKey& key) const {
  std::vector<std::uint64_t> bytes;
  const detail::Object* object = impl_->find(key);
  if (object == nullptr) return bytes;
  for (const auto& [index, unit] : object->units) {
    const auto runs = static_cast<std::uint32_t>(divideUp(unit->length, kRun));
    for (std::uint32_t run = 0; run < runs; ++run) {
      if ((unit->pages[run / kRunsPerPage].present >> (run % kRunsPerPage) & 1) == 0) continue;
      const std::uint64_t chunk = (unit->start + std::uint64_t{run} * kRun) >> object->chunk_bits;
      if (bytes.size() <= chunk) bytes.resize(chunk + 1);
      bytes[chunk] += unit->runLength(run);
    }
  }
  return bytes;
}

void Arena::forget(const core::ObjectKey& key) {
  if (detail::Object* object = impl_->find(key)) impl_->removeObject(*object, LeaveReason::Forgotten);
  impl_->updateMetrics();
}

// ---- counting

std::uint64_t Arena::usedBytes() const {
  return impl_->used();
}

ArenaStats Arena::stats() const {
  // Nobody tells when the last user of a dropped region has gone.
  if (impl_->outside_bytes != 0) {
    impl_->refreshOutside();
    impl_->updateMetrics();
  }
  const Impl& impl = *impl_;
  return {.capacity = options_.capacity_bytes,
          .used = impl.used(),
          .region_bytes = impl.region_bytes,
          .spare_bytes = impl.spareBytes() + impl.ready_bytes,
          .slab_bytes = impl.slab->bytes(),
          .slab_free = impl.slab->allocator().freeUnits() * kUnit,
          .index_bytes = impl.index_bytes + impl.eviction.ghosts() * detail::kGhostCost,
          .outside_bytes = impl.outside_bytes,
          .exported_bytes = impl.exported_bytes,
          .transit_bytes = impl.eviction.transitBytes(),
          .pinned_bytes = impl.pinned_bytes,
          .client_pinned_bytes = impl.client_pinned_bytes,
          .objects = impl.objects.size(),
          .units = impl.units,
          .regions = impl.regions,
          .evicted_bytes = impl.evicted_bytes,
          .evicted_units = impl.evicted_units,
          .refused = impl.refused,
          .not_admitted = impl.not_admitted};
}

std::uint64_t Arena::measuredBytes() const {
  const SlabRegion& slab = *impl_->slab;
  // Of a tmpfs the slabs and their table are part, as the kernel counts it.
  std::uint64_t bytes = impl_->index_bytes - slab.tableBytes() + (slab.shared() ? 0 : slab.blockBytes());
  struct statfs info{};
  if (options_.directory && ::fstatfs(options_.directory->directory.get(), &info) == 0)
    bytes += (info.f_blocks - info.f_bfree) * static_cast<std::uint64_t>(info.f_bsize);
  return bytes;
}

}  // namespace forebay::store
