#include "cli/progress_report.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {

bool machineReads(const Terminal& terminal) {
  return terminal.json() || !terminal.isTerminal();
}

void tellFailures(Terminal& terminal, const Progress& progress, const ProgressSample& end) {
  const auto failures = progress.failures();
  for (const LoadFailure& failure : failures) {
    terminal.err(fmt::format("{}: {}", printable(failure.name), failure.error.message));
    if (!machineReads(terminal)) continue;
    JsonWriter json;
    json.beginObject().field("event", "failure").name("name", failure.name);
    json.field("code", codeName(failure.error.code)).field("message", failure.error.message).endObject();
    terminal.out(json.text() + "\n");
  }
  if (end.failures > failures.size()) {
    terminal.err(fmt::format("and {} failures more", humanCount(end.failures - failures.size())));
  }
}

int exitCode(const Progress& progress, const ProgressSample& end) {
  if (end.failures == 0) return kExitOk;
  if (end.objects == 0 && end.bytes == 0) return exitCodeOf(progress.failures().front().error.code);
  return kExitIncomplete;
}

}  // namespace forebay::cli
