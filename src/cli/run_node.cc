#include "cli/run_node.h"

#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/exit_codes.h"
#include "cli/status_json.h"
#include "frontend/admin/admin_server.h"
#include "node/node.h"

namespace forebay::cli {
namespace {

sigset_t endSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// They end the loop; the first is enough.
Result<int> watchSignals(node::Node& node) {
  const sigset_t set = endSignals();
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return failErrno("signalfd", errno);
  TRY(node.reactor().watch(fd, EPOLLIN, [&node](std::uint32_t) {
    log::info("node", "told to end");
    node.stop();
  }));
  return fd;
}

}  // namespace

int runNode(Terminal& terminal, const node::NodeConfig& config) {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = endSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // before any thread: they all inherit it
  auto node = node::Node::create(config);
  if (!node) return terminal.fail("node", node.error());
  const auto signals = watchSignals(**node);
  if (!signals) return terminal.fail("node", signals.error());
  std::unique_ptr<admin::AdminServer> admin;
  if (!config.admin.empty()) {
    auto made = admin::AdminServer::start((*node)->reactor(), (*node)->metrics(),
                                          {.address = config.admin,
                                           .not_ready = [&node] { return (*node)->notReady(); },
                                           .status =
                                               [&node] {
                                                 wire::pb::StatusReply reply;
                                                 *reply.add_nodes() = (*node)->status();
                                                 return statusJson(reply);
                                               }});
    if (!made) return terminal.fail("node", made.error());
    admin = std::move(*made);
  }
  (*node)->run();
  admin.reset();
  close(*signals);
  log::info("node", "ended");
  return kExitOk;
}

}  // namespace forebay::cli
