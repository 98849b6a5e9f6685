// forebay load [--copies N|all] [--in-flight N] MOUNT[/PATH]...
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/loader.h"
#include "cli/progress.h"
#include "cli/progress_report.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

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
