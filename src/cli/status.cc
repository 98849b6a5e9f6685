// forebay status [--local]
#include <fmt/format.h>
#include <map>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/status_json.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

using wire::pb::MountStatus;
using wire::pb::NodeStatus;
using wire::pb::StatusReply;

struct Sums {
  std::uint64_t served = 0, requests = 0, hits = 0, misses = 0;
  std::uint64_t origin_bytes = 0, origin_requests = 0, origin_errors = 0, peer = 0, direct = 0, hidden = 0;

  void add(const MountStatus& mount) {
    served += mount.bytes_served();
    requests += mount.requests_served();
    hits += mount.hits();
    misses += mount.misses();
    origin_bytes += mount.origin_bytes();
    origin_requests += mount.origin_gets() + mount.origin_heads() + mount.origin_lists();
    origin_errors += mount.origin_errors();
    peer += mount.peer_bytes();
    direct += mount.direct_bytes();
    hidden += mount.hidden_names();
  }
};

Field text(std::string shown) {
  return {.text = std::move(shown), .json = "null", .more_json = {}};
}

void nodesTable(Terminal& terminal, const StatusReply& reply) {
  Table table(terminal, {{.title = "NODE", .key = ""},
                         {.title = "ADDRESS", .key = ""},
                         {.title = "STATE", .key = ""},
                         {.title = "CACHED", .key = "", .right = true},
                         {.title = "OF", .key = "", .right = true},
                         {.title = "MEMORY", .key = "", .right = true},
                         {.title = "SLOTS", .key = "", .right = true},
                         {.title = "MAP", .key = "", .right = true},
                         {.title = "SERVED", .key = "", .right = true},
                         {.title = "HITS", .key = "", .right = true},
                         {.title = "UP", .key = "", .right = true}});
  for (const NodeStatus& node : reply.nodes()) {
    if (!node.reachable()) {
      std::vector<Field> row = {Field::word(node.name()), Field::word(node.address()), text("no answer")};
      row.resize(11, Field::none());
      table.row(std::move(row));
      continue;
    }
    Sums sums;
    for (const MountStatus& mount : node.mounts()) sums.add(mount);
    table.row({Field::word(node.name()), Field::word(node.address()), text("up"), Field::size(node.arena_used()),
               Field::size(node.arena_cap()), Field::size(node.memory_cap()), Field::number(node.slots()),
               Field::number(node.map_version()), Field::size(sums.served),
               text(humanShare(sums.hits, sums.hits + sums.misses)),
               text(humanDuration(std::chrono::seconds(node.uptime_s())))});
  }
  table.finish();
}

// Over all nodes: what people ask is what a mount costs, not which node paid.
void mountsTable(Terminal& terminal, const StatusReply& reply) {
  std::map<std::string, std::pair<MountStatus, Sums>> mounts;
  for (const NodeStatus& node : reply.nodes()) {
    for (const MountStatus& mount : node.mounts()) {
      auto& [first, sums] = mounts[mount.name()];
      if (first.name().empty()) first = mount;
      sums.add(mount);
    }
  }
  if (mounts.empty()) return;
  terminal.out("\n");
  Table table(terminal, {{.title = "MOUNT", .key = ""},
                         {.title = "CLASS", .key = ""},
                         {.title = "SERVED", .key = "", .right = true},
                         {.title = "REQUESTS", .key = "", .right = true},
                         {.title = "HITS", .key = "", .right = true},
                         {.title = "FROM ORIGIN", .key = "", .right = true},
                         {.title = "IN REQUESTS", .key = "", .right = true},
                         {.title = "ERRORS", .key = "", .right = true},
                         {.title = "FROM PEERS", .key = "", .right = true},
                         {.title = "DIRECT", .key = "", .right = true},
                         {.title = "ORIGIN", .key = ""}});
  for (const auto& [name, entry] : mounts) {
    const auto& [mount, sums] = entry;
    table.row({Field::word(name), Field::word(mount.class_name()), Field::size(sums.served),
               Field::number(sums.requests), text(humanShare(sums.hits, sums.hits + sums.misses)),
               Field::size(sums.origin_bytes), Field::number(sums.origin_requests), Field::number(sums.origin_errors),
               Field::size(sums.peer), text(humanShare(sums.direct, sums.peer)), Field::word(mount.url())});
  }
  table.finish();
}

// One line for each manifest that a mount is served from: one, unless nodes disagree.
std::string manifests(const StatusReply& reply) {
  std::map<std::pair<std::string, std::string>, std::pair<const MountStatus*, std::size_t>> known;
  for (const NodeStatus& node : reply.nodes()) {
    for (const MountStatus& mount : node.mounts()) {
      if (mount.manifest_digest().empty()) continue;
      auto& [first, nodes] = known[{mount.name(), mount.manifest_digest()}];
      if (first == nullptr) first = &mount;
      ++nodes;
    }
  }
  std::string lines;
  for (const auto& [key, entry] : known) {
    const auto& [mount, nodes] = entry;
    lines += fmt::format("{} is frozen as of {}: {} objects, {}, on {} node{}\n", key.first,
                         printable(mount->manifest_made()), humanCount(mount->manifest_objects()), key.second,
                         humanCount(nodes), nodes == 1 ? "" : "s");
  }
  return lines;
}

// How the machine's mounts read what is complete on its node.
std::string wholeObjects(const NodeStatus& node) {
  std::string lines;
  for (const MountStatus& mount : node.mounts()) {
    if (mount.whole_objects().empty()) continue;
    const bool by_kernel = mount.whole_objects() == "passthrough";
    const std::string_view how = by_kernel                           ? "by the kernel itself (passthrough"
                                 : mount.whole_objects() == "mapped" ? "through the mount's process, from a mapping"
                                                                     : "through the mount's process";
    lines += fmt::format("{}: mounts of {} read whole objects {}", node.name(), printable(mount.name()), how);
    if (!mount.whole_objects_why().empty()) lines += (by_kernel ? ", " : ": ") + printable(mount.whole_objects_why());
    if (by_kernel) lines += ")";
    lines += "\n";
  }
  return lines;
}

// How the machine's mounts get the kernel's requests.
std::string transports(const NodeStatus& node) {
  std::string lines;
  for (const MountStatus& mount : node.mounts()) {
    if (mount.transport().empty()) continue;
    lines += fmt::format("{}: mounts of {} speak with the kernel over {}", node.name(), printable(mount.name()),
                         mount.transport() == "io_uring" ? "io_uring" : "/dev/fuse alone");
    if (!mount.transport_why().empty()) lines += ", not io_uring: " + printable(mount.transport_why());
    lines += "\n";
  }
  return lines;
}

// Who has bytes of the node's memory in view: those that it can't give to others.
std::string pinning(const NodeStatus& node) {
  std::string lines;
  if (node.pinned_bytes() != 0)
    lines += fmt::format("{}: clients hold {} of {} that they may hold in view\n", node.name(),
                         humanSize(node.pinned_bytes()), humanSize(node.pinned_cap()));
  for (const auto& client : node.pinning())
    lines += fmt::format("{}: process {} ({}{}) has {} in {} views, the oldest for {} s\n", node.name(), client.pid(),
                         printable(client.name()), client.connected() ? "" : ", not connected",
                         humanSize(client.bytes()), client.pins(), client.oldest_ms() / 1'000);
  return lines;
}

void notes(Terminal& terminal, const StatusReply& reply) {
  std::string lines = manifests(reply);
  for (const NodeStatus& node : reply.nodes()) {
    for (const std::string& note : node.notes()) lines += fmt::format("{}: {}\n", node.name(), printable(note));
    lines += wholeObjects(node);
    lines += transports(node);
    lines += pinning(node);
    if (node.bad_frames() != 0) {
      lines += fmt::format("{}: {} malformed frames: something else than Forebay speaks to it\n", node.name(),
                           humanCount(node.bad_frames()));
    }
  }
  if (!lines.empty()) terminal.out("\n" + lines);
}

}  // namespace

int runStatus(Cell& cell, Terminal& terminal, const StatusOptions& options) {
  const auto reply = cell.status(!options.local);
  if (!reply) return terminal.fail(reply.error());
  if (terminal.json()) {
    terminal.out(statusJson(*reply) + "\n");
    return kExitOk;
  }
  nodesTable(terminal, *reply);
  mountsTable(terminal, *reply);
  notes(terminal, *reply);
  return kExitOk;
}

}  // namespace forebay::cli
