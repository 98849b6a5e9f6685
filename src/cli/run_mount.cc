#include "cli/run_mount.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <future>
#include <pthread.h>
#include <thread>
#include <unistd.h>

#include "base/config_paths.h"
#include "base/config_values.h"
#include "base/log.h"
#include "cli/background.h"
#include "cli/cell.h"
#include "cli/exit_codes.h"
#include "client/node_client.h"
#include "frontend/fuse/fuse_mount.h"
#include "node/config_memory.h"
#include "node/mount_request.h"
#include "node/node.h"
#include "origin/environment.h"

namespace forebay::cli {
namespace {

constexpr Duration kMountDeadline = 30s;  // for the origin's first answer
constexpr int kJoinAttempts = 20;         // while another process of the user starts or ends its node

bool answersAt(const io::Address& address) {
  return !address.isUnix() || io::startConnect(address).has_value();
}

// A node in this process, on embedded defaults: no address for other machines, only the user's own socket.
class EmbeddedNode {
 public:
  static Result<std::unique_ptr<EmbeddedNode>> start(const MountOptions& options, const io::Address& address) {
    config::Overrides overrides{.environment = config::environmentOfProcess(),
                                .sets = {"node.listen=", "node.admin=", "node.socket=" + address.path}};
    if (options.helper_given) overrides.sets.push_back("node.helper=" + options.helper);
    auto config = TRY(node::loadNodeConfig({.file = {}, .overrides = std::move(overrides)}));
    for (const std::string& warning : config.warnings) log::warn("config", "{}", warning);
    if (options.memory) config.node.memory_bytes = node::memoryBytes(*options.memory, node::availableMemory());
    std::unique_ptr<EmbeddedNode> embedded(new EmbeddedNode);
    embedded->node_ = TRY(node::Node::create(std::move(config.node)));
    embedded->thread_ = std::thread([node = embedded->node_.get()] { node->run(); });
    return embedded;
  }
  ~EmbeddedNode() {
    if (!thread_.joinable()) return;
    node_->stop();
    thread_.join();
  }
  // What this node is told to forget, the kernel shall forget too; null: nobody any more.
  void tellOfRefreshes(fuse::FuseMount* mount, const std::string& name) {
    std::promise<void> set;
    node_->reactor().post([&] {
      if (mount == nullptr)
        node_->onRefresh({});
      else
        node_->onRefresh([mount, name](const std::string& of, const std::string& path) {
          if (of == name) mount->forgetNames(path);
        });
      set.set_value();
    });
    set.get_future().wait();
  }
  // Connections of clients, ours included.
  std::size_t clients() {
    std::promise<std::size_t> answer;
    node_->reactor().post([&] { answer.set_value(node_->clients()); });
    return answer.get_future().get();
  }

 private:
  EmbeddedNode() = default;
  std::unique_ptr<node::Node> node_;
  std::thread thread_;
};

// What serves the mount: the node (its own or another process's), and the connection to it.
struct Served {
  std::unique_ptr<EmbeddedNode> embedded;
  std::shared_ptr<client::NodeClient> client;
  std::string mount;
  std::string url;
  node::Consistency consistency;
};

Status connectOrStart(const MountOptions& options, Served& served) {
  for (int attempt = 1;; ++attempt) {
    if (!answersAt(options.node)) {
      if (options.node_given) return fail(Code::Unavailable, fmt::format("no node answers at {}", options.node.text()));
      auto embedded = EmbeddedNode::start(options, options.node);
      if (embedded) {
        served.embedded = std::move(*embedded);
      } else if (embedded.error().code != Code::Busy || attempt == kJoinAttempts) {
        return fail(embedded.error());
      } else {
        std::this_thread::sleep_for(100ms);  // another mount command was quicker: join its node
        continue;
      }
    }
    served.client = TRY(client::NodeClient::create(options.node, fmt::format("mount:{}", getpid())));
    return {};
  }
}

Result<Served> serveUrl(const MountOptions& options) {
  if (!options.node.isUnix())
    return fail(Code::InvalidArgument,
                "--node must be a Unix socket (unix:PATH) for a mount by URL: it carries credentials");
  node::MountConfig mount = *options.made;
  // Credentials are this person's, so they are read here, not by a node that may have another environment.
  TRY(origin::fillFromEnvironment(mount.url, mount.origin, origin::Environment::ofProcess()));
  Served served;
  TRY(connectOrStart(options, served));
  served.mount = TRY(client::wait<std::string>([&](auto done) {
    served.client->addMount(node::toRequest(mount), io::Reactor::now() + kMountDeadline, std::move(done));
  }));
  served.url = mount.url.text();
  served.consistency = mount.consistency;
  return served;
}

Result<Served> serveName(const MountOptions& options) {
  const io::Address& address = options.node;
  if (!answersAt(address))
    return fail(Code::Unavailable, fmt::format("no node answers at {}: start one with `forebay node`, or mount a URL "
                                               "(az://, s3://, file:///), which needs none",
                                               address.text()));
  Served served;
  served.client = TRY(client::NodeClient::create(options.node, fmt::format("mount:{}", getpid())));
  const auto status = TRY(client::wait<wire::pb::StatusReply>(
      [&](auto done) { served.client->status(false, io::Reactor::now() + 10s, std::move(done)); }));
  if (status.nodes_size() != 1)
    return fail(Code::Corrupt, fmt::format("what answers at {} isn't a node of this version", address.text()));
  std::string known;
  for (const auto& mount : status.nodes(0).mounts()) {
    known += (known.empty() ? "" : ", ") + mount.name();
    if (mount.name() != options.name) continue;
    served.mount = mount.name();
    served.url = mount.url();
    served.consistency = TRY(node::Consistency::parse(mount.consistency()));
    return served;
  }
  return fail(Code::NotFound, fmt::format("the node at {} has no mount {:?}; it has: {}", address.text(),
                                          options.source, known.empty() ? "none" : known));
}

fuse::Options fuseOptions(const MountOptions& options, const Served& served) {
  fuse::Options to;
  to.mount_point = options.directory;
  to.name = served.url;
  switch (served.consistency.kind) {
    case node::Consistency::Kind::Frozen:
      to.consistency = {.kind = fuse::Consistency::Kind::Frozen};
      break;
    case node::Consistency::Kind::Open:
      to.consistency = {.kind = fuse::Consistency::Kind::Open};
      break;
    case node::Consistency::Kind::Bounded:
      to.consistency = {.kind = fuse::Consistency::Kind::Bounded, .bound = served.consistency.bound};
      break;
  }
  if (options.uid) to.uid = *options.uid;
  if (options.gid) to.gid = *options.gid;
  if (options.umask) to.umask = *options.umask;
  to.allow_other = options.allow_other;
  to.transport = options.transport;
  to.passthrough = options.passthrough;
  to.helper = options.helper;
  to.open_wait = options.open_wait;
  to.deadline = options.read_timeout;
  return to;
}

// For `forebay status`. A node that doesn't hear of it says nothing of it.
void report(const Served& served, const fuse::FuseMount& mount) {
  const auto& transport = mount.transport();
  served.client->reportTransport(served.mount, transport.name, transport.why, io::Reactor::now() + 10s,
                                 [](const Result<wire::pb::StatusReply>& said) {
                                   if (!said) log::debug("mount", "tell the node how: {}", said.error().message);
                                 });
}

sigset_t endSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

bool signalled(const sigset_t& signals, Duration patience) {
  const timespec wait{.tv_sec = 0, .tv_nsec = patience.count()};
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

// Until somebody unmounts it or tells us to end. A node that was started again has heard nothing of the mount.
void serve(const Served& served, fuse::FuseMount& mount, const sigset_t& signals) {
  constexpr Duration kReport = 10s;
  TimePoint reported{};
  while (!mount.waitFor(Duration(0))) {
    if (io::Reactor::now() - reported >= kReport) {
      report(served, mount);
      reported = io::Reactor::now();
    }
    if (!signalled(signals, 200ms)) continue;
    log::info("mount", "told to end: unmounting {}", mount.mountPoint());
    if (const Status status = mount.unmount(); !status) log::error("mount", "{}", status.error().message);
  }
}

// Other mounts may have joined the node of this one: it goes on until the last of them has left.
void linger(EmbeddedNode& node, const sigset_t& signals) {
  constexpr Duration kLook = 200ms;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // our own connection's end reaches the node
  if (node.clients() > 0) log::info("mount", "unmounted; the node goes on for {} other clients", node.clients());
  while (node.clients() > 0 && !signalled(signals, kLook)) {
  }
}

}  // namespace

int runMount(Terminal& terminal, const MountOptions& options) {
  const std::string run_dir = config::defaultRunDir();
  if (const Status ready = config::preparePrivateDir(run_dir); !ready) return terminal.fail(ready.error());
  const std::string log_file =
      options.log_file.empty() ? fmt::format("{}/mount-{}.log", run_dir, options.name) : options.log_file;
  (void)terminal.flush();
  auto background = Background::start(options.foreground, log_file);
  if (!background) return terminal.fail(background.error());
  const auto failed = [&](const Error& error) {
    return background->failed(fmt::format("mount {}: {}", options.source, error.message), exitCodeOf(error.code));
  };
  const sigset_t signals = endSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: they all inherit it
  signal(SIGPIPE, SIG_IGN);

  auto served = options.made ? serveUrl(options) : serveName(options);
  if (!served) return failed(served.error());
  auto client = client::NodeClient::mount(served->client, served->mount);
  Metrics metrics;
  auto mount = fuse::FuseMount::mount(*client, fuseOptions(options, *served), metrics);
  if (!mount) return failed(mount.error());
  if (served->embedded) served->embedded->tellOfRefreshes(mount->get(), served->mount);
  const bool wanted = background->ready(fmt::format("{} is mounted at {}{}", served->url, options.directory,
                                                    options.foreground ? "" : fmt::format(" (log: {})", log_file)));
  if (wanted)
    serve(*served, **mount, signals);
  else
    log::warn("mount", "who asked for the mount at {} has gone: unmounting it", options.directory);
  if (served->embedded) served->embedded->tellOfRefreshes(nullptr, {});
  mount->reset();
  client.reset();
  served->client.reset();
  if (served->embedded) linger(*served->embedded, signals);
  return kExitOk;
}

}  // namespace forebay::cli
