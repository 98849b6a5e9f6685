// forebay stat [--raw] MOUNT/PATH...
#include <fmt/format.h>

#include "base/config_values.h"
#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

// The object's key is not among what is shown: chunk ids derive from it, and who can name a chunk may ask for it.
std::string asJson(const ObjectName& name, const client::Attributes& attributes) {
  JsonWriter json;
  json.beginObject().name("name", name.text()).field("directory", attributes.directory);
  if (!attributes.directory) {
    const core::Plan& plan = attributes.plan;
    json.field("size", plan.size).name("version", plan.version).field("mtime_ns", plan.mtime_ns);
    json.field("chunk_size", plan.chunkSize()).field("chunks", plan.chunks());
    json.field("first_slot", plan.first_slot);
  }
  json.field("ttl_ms", toMs(attributes.ttl)).endObject();
  return std::move(json).take();
}

std::string asText(const ObjectName& name, const client::Attributes& attributes) {
  if (attributes.directory) return fmt::format("{}\n  directory\n", printable(name.text()));
  const core::Plan& plan = attributes.plan;
  return fmt::format("{}\n  size      {} bytes ({})\n  version   {}\n  modified  {}\n  chunks    {} of {}\n",
                     printable(name.text()), humanCount(plan.size), humanSize(plan.size), printable(plan.version),
                     humanTime(plan.mtime_ns), humanCount(plan.chunks()), config::sizeText(plan.chunkSize()));
}

}  // namespace

int runStat(Cell& cell, Terminal& terminal, const StatOptions& options) {
  ExitStatus status;
  std::string json;
  for (const std::string& text : options.names) {
    const auto name = options.raw ? ObjectName::parseExact(text) : ObjectName::parse(text);
    if (!name) {
      status.add(terminal.fail(name.error()));
      continue;
    }
    const auto found = cell.lookup(*name, options.raw);
    if (!found) {
      status.add(terminal.fail(printable(text), found.error()));
    } else if (terminal.json()) {
      json += (json.empty() ? "\n" : ",\n") + asJson(*name, *found);
    } else {
      terminal.out(asText(*name, *found));
    }
  }
  if (terminal.json()) terminal.out(fmt::format("[{}{}]\n", json, json.empty() ? "" : "\n"));
  return status.code();
}

}  // namespace forebay::cli
