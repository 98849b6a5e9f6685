// forebay where MOUNT/PATH...
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

std::string asJson(const ObjectName& name, const client::Where& where) {
  JsonWriter json;
  json.beginObject().name("name", name.text()).field("size", where.plan.size).name("version", where.plan.version);
  json.field("chunks_total", where.plan.chunks());
  json.key("chunks").beginArray();
  for (const client::ChunkPlacement& chunk : where.chunks) {
    json.beginObject().field("chunk", chunk.chunk).field("slot", chunk.slot).field("bytes", chunk.bytes);
    json.key("owners").beginArray();
    for (const std::string& owner : chunk.owners) json.value(owner);
    json.endArray().key("holders").beginArray();
    for (const auto& [holder, bytes] : chunk.holders) {
      json.beginObject().field("node", holder).field("bytes", bytes).endObject();
    }
    json.endArray().endObject();
  }
  json.endArray().key("unreachable").beginArray();
  for (const std::string& node : where.unreachable) json.value(node);
  json.endArray().endObject();
  return std::move(json).take();
}

std::string holdersText(const client::ChunkPlacement& chunk) {
  std::string text;
  for (const auto& [holder, bytes] : chunk.holders) {
    const std::string part = bytes >= chunk.bytes ? "" : fmt::format(" ({})", humanShare(bytes, chunk.bytes));
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", holder, part);
  }
  return text.empty() ? "nobody" : text;
}

void asText(Terminal& terminal, const ObjectName& name, const client::Where& where) {
  std::uint64_t whole_chunks = 0;
  Table table(terminal, {{.title = "CHUNK", .key = "", .right = true},
                         {.title = "SIZE", .key = "", .right = true},
                         {.title = "SLOT", .key = "", .right = true},
                         {.title = "OWNERS", .key = ""},
                         {.title = "HELD BY", .key = ""}});
  for (const client::ChunkPlacement& chunk : where.chunks) {
    for (const auto& holder : chunk.holders) {
      if (holder.second < chunk.bytes) continue;
      ++whole_chunks;
      break;
    }
    table.row({Field::number(chunk.chunk), Field::size(chunk.bytes),
               Field::number(chunk.slot, std::to_string(chunk.slot)),
               Field::word(fmt::format("{}", fmt::join(chunk.owners, ", "))), Field::word(holdersText(chunk))});
  }
  terminal.out(fmt::format("{}: {}, {} of {} chunks are in the cell\n", printable(name.text()),
                           humanSize(where.plan.size), humanCount(whole_chunks), humanCount(where.chunks.size())));
  table.finish();
  if (where.chunks.size() < where.plan.chunks()) {
    terminal.err(fmt::format("{}: only its first {} of {} chunks are shown: an answer holds no more",
                             printable(name.text()), humanCount(where.chunks.size()), humanCount(where.plan.chunks())));
  }
  if (!where.unreachable.empty()) {
    terminal.err(fmt::format("no answer from {}: what they hold is not shown", fmt::join(where.unreachable, ", ")));
  }
}

}  // namespace

int runWhere(Cell& cell, Terminal& terminal, const WhereOptions& options) {
  ExitStatus status;
  std::string json;
  for (const std::string& text : options.names) {
    const auto name = ObjectName::parse(text);
    if (!name) {
      status.add(terminal.fail(name.error()));
      continue;
    }
    const auto where = cell.where(*name);
    if (!where) {
      status.add(terminal.fail(printable(text), where.error()));
    } else if (terminal.json()) {
      json += (json.empty() ? "\n" : ",\n") + asJson(*name, *where);
    } else {
      asText(terminal, *name, *where);
    }
  }
  if (terminal.json()) terminal.out(fmt::format("[{}{}]\n", json, json.empty() ? "" : "\n"));
  return status.code();
}

}  // namespace forebay::cli
