#include "core/eviction.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

namespace forebay::core {
namespace {
constexpr std::array<std::string_view, kCacheClasses> kClassNames = {"dataset", "hot", "checkpoint", "scratch", "kv"};
constexpr std::array<std::string_view, kLeaveReasons> kReasonNames = {"idle",    "job_ended", "replaced", "reclaimed",
                                                                      "transit", "forgotten", "shed"};
constexpr std::uint8_t kMaxVisits = 3, kVisitsToStay = 2;  // S3-FIFO's, as published
constexpr std::size_t kMinGhosts = 64;
}  // namespace

std::string_view className(CacheClass cls) {
  return kClassNames[static_cast<std::size_t>(cls)];
}
std::string_view reasonName(LeaveReason reason) {
  return kReasonNames[static_cast<std::size_t>(reason)];
}
Result<CacheClass> parseClass(std::string_view name) {
  for (std::size_t i = 0; i < kCacheClasses; ++i)
    if (kClassNames[i] == name) return static_cast<CacheClass>(i);
  return fail(Code::InvalidArgument, fmt::format("class '{}': unknown; dataset and hot are known", name));
}

Status Eviction::addMount(MountId mount, CachePolicy policy) {
  if (policy.cls != CacheClass::Dataset && policy.cls != CacheClass::Hot)
    return fail(Code::Unsupported,
                fmt::format("class '{}': this version has no such cache; use dataset or hot", className(policy.cls)));
  if (policy.weight == 0)
    return fail(Code::InvalidArgument, "weight 0: a mount needs a share; give it a weight of 1 or more");
  auto [known, fresh] = mounts_.try_emplace(mount);
  if (!fresh && known->second.policy.cls != policy.cls && known->second.bytes() != 0)
    return fail(Code::InvalidArgument, fmt::format("class '{}': the mount already holds data as '{}'",
                                                   className(policy.cls), className(known->second.policy.cls)));
  known->second.policy = policy;
  known->second.removed = false;
  return {};
}

void Eviction::removeMount(MountId mount) {
  if (auto known = mounts_.find(mount); known != mounts_.end()) known->second.removed = true;
}

bool Eviction::knows(MountId mount) const {
  auto known = mounts_.find(mount);
  return known != mounts_.end() && !known->second.removed;
}

void Eviction::jobEnded(TimePoint now, MountId mount) {
  if (auto known = mounts_.find(mount); known != mounts_.end()) known->second.job_ended = now;
}

// ---- shares

Duration Eviction::interval(const Mount& mount) const {
  const Duration seen = std::max(mount.gap_now, mount.gap_before);
  return seen > Duration{0} ? seen : options_.unknown_interval;
}

bool Eviction::active(TimePoint now, const Mount& mount) const {
  if (mount.removed || !mount.seen) return false;
  const Duration seen = std::max(mount.gap_now, mount.gap_before);
  return now - mount.last_seen < std::max(options_.mount_idle, 2 * seen);
}

std::uint64_t Eviction::share(TimePoint now, MountId id) const {
  std::array<std::uint64_t, kCacheClasses> mounts_weight{};
  for (const auto& [other, mount] : mounts_)
    if (active(now, mount)) mounts_weight[static_cast<std::size_t>(mount.policy.cls)] += mount.policy.weight;
  std::uint64_t class_weights = 0;
  for (std::size_t i = 0; i < kCacheClasses; ++i)
    if (mounts_weight[i] != 0) class_weights += options_.class_weight[i];
  auto known = mounts_.find(id);
  if (known == mounts_.end() || !active(now, known->second) || class_weights == 0) return 0;
  const auto cls = static_cast<std::size_t>(known->second.policy.cls);
  const std::uint64_t shared = options_.capacity_bytes - transitReserve();
  // 128 bits: capacity times weight may pass 2^64
  __extension__ using Wide = unsigned __int128;
  const auto of_class = static_cast<std::uint64_t>(Wide{shared} * options_.class_weight[cls] / class_weights);
  return static_cast<std::uint64_t>(Wide{of_class} * known->second.policy.weight / mounts_weight[cls]);
}

std::uint64_t Eviction::mountBytes(MountId mount) const {
  auto known = mounts_.find(mount);
  return known == mounts_.end() ? 0 : known->second.bytes();
}

std::size_t Eviction::ghosts() const {
  std::size_t n = 0;
  for (const auto& [id, mount] : mounts_) n += mount.ghosts.order.size();
  return n;
}

// ---- admission

Placement Eviction::place(TimePoint now, Placement wanted, const Want& want) {
  auto known = mounts_.find(want.mount);
  if (known == mounts_.end() || known->second.removed) return Placement::Transit;
  known->second.seen = true;
  known->second.last_seen = now;
  largest_chunk_ = std::max(largest_chunk_, want.chunk_bytes);
  if (want.free_bytes >= want.bytes && mayTake(now, want)) return wanted;
  return victim(now, wanted, want) ? wanted : Placement::Transit;
}

// Lending the transit copies' reserve while they use it would turn into replacement: a unit leaves for them, smaller
// fills take its room, and so on round the data.
bool Eviction::mayTake(TimePoint now, const Want& want) const {
  if (!transit_seen_ || now - *transit_seen_ > options_.mount_idle) return true;
  const std::uint64_t reserve = transitReserve();
  const std::uint64_t spare = reserve > transit_.bytes ? reserve - transit_.bytes : 0;
  if (want.free_bytes >= want.bytes + spare) return true;
  return mountBytes(want.mount) + want.bytes <= share(now, want.mount);
}

std::uint64_t Eviction::transitReserve() const {
  const std::uint64_t quarter = options_.capacity_bytes / 100 * options_.transit_percent / 4;
  return std::max(quarter, std::min(largest_chunk_, options_.capacity_bytes / 4));
}

std::uint64_t Eviction::transitLimit(const Want& want) const {
  return std::max(options_.capacity_bytes / 100 * options_.transit_percent, want.chunk_bytes);
}

std::optional<Eviction::Victim> Eviction::overflow(Placement placement, const Want& want) const {
  if (placement != Placement::Transit || transit_.bytes + want.bytes <= transitLimit(want)) return std::nullopt;
  const Ref ref = oldestFree(transit_);
  if (ref == kNone) return std::nullopt;
  return Victim{ref, LeaveReason::Transit};
}

std::optional<Eviction::Victim> Eviction::victim(TimePoint now, Placement placement, const Want& want) {
  const Ref transit = oldestFree(transit_);
  if (placement == Placement::Transit) {
    transit_seen_ = now;
    // What was lent to mounts comes back first; their own share gives way only if no transit copy can.
    if (transit_.bytes + want.bytes <= transitReserve())
      if (auto lent = reclaim(now, {}, false)) return lent;
    if (transit != kNone) return Victim{transit, LeaveReason::Transit};
    if (transit_.bytes + want.bytes > transitLimit(want)) return std::nullopt;
    return reclaim(now, {}, true);
  }
  auto known = mounts_.find(want.mount);
  if (known == mounts_.end()) return std::nullopt;
  Mount& mount = known->second;
  const Ref copy = oldestFree(mount.copies);
  if (placement == Placement::Copy) {
    if (copy == kNone || now - entries_[copy].last_touch < options_.copy_idle) return std::nullopt;
    return Victim{copy, LeaveReason::Idle};
  }
  if (copy != kNone) return Victim{copy, LeaveReason::Replaced};
  if (mount.bytes() + want.bytes <= share(now, want.mount)) {
    if (transit != kNone && transit_.bytes > transitReserve()) return Victim{transit, LeaveReason::Transit};
    if (auto other = reclaim(now, want.mount, false)) return other;
  }
  return replaceOwn(now, mount);
}

// ---- who leaves

Eviction::Ref Eviction::oldestFree(const List& list) const {
  Ref ref = list.oldest;
  while (ref != kNone && entries_[ref].holds != 0) ref = entries_[ref].newer;
  return ref;
}

std::optional<Eviction::Victim> Eviction::replaceOwn(TimePoint now, Mount& mount) {
  if (mount.policy.cls == CacheClass::Hot) return leaveHot(mount, LeaveReason::Replaced);
  const Ref ref = oldestFree(mount.lru);
  if (ref == kNone) return std::nullopt;
  const TimePoint last = entries_[ref].last_touch;
  if (mount.job_ended && last <= *mount.job_ended) return Victim{ref, LeaveReason::JobEnded};
  if (now - last > 2 * interval(mount)) return Victim{ref, LeaveReason::Idle};
  return std::nullopt;
}

// S3-FIFO: what was visited again moves to the main queue, or stays there for another round; what wasn't leaves. Each
// round lowers a count of visits, so the loop ends.
std::optional<Eviction::Victim> Eviction::leaveHot(Mount& mount, LeaveReason reason) {
  for (;;) {
    const Ref small = oldestFree(mount.small);
    const Ref main = oldestFree(mount.main);
    if (small == kNone && main == kNone) return std::nullopt;
    const bool from_small = main == kNone || (small != kNone && mount.small.bytes * 10 > mount.bytes());
    const Ref ref = from_small ? small : main;
    Entry& entry = entries_[ref];
    const bool stays = entry.visits >= (from_small ? kVisitsToStay : 1);
    if (!stays) return Victim{ref, reason};
    unlink(ref);
    if (from_small)
      entry.visits = 0;
    else
      --entry.visits;
    entry.queue = Queue::Main;
    link(ref);
  }
}

std::optional<Eviction::Victim> Eviction::leaveOf(Mount& mount) {
  if (const Ref copy = oldestFree(mount.copies); copy != kNone) return Victim{copy, LeaveReason::Reclaimed};
  if (mount.policy.cls == CacheClass::Hot) return leaveHot(mount, LeaveReason::Reclaimed);
  const Ref ref = oldestFree(mount.lru);
  if (ref == kNone) return std::nullopt;
  return Victim{ref, LeaveReason::Reclaimed};
}

// From the mount that is most above its share; `even_within_share`: if nobody is, from the largest. Mounts whose
// entries are all in use are passed over.
std::optional<Eviction::Victim> Eviction::reclaim(TimePoint now, std::optional<MountId> not_from,
                                                  bool even_within_share) {
  struct Candidate {
    std::uint64_t above, bytes;
    MountId id;
  };
  std::vector<Candidate> candidates;
  for (const auto& [id, mount] : mounts_) {
    if (mount.bytes() == 0 || id == not_from) continue;
    const std::uint64_t part = share(now, id);
    const std::uint64_t above = mount.bytes() > part ? mount.bytes() - part : 0;
    if (above != 0 || even_within_share) candidates.push_back({above, mount.bytes(), id});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(b.above, b.bytes, a.id) < std::tie(a.above, a.bytes, b.id);
  });
  for (const Candidate& candidate : candidates)
    if (auto found = leaveOf(mounts_.at(candidate.id))) return found;
  return std::nullopt;
}

// ---- entries

Eviction::List& Eviction::listOf(Entry& entry) {
  if (entry.queue == Queue::Transit) return transit_;
  Mount& mount = mounts_.at(entry.mount);
  if (entry.queue == Queue::Copies) return mount.copies;
  if (entry.queue == Queue::Small) return mount.small;
  return entry.queue == Queue::Main ? mount.main : mount.lru;
}

void Eviction::link(Ref ref) {
  Entry& entry = entries_[ref];
  List& list = listOf(entry);
  entry.older = list.newest;
  entry.newer = kNone;
  (list.newest == kNone ? list.oldest : entries_[list.newest].newer) = ref;
  list.newest = ref;
  list.bytes += entry.bytes;
  if (entry.queue != Queue::Transit) owned_bytes_ += entry.bytes;
}

void Eviction::unlink(Ref ref) {
  Entry& entry = entries_[ref];
  List& list = listOf(entry);
  (entry.newer == kNone ? list.newest : entries_[entry.newer].older) = entry.older;
  (entry.older == kNone ? list.oldest : entries_[entry.older].newer) = entry.newer;
  list.bytes -= entry.bytes;
  if (entry.queue != Queue::Transit) owned_bytes_ -= entry.bytes;
}

Eviction::Ref Eviction::insert(TimePoint now, MountId id, std::uint64_t fingerprint, Placement placement) {
  Mount& mount = mounts_[id];  // place() vouched for it; an unknown one gets no share
  Ref ref = 0;
  if (free_refs_.empty()) {
    ref = static_cast<Ref>(entries_.size());
    entries_.emplace_back();
  } else {
    ref = free_refs_.back();
    free_refs_.pop_back();
  }
  Entry& entry = entries_[ref];
  entry = Entry{.fingerprint = fingerprint, .last_touch = now, .mount = id};
  entry.queue = ownQueue(mount, placement);
  if (entry.queue == Queue::Transit) transit_seen_ = now;
  if (entry.queue == Queue::Small && mount.ghosts.names.erase(fingerprint) != 0) entry.queue = Queue::Main;
  if (entry.queue == Queue::Small || entry.queue == Queue::Main) ++mount.entries;
  link(ref);
  return ref;
}

void Eviction::charge(Ref ref, std::int64_t delta_bytes) {
  Entry& entry = entries_[ref];
  assert(delta_bytes >= 0 || entry.bytes >= static_cast<std::uint64_t>(-delta_bytes));
  const auto delta = static_cast<std::uint64_t>(delta_bytes);  // wraps as intended
  entry.bytes += delta;
  listOf(entry).bytes += delta;
  if (entry.queue != Queue::Transit) owned_bytes_ += delta;
}

void Eviction::move(Ref ref, Placement placement) {
  Entry& entry = entries_[ref];
  Mount& mount = mounts_.at(entry.mount);
  const bool owned = entry.queue != Queue::Transit && entry.queue != Queue::Copies;
  if (placement == Placement::Owned ? owned : entry.queue == ownQueue(mount, placement)) return;
  unlink(ref);
  if (entry.queue == Queue::Small || entry.queue == Queue::Main) --mount.entries;
  entry.queue = ownQueue(mount, placement);
  if (entry.queue == Queue::Small || entry.queue == Queue::Main) ++mount.entries;
  link(ref);
}

Eviction::Queue Eviction::ownQueue(const Mount& mount, Placement placement) {
  if (placement == Placement::Transit) return Queue::Transit;
  if (placement == Placement::Copy) return Queue::Copies;
  return mount.policy.cls == CacheClass::Hot ? Queue::Small : Queue::Lru;
}

void Eviction::observeGap(TimePoint now, Mount& mount, Duration gap) {
  if (mount.gap_now == Duration{0} && mount.gap_before == Duration{0}) mount.window_start = now;
  if (now - mount.window_start > 2 * std::max(mount.gap_now, mount.gap_before)) {
    mount.gap_before = mount.gap_now;
    mount.gap_now = Duration{0};
    mount.window_start = now;
  }
  mount.gap_now = std::max(mount.gap_now, gap);
}

void Eviction::touch(TimePoint now, Ref ref) {
  Entry& entry = entries_[ref];
  Mount& mount = mounts_.at(entry.mount);
  mount.seen = true;
  mount.last_seen = now;
  const Duration gap = now - entry.last_touch;
  entry.last_touch = now;
  if (gap >= options_.visit) {
    if (entry.visits < kMaxVisits) ++entry.visits;
    if (entry.queue != Queue::Transit) observeGap(now, mount, gap);
  }
  if ((entry.queue != Queue::Lru && entry.queue != Queue::Copies) || entry.newer == kNone) return;
  unlink(ref);
  link(ref);
}

void Eviction::hold(Ref ref) {
  ++entries_[ref].holds;
}
void Eviction::release(Ref ref) {
  assert(entries_[ref].holds != 0);
  --entries_[ref].holds;
}

void Eviction::remove(Ref ref, bool left_for_room) {
  const Queue queue = entries_[ref].queue;
  unlink(ref);
  Mount& mount = mounts_.at(entries_[ref].mount);
  if (queue == Queue::Small || queue == Queue::Main) {
    --mount.entries;
    if (queue == Queue::Small && left_for_room) addGhost(mount, entries_[ref].fingerprint);
    trimGhosts(mount);
  }
  free_refs_.push_back(ref);
}

void Eviction::addGhost(Mount& mount, std::uint64_t fingerprint) {
  const std::uint64_t generation = mount.ghosts.next_generation++;
  mount.ghosts.names[fingerprint] = generation;
  mount.ghosts.order.emplace_back(fingerprint, generation);
}

// As many ghosts as entries: names of about as many bytes as the mount holds.
void Eviction::trimGhosts(Mount& mount) {
  Ghosts& ghosts = mount.ghosts;
  while (ghosts.order.size() > std::max(kMinGhosts, mount.entries)) {
    const auto [fingerprint, generation] = ghosts.order.front();
    ghosts.order.pop_front();
    auto named = ghosts.names.find(fingerprint);
    if (named != ghosts.names.end() && named->second == generation) ghosts.names.erase(named);
  }
}

}  // namespace forebay::core
