// forebay evict MOUNT[/PATH]...
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/forget.h"
#include "cli/units.h"
#include "wire/messages.h"

namespace forebay::cli {
namespace {

struct Evicted {
  std::uint64_t bytes = 0, objects = 0, in_use_bytes = 0, in_use_objects = 0;
  void add(const wire::pb::EvictedNode& node) {
    bytes += node.bytes();
    objects += node.objects();
    in_use_bytes += node.in_use_bytes();
    in_use_objects += node.in_use_objects();
  }
};

void print(Terminal& terminal, const std::map<std::string, Evicted>& nodes,
           const std::map<std::string, Error>& failed) {
  Table table(terminal, {{.title = "NODE", .key = "node"},
                         {.title = "FREED", .key = "freed_bytes", .right = true},
                         {.title = "OBJECTS", .key = "objects", .right = true},
                         {.title = "IN USE", .key = "in_use_bytes", .right = true},
                         {.title = "OF OBJECTS", .key = "in_use_objects", .right = true},
                         {.title = "STATE", .key = "state"}});
  for (const auto& [node, said] : nodes)
    table.row({Field::word(node), Field::size(said.bytes), Field::number(said.objects, humanCount(said.objects)),
               Field::size(said.in_use_bytes), Field::number(said.in_use_objects, humanCount(said.in_use_objects)),
               Field::word("done")});
  for (const auto& [node, error] : failed)
    table.row({Field::word(node), Field::none(), Field::none(), Field::none(), Field::none(),
               Field::word(codeName(error.code))});
  table.finish();
}

}  // namespace

int runEvict(Cell& cell, Terminal& terminal, const EvictOptions& options) {
  Forgetting forgetting(terminal);
  std::map<std::string, Evicted> nodes;
  forgetting.each(options.names, [&](const std::string& mount, std::span<const std::string> paths) -> int {
    const auto reply = cell.evict(mount, paths);
    if (!reply) return terminal.fail(printable(mount), reply.error());
    for (const auto& node : reply->nodes()) {
      if (node.has_failure())
        forgetting.failed(node.name(), wire::fromMessage(node.failure()));
      else
        nodes[node.name()].add(node);
    }
    return kExitOk;
  });
  for (const auto& [node, error] : forgetting.failures()) nodes.erase(node);
  Evicted sum;
  for (const auto& [node, said] : nodes) {
    sum.in_use_objects += said.in_use_objects;
    sum.in_use_bytes += said.in_use_bytes;
  }
  print(terminal, nodes, forgetting.failures());
  if (sum.in_use_objects > 0)
    terminal.err(fmt::format("{} of {} objects are being read or filled and stayed: evict again when that is over",
                             humanSize(sum.in_use_bytes), humanCount(sum.in_use_objects)));
  return forgetting.exitCode(!nodes.empty());
}

}  // namespace forebay::cli
