// Objects that others have as a file: what may be given away, and when it is the arena's alone again.
//
// What is away can't be punched, and to drop it frees nothing before its users are gone. So its units are held: others
// leave for room. When room or share is lacking, some of what is away is looked at, and what has come home is an object
// like others: chunks that this node owns stay when its copies of the others leave.
#include <fmt/format.h>

#include "store/arena_impl.h"

namespace forebay::store {
namespace {
constexpr std::size_t kLooks = 16;       // at a time: a few microseconds each
constexpr std::uint32_t kRetryMs = 100;  // the sharers of a whole object read it to its end
}  // namespace

Status Arena::Impl::shareToExport(std::uint64_t bytes) {
  const std::uint64_t most = arena.options_.capacity_bytes / 100 * arena.options_.max_exported_percent;
  if (outside_bytes != 0) refreshOutside();
  if (exported_bytes + outside_bytes + bytes > most) bringHome();
  if (exported_bytes + outside_bytes + bytes <= most) return {};
  return fail(Code::Busy,
              fmt::format("exported objects may take {} bytes of the arena: there is no room for {} more", most, bytes),
              kRetryMs);
}

void Arena::Impl::wentAway(Object& object) {
  exported_bytes += object.region->blockBytes();
  if (!object.region->mayComeHome()) return;
  object.away_at = away.insert(away.end(), &object);
  for (const auto& [index, unit] : object.units) eviction.hold(unit->ref);
}

// Its region is home, or goes.
void Arena::Impl::endAway(Object& object) {
  if (!object.away_at) return;
  away.erase(*object.away_at);
  object.away_at.reset();
  for (const auto& [index, unit] : object.units) eviction.release(unit->ref);
}

bool Arena::Impl::isHome(Object& object) {
  if (object.region == nullptr || !object.region->away()) return true;
  if (!object.region->comeHome()) return false;
  exported_bytes -= object.region->blockBytes();
  endAway(object);
  return true;
}

void Arena::Impl::bringHome() {
  for (std::size_t looks = std::min(kLooks, away.size()); looks > 0; --looks)
    if (!isHome(*away.front())) away.splice(away.end(), away, away.begin());
}

std::string Arena::whyNoFiles() const {
  if (!options_.directory) return note_;
  return options_.max_exported_percent == 0 ? "node.max_exported is 0" : "";
}

Status Arena::mayExport(const core::Plan& plan) {
  const detail::Object* object = impl_->find(plan.key);
  const bool has_region = object != nullptr && object->region != nullptr;
  if (has_region && object->region->away()) return {};
  if (const std::string why = whyNoFiles(); !why.empty()) return fail(Code::Unsupported, "no files here: " + why);
  if (plan.size < kPage) return fail(Code::Unsupported, "objects of less than 2 MiB have no file of their own");
  if (!has_region && impl_->regions >= options_.max_object_regions)
    return fail(Code::Busy, "this node has as many regions of objects as it may have", kRetryMs);
  return impl_->shareToExport(roundUp(plan.size, kPage));
}

Result<io::Descriptor> Arena::exportObject(TimePoint now, const core::ObjectKey& key) {
  detail::Object* object = impl_->find(key);
  const auto not_complete = [] { return fail(Code::NotFound, "the object isn't complete in a region of the arena"); };
  if (const std::string why = whyNoFiles(); !why.empty()) return fail(Code::Unsupported, "no files here: " + why);
  if (object == nullptr || object->region == nullptr) return not_complete();
  std::uint64_t covered = 0;
  for (const auto& [index, unit] : object->units) {
    for (std::size_t page = 0; page < unit->pages.size(); ++page)
      if (!unit->pages[page].in_region || unit->pages[page].present != unit->allRuns(page)) return not_complete();
    covered += unit->length;
  }
  if (covered != object->size) return not_complete();
  const bool was_away = object->region->away();
  if (!was_away) TRY(impl_->shareToExport(object->region->blockBytes()));
  for (const auto& [index, unit] : object->units) impl_->eviction.touch(now, unit->ref);
  auto file = object->region->openForOthers(options_.directory->read_only.get());
  if (file && !was_away) impl_->wentAway(*object);
  impl_->updateMetrics();
  return file;
}

}  // namespace forebay::store
