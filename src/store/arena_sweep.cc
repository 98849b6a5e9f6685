// What leaves the arena by name: one step of a sweep at a time.
#include <vector>

#include "store/arena_impl.h"

namespace forebay::store {
namespace {

bool atOrBelow(const std::string& path, const std::string& root) {
  return root.empty() || (path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/'));
}

}  // namespace

void Arena::evict(Sweep& sweep, std::size_t max_objects) {
  detail::ByName& names = impl_->by_name;
  auto at = sweep.started ? names.upper_bound({sweep.mount, sweep.last_path, sweep.last_key})
                          : names.lower_bound({sweep.mount, sweep.path, {}});
  const std::string below = sweep.path + "/";
  for (sweep.started = true; max_objects > 0; --max_objects) {
    // Names such as "path!" come between a path and what is below it.
    if (at != names.end() && at->first.mount == sweep.mount && !atOrBelow(at->first.path, sweep.path) &&
        at->first.path < below)
      at = names.lower_bound({sweep.mount, below, {}});
    if (at == names.end() || at->first.mount != sweep.mount || !atOrBelow(at->first.path, sweep.path)) {
      sweep.done = true;
      break;
    }
    sweep.last_path = at->first.path;
    sweep.last_key = at->first.key;
    detail::Object& object = *at->second;
    ++at;  // the object may go, and takes its name along
    impl_->sweepObject(object, sweep);
  }
  impl_->updateMetrics();
}

void Arena::Impl::sweepObject(Object& object, Sweep& sweep) {
  std::uint64_t in_use = 0;
  std::vector<Unit*> leaving;
  for (const auto& [index, unit] : object.units) {
    if (unit->inUse())
      in_use += unit->charge + unit->passing_charge;
    else
      leaving.push_back(unit.get());
  }
  const bool any_in_use = leaving.size() < object.units.size();
  if (any_in_use && !isHome(object)) {
    // What is away isn't punched: its object leaves whole or not at all.
    for (const Unit* unit : leaving) in_use += unit->charge + unit->passing_charge;
    leaving.clear();
  }
  if (!any_in_use) retireRegion(object);
  if (any_in_use) {
    ++sweep.in_use_objects;
    sweep.in_use_bytes += in_use;
  }
  if (!leaving.empty()) ++sweep.objects;
  for (Unit* unit : leaving) {  // the last of them takes the object along
    sweep.bytes += unit->charge + unit->passing_charge;
    removeUnit(*unit, core::LeaveReason::Forgotten);
  }
}

}  // namespace forebay::store
