#include "node/mounts.h"

#include <fmt/format.h>

namespace forebay::node {

Duration timeToLive(const Consistency& consistency) {
  switch (consistency.kind) {
    case Consistency::Kind::Frozen:
      return Duration::max();
    case Consistency::Kind::Open:
      return 1s;
    case Consistency::Kind::Bounded:
      break;
  }
  return consistency.bound;
}

Duration absentTimeToLive(const Consistency& consistency) {
  if (consistency.kind == Consistency::Kind::Frozen) return timeToLive(consistency);
  return std::min(timeToLive(consistency), Duration(5s));
}

namespace {
Labels of(std::string_view mount) {
  return {{"mount", std::string(mount)}};
}
}  // namespace

MountMetrics::MountMetrics(Metrics& m, std::string_view mount)
    : bytes_served(m.counter("forebay_served_bytes_total", "Bytes sent to clients and peers.", of(mount))),
      requests(m.counter("forebay_reads_total", "Ranges asked for by clients and peers.", of(mount))),
      hits(m.counter("forebay_hits_total", "Ranges that were wholly in the arena.", of(mount))),
      misses(m.counter("forebay_misses_total", "Ranges that had to be fetched, at least in part.", of(mount))),
      peer_bytes(m.counter("forebay_peer_bytes_total", "Bytes received from other nodes.", of(mount))),
      direct_bytes(m.counter("forebay_peer_direct_bytes_total",
                             "Bytes received from the owner that was asked first, without a redirect.", of(mount))),
      asks(m.counter("forebay_asks_total", "Ranges of hot chunks that were answered with who else has them.",
                     of(mount))),
      copies(
          m.counter("forebay_copies_total", "Copies that other nodes made of chunks that this node owns.", of(mount))),
      sent_with_plans(m.counter("forebay_sent_with_plans_total",
                                "Small objects whose bytes went with the answer about their names.", of(mount))),
      hedges(m.counter("forebay_hedges_total", "Fetches that left a slow owner for a node that should have a copy.",
                       of(mount))),
      hidden_names(m.counter("forebay_hidden_names_total", "Names in listings that a mount can't show.", of(mount))),
      slow_reads(m.counter("forebay_slow_reads_total", "Ranges and look-ups that took longer than node.slow_read.",
                           of(mount))),
      open_waits(m.counter("forebay_open_waits_total",
                           "Opens that waited for their object to be complete on this node.", of(mount))),
      open_waits_late(m.counter("forebay_open_waits_late_total",
                                "Of those: it wasn't complete when their time was over.", of(mount))),
      read_time(m.histogram("forebay_read_seconds", "From a range's arrival to its last byte.", of(mount))) {}

core::Plan Mount::plan(std::string path, const origin::ObjectInfo& info) const {
  core::Plan plan;
  plan.mount = id;
  plan.version = info.version;
  plan.size = info.size;
  plan.chunk_bits = chunk_bits;
  plan.first_slot = core::slotOfPath(name, path);
  plan.mtime_ns = info.mtime_ns;
  plan.copies = read_copies;
  plan.key = core::objectKey(secret, name, path, info.version, info.size, chunk_bits);
  plan.path = std::move(path);
  return plan;
}

bool Mount::owns(const core::Plan& plan) const {
  if (plan.chunk_bits != chunk_bits || plan.first_slot != core::slotOfPath(name, plan.path)) return false;
  const auto key = core::objectKey(secret, name, plan.path, plan.version, plan.size, plan.chunk_bits);
  return equalInConstantTime(key.bytes, plan.key.bytes);
}

Result<Mount*> Mounts::add(std::unique_ptr<Mount> mount) {
  mount->id = core::mountIdOf(mount->name);
  auto [at, added] = by_id_.try_emplace(mount->id);
  if (!added)
    return fail(Code::InvalidArgument,
                fmt::format("mount {}: its name is taken by mount {}; choose another", mount->name, at->second->name));
  at->second = std::move(mount);
  return at->second.get();
}

Mount* Mounts::find(std::string_view name) {
  Mount* mount = find(core::mountIdOf(name));
  return mount != nullptr && mount->name == name ? mount : nullptr;
}

Mount* Mounts::find(core::MountId id) {
  auto known = by_id_.find(id);
  return known == by_id_.end() ? nullptr : known->second.get();
}

const Mount* Mounts::find(core::MountId id) const {
  auto known = by_id_.find(id);
  return known == by_id_.end() ? nullptr : known->second.get();
}

std::vector<const Mount*> Mounts::all() const {
  std::vector<const Mount*> all;
  for (const auto& [id, mount] : by_id_) all.push_back(mount.get());
  return all;
}

std::vector<Mount*> Mounts::all() {
  std::vector<Mount*> all;
  for (auto& [id, mount] : by_id_) all.push_back(mount.get());
  return all;
}

}  // namespace forebay::node
