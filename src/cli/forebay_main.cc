// The one binary: parses the command line and calls the command.
#include <csignal>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/exit_codes.h"
#include "cli/run_node.h"

namespace forebay::cli {
namespace {

// Commands that ask a running node.
template <class Run>
int withCell(Terminal& terminal, const Invocation& invocation, Run run) {
  const auto address = nodeAddress(invocation.node);
  if (!address) return terminal.fail(address.error());
  auto cell = connectCell({.address = *address, .timeout = invocation.timeout});
  if (!cell) return terminal.fail(cell.error());
  return run(**cell);
}

int runMountCommand(Terminal& terminal, const MountArguments& arguments) {
  const auto options = checkMount(arguments);
  return options ? runMount(terminal, *options) : terminal.fail(options.error());
}

int dispatch(Terminal& t, const Invocation& call) {
  return std::visit(
      Overloaded{
          [&](const NodeOptions& o) { return runNodeCommand(t, o); },
          [&](const MountArguments& o) { return runMountCommand(t, o); },
          [&](const UnmountOptions& o) { return runUnmount(t, o); },
          [&](const LsOptions& o) { return withCell(t, call, [&](Cell& cell) { return runLs(cell, t, o); }); },
          [&](const StatOptions& o) { return withCell(t, call, [&](Cell& cell) { return runStat(cell, t, o); }); },
          [&](const CatOptions& o) { return withCell(t, call, [&](Cell& cell) { return runCat(cell, t, o); }); },
          [&](const LoadOptions& o) { return withCell(t, call, [&](Cell& cell) { return runLoad(cell, t, o); }); },
          [&](const StatusOptions& o) { return withCell(t, call, [&](Cell& cell) { return runStatus(cell, t, o); }); },
          [&](const WhereOptions& o) { return withCell(t, call, [&](Cell& cell) { return runWhere(cell, t, o); }); },
          [&](const GetOptions& o) { return withCell(t, call, [&](Cell& cell) { return runGet(cell, t, o); }); },
          [&](const RefreshOptions& o) {
            return withCell(t, call, [&](Cell& cell) { return runRefresh(cell, t, o); });
          },
          [&](const EvictOptions& o) { return withCell(t, call, [&](Cell& cell) { return runEvict(cell, t, o); }); },
          [&](const FreezeOptions& o) { return withCell(t, call, [&](Cell& cell) { return runFreeze(cell, t, o); }); },
          [&](const VerifyOptions& o) { return withCell(t, call, [&](Cell& cell) { return runVerify(cell, t, o); }); },
          [&](const ConfigCheckOptions& o) { return runConfigCheck(t, o); },
          [&](const ConfigDocsOptions&) { return runConfigDocs(t); },
          [&](const HelperOptions& o) { return runHelper(t, o); },
          [&](const VersionOptions&) { return runVersion(t); },
      },
      call.command);
}

int run(std::vector<std::string> arguments) {
  const auto parsed = parseCommandLine(std::move(arguments));
  if (const auto* answer = std::get_if<Answer>(&parsed)) {
    Terminal terminal = Terminal::ofProcess(false);
    terminal.out(answer->out);
    if (!answer->err.empty()) terminal.err(answer->err);
    return answer->exit_code;
  }
  const auto& invocation = std::get<Invocation>(parsed);
  Terminal terminal = Terminal::ofProcess(invocation.json);
  const int code = dispatch(terminal, invocation);
  const Status flushed = terminal.flush();
  if (flushed || code != kExitOk) return code;
  // A full disk is told; a reader that left (`| head`) knows.
  return flushed.error().code == Code::Cancelled ? static_cast<int>(kExitFailure) : terminal.fail(flushed.error());
}

}  // namespace
}  // namespace forebay::cli

int main(int argc, char** argv) {
  // A peer or a reader that goes away is an error where it is written to, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::cli::run({argv + 1, argv + argc});
}
