// forebay get [-r] [--overwrite] [--in-flight N] MOUNT/PATH DEST
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/getter.h"
#include "cli/progress.h"
#include "cli/progress_report.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

// Lines about single objects come while others are on their way.
void say(Terminal& terminal, std::string_view event, const std::string& name, std::string_view why,
         std::uint64_t bytes) {
  if (event != "resumed") terminal.err(fmt::format("{}: {}", printable(name), why));
  if (!machineReads(terminal)) return;
  JsonWriter json;
  json.beginObject().field("event", event).name("name", name).field("bytes", bytes).field("message", why).endObject();
  terminal.out(json.text() + "\n");
}

void tellEnd(Terminal& terminal, const ProgressSample& end, const Getter::Counts& counts) {
  if (machineReads(terminal)) return terminal.out(progressJson(end, end.failures == 0 ? "done" : "failed") + "\n");
  const double seconds = std::chrono::duration<double>(end.elapsed).count();
  std::string text =
      fmt::format("{} objects, {} in {} ({})", humanCount(end.objects), humanSize(end.bytes),
                  humanDuration(end.elapsed), humanRate(seconds > 0 ? static_cast<double>(end.bytes) / seconds : 0));
  if (counts.there > 0) text += fmt::format("; {} were there already", humanCount(counts.there));
  if (counts.resumed > 0)
    text += fmt::format("; {} of {} objects were left from before", humanSize(counts.resumed_bytes),
                        humanCount(counts.resumed));
  if (end.failures > 0) text += fmt::format("; {} failed", humanCount(end.failures));
  terminal.out(text + "\n");
}

}  // namespace

int runGet(Cell& cell, Terminal& terminal, const GetOptions& options) {
  Progress progress(std::chrono::steady_clock::now());
  Getter getter(cell, progress, options,
                [&](std::string_view event, const std::string& name, std::string_view why, std::uint64_t bytes) {
                  say(terminal, event, name, why, bytes);
                });
  {
    ProgressReporter reporter(terminal, progress);
    getter.run();
  }
  const ProgressSample end = progress.sample(std::chrono::steady_clock::now());
  tellFailures(terminal, progress, end);
  tellEnd(terminal, end, getter.counts());
  return exitCode(progress, end);
}

}  // namespace forebay::cli
