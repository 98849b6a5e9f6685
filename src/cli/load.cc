// forebay load [--copies N|all] [--in-flight N] MOUNT[/PATH]...
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/loader.h"
#include "cli/progress.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

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

// A node that was asked for by --copies all and hasn't got it is a failure; otherwise others stood in for it.
void tellSilent(Terminal& terminal, const Loader& loader, bool all, Progress& progress) {
  for (const std::string& node : loader.silent()) {
    if (all)
      progress.failed("node " + node, {Code::Unavailable, "no answer: it has not got what the others have", 0}, 0,
                      false);
    else
      terminal.err(fmt::format("node {}: no answer: other nodes hold its part", node));
  }
}

// What one failure is says more than "incomplete", if it is the only thing that was asked for.
int exitCode(const Progress& progress, const ProgressSample& end) {
  if (end.failures == 0) return kExitOk;
  if (end.objects == 0 && end.bytes == 0) return exitCodeOf(progress.failures().front().error.code);
  return kExitIncomplete;
}

}  // namespace

int runLoad(Cell& cell, Terminal& terminal, const LoadOptions& options) {
  Progress progress(std::chrono::steady_clock::now());
  Loader loader(cell, progress, {.copies = options.copies, .without = {}, .at_once = options.in_flight});
  {
    ProgressReporter reporter(terminal, progress);
    loader.run(options.names);
  }
  tellSilent(terminal, loader, options.copies == 0, progress);
  const ProgressSample end = progress.sample(std::chrono::steady_clock::now());
  tellFailures(terminal, progress, end);
  if (machineReads(terminal)) {
    terminal.out(progressJson(end, end.failures == 0 ? "done" : "failed") + "\n");
  } else {
    const double seconds = std::chrono::duration<double>(end.elapsed).count();
    terminal.out(fmt::format("{} objects, {} in {} ({}){}\n", humanCount(end.objects), humanSize(end.bytes),
                             humanDuration(end.elapsed),
                             humanRate(seconds > 0 ? static_cast<double>(end.bytes) / seconds : 0),
                             end.failures == 0 ? "" : fmt::format("; {} failed", humanCount(end.failures))));
  }
  return exitCode(progress, end);
}

}  // namespace forebay::cli
