#include "node/node.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <unistd.h>

#include "base/config_paths.h"
#include "base/log.h"
#include "core/chunk_server.h"
#include "io/http_client.h"
#include "io/privileged.h"
#include "io/server.h"
#include "io/worker_pool.h"
#include "node/chunks.h"
#include "node/manifest_agreement.h"
#include "node/mount_request.h"
#include "node/mounts.h"
#include "node/names.h"
#include "node/page_maker.h"
#include "node/requests.h"
#include "origin/make_origin.h"
#include "store/arena.h"

namespace forebay::node {
namespace {

constexpr Duration kProbeDeadline = 20s;
constexpr Duration kProbeAgain = 5s;  // after a failure; one cheap request each
constexpr const char* kNotAnsweredYet = "its origin hasn't answered yet";
constexpr unsigned kFileThreads = 4;  // for directory origins and name resolution
constexpr std::size_t kMaxFileWork = 4'096;
// Of memory for a manifest that comes while the node runs: from the reserve.
constexpr std::size_t kMaxLateManifest = 8 * kMiB;
constexpr std::uint64_t kMinChunks = 4;  // of an arena: one being filled, one passing through, and something kept

// How the memory cap is divided. The reserve holds what isn't counted one by one: the process itself, connections'
// buffers, libcurl's receive buffers (64 × 512 KiB at most), the allocator's slack.
struct Budget {
  std::uint64_t arena = 0;
  std::size_t names = 0;  // of the cache of plans and of what is absent
  // Of that of listings' pages: about 200 bytes a name. Those who list one directory at the same time are some pages
  // apart, and a page that has left before the last of them came is asked for again.
  std::size_t pages = 0;
};
Result<Budget> divide(std::uint64_t memory, std::size_t manifests) {
  Budget budget;
  budget.names = static_cast<std::size_t>(std::min<std::uint64_t>(memory / 32, 64 * kMiB));
  budget.pages = static_cast<std::size_t>(std::min<std::uint64_t>(memory / 16, 512 * kMiB));
  const std::uint64_t reserve = std::max<std::uint64_t>(64 * kMiB, memory / 8);
  const std::uint64_t others = reserve + budget.names + budget.pages + manifests;
  if (memory < others + store::kMinArena)
    return fail(Code::InvalidArgument,
                fmt::format("node.memory is {} MiB: at least {} MiB are needed{}", memory / kMiB,
                            (others + store::kMinArena) / kMiB + 1,
                            manifests < kMiB ? "" : fmt::format(", {} MiB of them for manifests", manifests / kMiB)));
  budget.arena = roundDown(memory - others, 2 * kMiB);
  return budget;
}

std::vector<core::Member> membersOf(const NodeConfig& config) {
  std::vector<core::Member> members;
  for (const MemberConfig& m : config.members)
    members.push_back({.id = core::nodeIdOf(m.name),
                       .name = m.name,
                       .address = m.address.text(),
                       .domain = m.domain,
                       .weight = m.weight});
  if (members.empty())
    members.push_back(
        {.id = core::nodeIdOf(config.name), .name = config.name, .address = config.listen, .domain = config.name});
  return members;
}

using SharedManifest = std::shared_ptr<const Manifest>;

// What a mount needs of the manifest that its configuration names; null for a mount that isn't frozen.
Result<SharedManifest> manifestOf(const MountConfig& config) {
  if (config.manifest.empty()) return SharedManifest();
  SharedManifest manifest = TRY(Manifest::load(config.manifest));
  if (manifest->url() != config.url.text())
    return fail(Code::InvalidArgument, fmt::format("mount {}: manifest {} was made of {}, the mount's url is {}",
                                                   config.name, config.manifest, manifest->url(), config.url.text()));
  return manifest;
}

core::CachePolicy policyOf(MountClass mount_class) {
  return {.cls = mount_class == MountClass::Hot ? core::CacheClass::Hot : core::CacheClass::Dataset};
}

}  // namespace

class Node::Impl {
 public:
  explicit Impl(NodeConfig config) : config_(std::move(config)), self_(core::nodeIdOf(config_.name)) {}
  ~Impl();
  Status start();
  Status startServices(const Budget& budget);
  Status listen();

  Result<Mount*> makeMount(MountConfig config, SharedManifest manifest);
  void addMount(MountConfig config, std::move_only_function<void(Status)> done);
  void addFrozenMount(MountConfig config, std::move_only_function<void(Status)> done);
  void addLoadedMount(MountConfig config, SharedManifest manifest, std::move_only_function<void(Status)> done);
  void verdict(core::MountId id, const Status& status);
  void addMountRequest(const wire::pb::AddMountRequest& request,
                       std::move_only_function<void(Result<std::string>)> done);
  void probe(Mount& mount, std::move_only_function<void(Status)> done);
  void probeUntilWell(Mount& mount);
  void pullMap(core::NodeId from, std::uint64_t version);
  void mapArrived(core::NodeId from, Result<reader::Answer> answer);
  wire::pb::NodeStatus status() const;
  wire::pb::MountStatus status(const Mount& mount) const;
  std::string notReady() const;

 private:
  friend class Node;
  NodeConfig config_;
  const core::NodeId self_;
  TimePoint started_ = io::Reactor::now();
  Metrics metrics_;
  std::unique_ptr<io::Reactor> reactor_;
  std::unique_ptr<io::HttpClient> http_;
  Mounts mounts_;
  std::unique_ptr<io::WorkerPool> pool_;  // destroyed before the mounts' origins and the arena that its work writes to
  std::unique_ptr<io::ConnectionMetrics> server_metrics_, client_metrics_;
  std::unique_ptr<store::Arena> arena_;
  std::unique_ptr<PageMaker> page_maker_;
  std::unique_ptr<core::ChunkServer> cell_;
  std::unique_ptr<reader::Channels> channels_;
  std::unique_ptr<Openings> openings_;
  std::unique_ptr<ManifestAgreement> agreement_;
  std::unique_ptr<NameService> names_;
  std::unique_ptr<ChunkService> chunks_;
  std::unique_ptr<Requests> requests_;
  std::unique_ptr<io::Server> server_;
  std::string address_;
  std::map<core::MountId, std::string> unready_;  // mounts whose origin hasn't answered well, and why
  // Who waits for what the origin of a mount says that was added while running.
  std::map<core::MountId, std::vector<std::move_only_function<void(Status)>>> adding_;
  std::uint64_t pulling_map_ = 0;
  std::function<void(const std::string& mount, const std::string& path)> on_refresh_;
};

Node::Impl::~Impl() {
  pool_.reset();  // joins: no file work writes to the arena any more
  page_maker_.reset();
  server_.reset();
  requests_.reset();
  chunks_.reset();
  agreement_.reset();
  names_.reset();
  openings_.reset();
  channels_.reset();
  mounts_.clear();
  http_.reset();
}

Status Node::Impl::start() {
  std::vector<SharedManifest> manifests;  // by mount
  std::size_t manifest_bytes = 0;
  for (const MountConfig& mount : config_.mounts) {
    manifests.push_back(TRY(manifestOf(mount)));
    if (manifests.back() != nullptr) manifest_bytes += manifests.back()->memoryBytes();
  }
  const Budget budget = TRY(divide(config_.memory_bytes, manifest_bytes));
  TRY(config::preparePrivateDir(config_.run_dir));
  reactor_ = TRY(io::Reactor::create());
  http_ = TRY(io::HttpClient::create(*reactor_, {}));
  pool_ = std::make_unique<io::WorkerPool>(*reactor_, kFileThreads, kMaxFileWork);
  store::ArenaOptions options;
  options.capacity_bytes = budget.arena;
  options.eviction.capacity_bytes = budget.arena;
  options.max_exported_percent = config_.max_exported_percent;
  options.max_pinned_percent = config_.max_pinned_percent;
  auto directory = io::makePrivileged({.helper = config_.helper})->memoryDirectory(budget.arena);
  if (directory)
    options.directory = std::move(*directory);
  else
    log::info("node", "the arena lives in memfds alone: {}", directory.error().message);
  options.wants_pages = [this] { page_maker_->wake(); };
  arena_ = TRY(store::Arena::create(std::move(options), metrics_));
  page_maker_ = std::make_unique<PageMaker>(*reactor_, *arena_);
  TRY(startServices(budget));
  for (std::size_t i = 0; i < config_.mounts.size(); ++i) {
    MountConfig& mount = config_.mounts[i];
    TRY(origin::fillFromEnvironment(mount.url, mount.origin, origin::Environment::ofProcess()));
    Mount* made = TRY(makeMount(std::move(mount), std::move(manifests[i])));
    reactor_->post([this, made] { probeUntilWell(*made); });
  }
  agreement_->start();
  return listen();
}

Status Node::Impl::startServices(const Budget& budget) {
  auto map = TRY(core::SlotMap::build(config_.map_version, membersOf(config_)));
  if (map->find(self_) == nullptr)
    return fail(
        Code::InvalidArgument,
        fmt::format("node {:?} isn't among the cell's members: add a [[cell.member]] of that name", config_.name));
  core::ServerLimits limits;
  limits.fill.max_fetches = config_.max_fills;
  limits.silence = config_.peer_silence;
  limits.turn = 5 * config_.peer_silence;
  cell_ = std::make_unique<core::ChunkServer>(self_, std::move(map), limits, systemRandom());
  server_metrics_ = std::make_unique<io::ConnectionMetrics>(metrics_, "server");
  client_metrics_ = std::make_unique<io::ConnectionMetrics>(metrics_, "client");
  const io::Introduction introduction{
      .name = config_.name, .peer = true, .node_id = self_, .map_version = [this] { return cell_->map().version(); }};
  reader::ChannelOptions channel;
  channel.connection.self = introduction;
  channel.connection.metrics = client_metrics_.get();
  channel.resolver = pool_.get();
  channels_ = std::make_unique<reader::Channels>(*reactor_, channel);
  const auto pull = [this](core::NodeId from, std::uint64_t version) { pullMap(from, version); };
  agreement_ = std::make_unique<ManifestAgreement>(ManifestAgreement::Deps{.reactor = *reactor_,
                                                                           .self = self_,
                                                                           .cell = *cell_,
                                                                           .channels = *channels_,
                                                                           .mounts = mounts_,
                                                                           .seed = systemRandom()});
  openings_ = std::make_unique<Openings>(self_, *cell_, *arena_);
  names_ = std::make_unique<NameService>(NameService::Deps{.reactor = *reactor_,
                                                           .self = self_,
                                                           .cell = *cell_,
                                                           .channels = *channels_,
                                                           .mounts = mounts_,
                                                           .metrics = metrics_,
                                                           .limits = {.max_bytes = budget.names},
                                                           .page_limits = {.max_bytes = budget.pages},
                                                           .seed = systemRandom(),
                                                           .openings = openings_.get(),
                                                           .arena = arena_.get()});
  chunks_ = std::make_unique<ChunkService>(
      ChunkService::Deps{.reactor = *reactor_,
                         .cell = *cell_,
                         .channels = *channels_,
                         .arena = *arena_,
                         .mounts = mounts_,
                         .pull_map = pull,
                         .gone = [this](const core::Plan& plan) { names_->forget(plan.mount, plan.path); }});
  requests_ = std::make_unique<Requests>(
      Requests::Deps{.reactor = *reactor_,
                     .self = self_,
                     .cell = *cell_,
                     .channels = *channels_,
                     .arena = *arena_,
                     .mounts = mounts_,
                     .names = *names_,
                     .chunks = *chunks_,
                     .status = [this] { return status(); },
                     .add_mount = [this](const auto& request, auto done) { addMountRequest(request, std::move(done)); },
                     .pull_map = pull,
                     .overloaded = [this] { return server_ && server_->openRequests() > config_.max_requests; },
                     .slow_read = config_.slow_read,
                     .refreshed =
                         [this](const std::string& mount, const std::string& path) {
                           if (on_refresh_) on_refresh_(mount, path);
                         }});
  io::ServerOptions server;
  server.connection.self = introduction;
  server.connection.metrics = server_metrics_.get();
  server.listener.max_connections = config_.max_connections;
  server.listener.metrics = server_metrics_.get();
  server.max_requests = config_.max_requests_per_connection;
  server_ = std::make_unique<io::Server>(*reactor_, server, *requests_);
  return {};
}

Status Node::Impl::listen() {
  if (!config_.socket.empty()) TRY(server_->listen(io::Address::unixPath(config_.socket)));
  if (!config_.listen.empty()) {
    const io::Address wanted = TRY(io::Address::parse(config_.listen));
    const io::Address address = TRY(server_->listen(wanted));
    address_ = address.text();
  }
  log::info("node", "{} serves {} mounts from {} MiB ({}); socket {}, address {}", config_.name, mounts_.all().size(),
            arena_->capacityBytes() / kMiB, arena_->note(), config_.socket, address_.empty() ? "none" : address_);
  return {};
}

// ---- mounts ----

Result<Mount*> Node::Impl::makeMount(MountConfig config, SharedManifest manifest) {
  const std::uint64_t chunk_size = std::uint64_t{1} << config.chunk_bits;
  if (arena_->capacityBytes() < kMinChunks * chunk_size)
    return fail(
        Code::InvalidArgument,
        fmt::format("mount {}: chunks of {} MiB are too large for the {} MiB that node.memory leaves for bytes: "
                    "make them smaller (chunk_size) or raise node.memory",
                    config.name, chunk_size / kMiB, arena_->capacityBytes() / kMiB));
  auto mount = std::make_unique<Mount>();
  mount->name = config.name;
  mount->request_timeout = config.request_timeout;
  mount->url = config.url.text();
  mount->mount_class = config.mount_class;
  mount->consistency = config.consistency;
  mount->chunk_bits = config.chunk_bits;
  mount->read_copies = config.read_copies;
  mount->keep_remote = config.keep_remote;
  if (config.secret.empty()) {
    for (int i = 0; i < 4; ++i) {
      std::byte word[8];
      storeLe(word, systemRandom());
      mount->secret.insert(mount->secret.end(), std::begin(word), std::end(word));
    }
  } else {
    const Bytes secret = bytesOf(config.secret.reveal());
    mount->secret.assign(secret.begin(), secret.end());
  }
  mount->origin_metrics = std::make_unique<origin::OriginMetrics>(metrics_, mount->name);
  mount->metrics = std::make_unique<MountMetrics>(metrics_, mount->name);
  mount->origin = TRY(origin::makeOrigin(config.url, config.origin, *reactor_, *http_, *pool_, *mount->origin_metrics));
  if (manifest != nullptr) {
    mount->origin = std::make_unique<FrozenOrigin>(std::move(mount->origin), manifest, *reactor_, *pool_);
    log::info("mount", "{}: frozen, {} objects from {} ({})", mount->name, manifest->count(), manifest->file(),
              manifest->digest());
    mount->manifest = std::move(manifest);
  }
  Mount* made = TRY(mounts_.add(std::move(mount)));
  if (Status known = arena_->addMount(made->id, policyOf(made->mount_class)); !known) {
    mounts_.remove(made->id);
    return fail(std::move(known.error()));
  }
  unready_[made->id] = kNotAnsweredYet;
  return made;
}

void Node::Impl::probe(Mount& mount, std::move_only_function<void(Status)> done) {
  mount.origin->probe(io::Reactor::now() + kProbeDeadline,
                      [this, id = mount.id, done = std::move(done)](Status status) mutable {
                        if (status)
                          unready_.erase(id);
                        else
                          unready_[id] = status.error().text();
                        done(std::move(status));
                      });
}

// An origin that is down while the node starts must not leave it unready for ever.
void Node::Impl::probeUntilWell(Mount& mount) {
  const bool again = unready_[mount.id] != kNotAnsweredYet;
  probe(mount, [this, &mount, again](const Status& status) {
    if (status) {
      if (again) log::info("mount", "{}: {} answers now", mount.name, mount.url);
      return;
    }
    if (!again)
      log::error("mount", "{}: {} doesn't answer as it should, and is asked again every {} s: {}", mount.name,
                 mount.url, toMs(kProbeAgain) / 1000, status.error().text());
    reactor_->after(kProbeAgain, [this, &mount] { probeUntilWell(mount); });
  });
}

void Node::Impl::addMount(MountConfig config, std::move_only_function<void(Status)> done) {
  if (cell_->map().members().size() > 1)
    return done(fail(Code::InvalidArgument,
                     "this node belongs to a cell of several: a mount must be in the configuration of all of them"));
  if (!config.manifest.empty()) return addFrozenMount(std::move(config), std::move(done));
  addLoadedMount(std::move(config), nullptr, std::move(done));
}

// Its manifest is read on the pool: a large one takes as long as its file takes to read.
void Node::Impl::addFrozenMount(MountConfig config, std::move_only_function<void(Status)> done) {
  struct Adding {
    MountConfig config;
    std::move_only_function<void(Status)> done;
    Result<SharedManifest> manifest = SharedManifest();
  };
  auto adding = std::make_shared<Adding>(Adding{std::move(config), std::move(done)});
  const Status submitted =
      pool_->submit([adding] { adding->manifest = manifestOf(adding->config); },
                    [this, adding] {
                      if (!adding->manifest) return adding->done(fail(adding->manifest.error()));
                      addLoadedMount(std::move(adding->config), std::move(*adding->manifest), std::move(adding->done));
                    });
  if (!submitted) adding->done(fail(submitted.error()));
}

void Node::Impl::addLoadedMount(MountConfig config, SharedManifest manifest,
                                std::move_only_function<void(Status)> done) {
  if (manifest != nullptr && manifest->memoryBytes() > kMaxLateManifest)
    return done(fail(Code::InvalidArgument,
                     fmt::format("mount {}: its manifest of {} objects is too large to be added while the node runs: "
                                 "put the mount in the node's configuration",
                                 config.name, manifest->count())));
  if (Mount* known = mounts_.find(config.name)) {
    const auto digest = [](const SharedManifest& of) { return of == nullptr ? std::string() : of->digest(); };
    if (digest(known->manifest) != digest(manifest))
      return done(fail(Code::InvalidArgument, fmt::format("mount {} is {}{} here: choose another name (--name)",
                                                          known->name, known->consistency.text(),
                                                          known->manifest == nullptr ? "" : " with another manifest")));
    if (known->url == config.url.text()) {
      if (known->offered)
        return known->origin->probe(io::Reactor::now() + kProbeDeadline,
                                    [done = std::move(done)](Status status) mutable { done(std::move(status)); });
      adding_[known->id].push_back(std::move(done));
      return;
    }
    return done(
        fail(Code::InvalidArgument, fmt::format("mount {} is {} here: choose another name", known->name, known->url)));
  }
  auto made = makeMount(std::move(config), std::move(manifest));
  if (!made) return done(fail(made.error()));
  (*made)->offered = false;
  adding_[(*made)->id].push_back(std::move(done));
  probe(**made, [this, id = (*made)->id](const Status& status) {
    // Not here: a mount that goes again takes its origin with it, whose call this is.
    reactor_->post([this, id, status] { verdict(id, status); });
  });
}

void Node::Impl::verdict(core::MountId id, const Status& status) {
  if (status) {
    mounts_.find(id)->offered = true;
  } else {
    // Nobody has got a plan of it, or asked for one, so it can go again, and a corrected command can make it anew.
    unready_.erase(id);
    arena_->removeMount(id);
    mounts_.remove(id);
  }
  auto waiting = adding_.extract(id);
  for (auto& done : waiting.mapped()) done(status);
}

void Node::Impl::addMountRequest(const wire::pb::AddMountRequest& request,
                                 std::move_only_function<void(Result<std::string>)> done) {
  auto config = fromRequest(request);
  if (!config) return done(fail(config.error()));
  std::string name = config->name;
  addMount(std::move(*config), [name = std::move(name), done = std::move(done)](Status status) mutable {
    if (status)
      done(std::move(name));
    else
      done(fail(status.error()));
  });
}

// ---- the map ----

void Node::Impl::pullMap(core::NodeId from, std::uint64_t version) {
  if (version <= cell_->map().version() || version <= pulling_map_) return;
  reader::Channel* channel = channels_->to(from, cell_->map());
  if (channel == nullptr) return;
  pulling_map_ = version;
  channel->call(wire::MessageType::MapRequest, wire::pb::MapRequest(), io::Reactor::now() + 5s,
                [this, from](Result<reader::Answer> answer) { mapArrived(from, std::move(answer)); });
}

void Node::Impl::mapArrived(core::NodeId from, Result<reader::Answer> answer) {
  pulling_map_ = 0;
  if (!answer) return log::warn("node", "no newer map from node {:x}: {}", from, answer.error().text());
  const auto reply = wire::parse<wire::pb::MapReply>(answer->body);
  if (!reply) return log::warn("node", "map from node {:x}: {}", from, reply.error().text());
  std::vector<core::Member> members;
  for (const auto& m : reply->members())
    members.push_back(
        {.id = m.id(), .name = m.name(), .address = m.address(), .domain = m.domain(), .weight = m.weight()});
  auto map = core::SlotMap::build(reply->version(), std::move(members));
  if (!map || (*map)->find(self_) == nullptr)
    return log::error("node", "map {} from node {:x} isn't used: {}", reply->version(), from,
                      map ? "this node isn't in it" : map.error().message);
  log::info("node", "map {} with {} members, from node {:x}", reply->version(), (*map)->members().size(), from);
  chunks_->newMap(std::move(*map));
}

// ---- what it says of itself ----

wire::pb::MountStatus Node::Impl::status(const Mount& mount) const {
  wire::pb::MountStatus s;
  s.set_name(mount.name);
  s.set_url(mount.url);
  s.set_class_name(std::string(className(mount.mount_class)));
  s.set_consistency(mount.consistency.text());
  if (mount.manifest != nullptr) {
    s.set_manifest_digest(mount.manifest->digest());
    s.set_manifest_objects(mount.manifest->count());
    s.set_manifest_made(mount.manifest->made());
  }
  if (mount.refusal) s.set_refusal(mount.refusal->message);
  s.set_whole_objects(mount.whole_objects);
  s.set_whole_objects_why(mount.whole_objects_why);
  s.set_transport(mount.transport);
  s.set_transport_why(mount.transport_why);
  s.set_bytes_served(mount.metrics->bytes_served.value());
  s.set_requests_served(mount.metrics->requests.value());
  s.set_hits(mount.metrics->hits.value());
  s.set_misses(mount.metrics->misses.value());
  s.set_peer_bytes(mount.metrics->peer_bytes.value());
  s.set_direct_bytes(mount.metrics->direct_bytes.value());
  s.set_hidden_names(mount.metrics->hidden_names.value());
  s.set_origin_bytes(mount.origin_metrics->bytes.value());
  s.set_origin_gets(mount.origin_metrics->gets.value());
  s.set_origin_heads(mount.origin_metrics->heads.value());
  s.set_origin_lists(mount.origin_metrics->lists.value());
  s.set_origin_retries(mount.origin_metrics->retries.value());
  s.set_origin_errors(mount.origin_metrics->errors.value());
  return s;
}

wire::pb::NodeStatus Node::Impl::status() const {
  wire::pb::NodeStatus s;
  const store::ArenaStats arena = arena_->stats();
  s.set_name(config_.name);
  s.set_address(address_);
  s.set_reachable(true);
  s.set_pid(static_cast<std::uint32_t>(getpid()));
  s.set_map_version(cell_->map().version());
  s.set_memory_cap(config_.memory_bytes);
  s.set_arena_cap(arena.capacity);
  s.set_arena_used(arena.used - arena.spare_bytes);
  s.set_evicted_bytes(arena.evicted_bytes);
  s.set_uptime_s(static_cast<std::uint64_t>(toMs(io::Reactor::now() - started_) / 1000));
  s.set_version(FOREBAY_VERSION);
  s.set_slots(cell_->map().primarySlots(self_));
  s.set_connections(server_->connections());
  s.set_bad_frames(server_metrics_->bad_frames.value());
  s.set_pinned_bytes(arena.client_pinned_bytes);
  s.set_pinned_cap(arena_->slabId() == 0 ? 0 : arena.capacity / 100 * config_.max_pinned_percent);
  requests_->pins().report(s);
  if (!arena_->note().empty()) s.add_notes(arena_->note());
  if (!cell_->map().domainsSuffice() && cell_->map().members().size() > 1)
    s.add_notes("fewer fault domains than owners: some slots' alternates share a domain with their primary");
  for (const Mount* mount : mounts_.all())
    if (mount->offered) *s.add_mounts() = status(*mount);
  for (const Mount* mount : mounts_.all())
    if (mount->refusal) s.add_notes(mount->refusal->message);
  for (const auto& [id, why] : unready_) {
    const Mount* mount = mounts_.find(id);
    if (mount != nullptr) s.add_notes(fmt::format("mount {}: {}", mount->name, why));
  }
  return s;
}

std::string Node::Impl::notReady() const {
  for (const auto& [id, why] : unready_) {
    const Mount* mount = mounts_.find(id);
    if (mount != nullptr) return fmt::format("mount {}: {}", mount->name, why);
  }
  for (const Mount* mount : mounts_.all())
    if (mount->refusal) return mount->refusal->message;
  return {};
}

// ---- the door ----

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::create(NodeConfig config) {
  auto impl = std::make_unique<Impl>(std::move(config));
  TRY(impl->start());
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

void Node::run() {
  impl_->reactor_->run();
}
void Node::stop() {
  impl_->reactor_->stop();
}
io::Reactor& Node::reactor() {
  return *impl_->reactor_;
}
Metrics& Node::metrics() {
  return impl_->metrics_;
}
const std::string& Node::address() const {
  return impl_->address_;
}
void Node::addMount(MountConfig config, std::move_only_function<void(Status)> done) {
  if (Status filled = origin::fillFromEnvironment(config.url, config.origin, origin::Environment::ofProcess()); !filled)
    return done(std::move(filled));
  impl_->addMount(std::move(config), std::move(done));
}
std::string Node::notReady() const {
  return impl_->notReady();
}
wire::pb::NodeStatus Node::status() const {
  return impl_->status();
}
void Node::onRefresh(std::function<void(const std::string& mount, const std::string& path)> heard) {
  impl_->on_refresh_ = std::move(heard);
}
std::size_t Node::clients() const {
  return impl_->server_->connections();
}

}  // namespace forebay::node
