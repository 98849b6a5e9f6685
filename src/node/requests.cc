#include "node/requests.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/log.h"
#include "node/origin_listing.h"
#include "node/plan_bytes.h"
#include "wire/many_parts.h"

namespace forebay::node {
namespace {

constexpr Duration kHolderTimeout = 1s;           // of one node's answer to `where` and `status`
constexpr std::uint32_t kMaxWhereChunks = 4'000;  // an answer has at most 1 MiB
constexpr std::uint64_t kPrefetchShare = 8;       // of the arena is being brought in ahead at most
constexpr Duration kMostWait = 60s;               // that an open may ask for
constexpr std::uint32_t kDefaultPage = 5'000, kMaxPage = 5'000;

// Of a time to live: what is over is 0, and a mount may be bounded by months.
std::uint32_t milliseconds(Duration ttl) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(toMs(ttl), 0, UINT32_MAX));
}

Error absent(const std::string& path) {
  return {Code::NotFound, path + ": nothing of that name", 0};
}

// The answer is elsewhere: with those who are named, or not with this node.
void fillElsewhere(auto& to, const std::vector<core::NodeId>& ask) {
  to.set_miss(ask.empty());
  for (const core::NodeId node : ask) to.add_ask(node);
}

void fill(wire::pb::Resolved& to, const Result<NameService::Resolved>& from) {
  if (!from) {
    *to.mutable_failure() = wire::toMessage(from.error());
    return;
  }
  if (from->answer == nullptr) return fillElsewhere(to, from->ask);
  to.set_ttl_ms(milliseconds(from->ttl));
  switch (from->answer->kind) {
    case NameAnswer::Kind::Absent:
      *to.mutable_failure() = wire::toMessage(absent(from->answer->plan.path));
      return;
    case NameAnswer::Kind::Directory:
      return to.set_directory(true);
    case NameAnswer::Kind::Object:
      wire::fill(*to.mutable_plan(), from->answer->plan);
  }
}

void fill(wire::pb::ListReply& to, const Result<NameService::Listed>& from) {
  if (!from) {
    *to.mutable_failure() = wire::toMessage(from.error());
    return;
  }
  if (from->page == nullptr) return fillElsewhere(to, from->ask);
  to.set_ttl_ms(milliseconds(from->ttl));
  to.set_next_cursor(from->page->next_cursor);
  to.set_hidden(from->page->hidden);
  to.mutable_entries()->Reserve(static_cast<int>(from->page->entries.size()));
  for (const auto* entry : from->page->entries) {
    auto& e = *to.add_entries();
    e.set_name(entry->name);
    e.set_directory(entry->directory);
    e.set_size(entry->info.size);
    e.set_version(entry->info.version);
    e.set_mtime_ns(entry->info.mtime_ns);
  }
}

// Who asks owners asks the next one when this one is silent until the deadline. So it hears shortly before that this
// one is slow, which is no reason to stay away from it.
TimePoint answerBy(const io::Request& request) {
  if (!request.from.asksOwners() || request.deadline == kNever) return request.deadline;
  return request.deadline - std::min<Duration>(500ms, (request.deadline - request.arrived) / 4);
}

core::NameAsker askerOf(const io::Request& request, const auto& message) {
  return {.node = request.from.peer ? request.from.node_id : core::kNoNode,
          .may_ask = message.may_ask() && !message.no_fetch() && !message.relay(),
          .insist = message.insist()};
}

Error tooMany() {
  return {Code::Busy, "this node has node.max_requests requests open: try again", 50};
}

}  // namespace

Requests::Requests(Deps deps)
    : deps_(std::move(deps)),
      prefetcher_(deps_.chunks, deps_.arena.capacityBytes() / kPrefetchShare),
      slow_reads_(deps_.slow_read,
                  [this](core::NodeId node) {
                    const core::Member* member = deps_.cell.map().find(node);
                    return member == nullptr ? fmt::format("{:08x}", node) : member->name;
                  }),
      cache_control_({.reactor = deps_.reactor,
                      .self = deps_.self,
                      .cell = deps_.cell,
                      .channels = deps_.channels,
                      .arena = deps_.arena,
                      .mounts = deps_.mounts,
                      .names = deps_.names,
                      .refreshed = deps_.refreshed}),
      loads_({deps_.reactor, deps_.self, deps_.cell, deps_.arena, deps_.chunks}),
      completions_({deps_.reactor, deps_.self, deps_.cell, deps_.arena, deps_.chunks}),
      pins_(deps_.reactor, deps_.arena),
      load_requests_({deps_.self, deps_.cell, deps_.channels, deps_.mounts, plans_, loads_}) {}
Requests::~Requests() = default;

Result<Mount*> Requests::mountOf(const std::string& name) {
  Mount* mount = deps_.mounts.find(name);
  if (mount == nullptr || !mount->offered)
    return fail(Code::NotFound,
                fmt::format("mount {:?}: this node has no mount of that name (`forebay status` lists them)", name));
  return mount;
}

void Requests::request(const io::Request& request, Bytes body, io::Reply reply) {
  if (deps_.overloaded()) {
    (void)reply.fail(tooMany());
    return;
  }
  const Status handled = handle(request, body, reply);
  if (!handled) (void)reply.fail(handled.error());
}

Status Requests::handle(const io::Request& request, Bytes body, io::Reply& reply) {
  switch (request.header.type) {
    case wire::MessageType::ResolveRequest:
      return resolve(request, body, reply);
    case wire::MessageType::ListRequest:
      return list(request, body, reply);
    case wire::MessageType::HaveRequest:
      return have(body, reply);
    case wire::MessageType::WhereRequest:
      return where(request, body, reply);
    case wire::MessageType::StatusRequest:
      return status(request, body, reply);
    case wire::MessageType::AddMountRequest:
      return addMount(request, body, reply);
    case wire::MessageType::RefreshRequest:
      return cache_control_.refresh(request, body, reply);
    case wire::MessageType::EvictRequest:
      return cache_control_.evict(request, body, reply);
    case wire::MessageType::LoadRequest:
      return load_requests_.serve(request, body, reply);
    case wire::MessageType::SlabRequest:
      return slab(request, reply);
    case wire::MessageType::UnpinRequest:
      return unpin(request, body, reply);
    case wire::MessageType::RegionRequest:
      return region(request, body, reply);
    case wire::MessageType::MapRequest: {
      wire::pb::MapReply map;
      map.set_version(deps_.cell.map().version());
      for (const auto& member : deps_.cell.map().members()) {
        auto& m = *map.add_members();
        m.set_id(member.id);
        m.set_name(member.name);
        m.set_address(member.address);
        m.set_domain(member.domain);
        m.set_weight(member.weight);
      }
      (void)reply.send(wire::MessageType::MapReply, map);
      return {};
    }
    default:
      return fail(Code::Unsupported, "this version doesn't answer that request");
  }
}

// All of an object as a file, which its client reads, maps, or gives to the kernel, without asking for a byte of it.
Status Requests::region(const io::Request& request, Bytes body, io::Reply& reply) {
  if (!request.from.identity.is_unix)
    return fail(Code::Unsupported, "a file of the arena goes to programs of this machine, over the node's Unix socket");
  const auto message = TRY(wire::parse<wire::pb::RegionRequest>(body));
  const core::Plan asked = wire::fromMessage(message.plan());
  const auto checked = plans_.check(wire::ReadObject::of(asked), deps_.mounts);
  const SharedPlan& plan = checked.plan;
  if (plan == nullptr) return fail(Code::PermissionDenied, "no such mount, or not a plan of it");
  if (!message.reads().empty()) noteReads(*checked.mount, message);
  const Duration within = std::min<Duration>(std::chrono::microseconds(message.wait_us()), kMostWait);
  const Status given = answerRegion(*plan, reply);
  if (given || given.error().code != Code::NotFound || within == Duration{0}) return given;
  TRY(deps_.arena.mayExport(*plan));
  if (!completions_.worth(*plan, within)) return given;
  checked.mount->metrics->open_waits.add();
  completions_.bring(plan, within, [this, plan, reply = std::move(reply)](const Status& brought) mutable {
    const Status complete = answerRegion(*plan, reply);
    if (complete) return;
    if (Mount* mount = deps_.mounts.find(plan->mount)) mount->metrics->open_waits_late.add();
    (void)reply.fail(brought ? complete.error() : brought.error());
  });
  return {};
}

namespace {
constexpr std::size_t kMostText = 200;  // that a mount's process may say of itself
}

// How a mount reads whole objects: the last one that opened any is what `status` says.
void Requests::noteReads(Mount& mount, const wire::pb::RegionRequest& message) const {
  const std::string none = deps_.arena.whyNoFiles();
  mount.whole_objects = !none.empty() ? "plain" : message.reads() == "passthrough" ? "passthrough" : "mapped";
  mount.whole_objects_why = !none.empty() ? none : message.why().substr(0, kMostText);
}

Status Requests::answerRegion(const core::Plan& plan, io::Reply& reply) {
  auto file = TRY(deps_.arena.exportObject(io::Reactor::now(), plan.key));
  wire::pb::RegionReply answer;
  answer.set_bytes(plan.size);
  (void)reply.sendDescriptor(wire::MessageType::RegionReply, answer, std::move(file));
  return {};
}

Status Requests::slab(const io::Request& request, io::Reply& reply) {
  auto given = TRY(deps_.arena.exportSlab());
  if (!pins_.mayMap(request.from))
    return fail(Code::Unsupported, "slabs go to programs of this machine and of the node's user, over its Unix socket");
  wire::pb::SlabReply answer;
  answer.set_id(given.id);
  answer.set_page_bytes(given.page_bytes);
  return reply.sendDescriptor(wire::MessageType::SlabReply, answer, std::move(given.file));
}

// Whether it is told where bytes are in the slabs: it has that file, and may have it.
bool Requests::takesPlaces(const io::Request& request, std::uint32_t slab) const {
  return slab != 0 && slab == static_cast<std::uint32_t>(deps_.arena.slabId()) && pins_.mayMap(request.from);
}

Status Requests::unpin(const io::Request& request, Bytes body, io::Reply& reply) {
  const auto message = TRY(wire::parse<wire::pb::UnpinRequest>(body));
  pins_.unpin(Pins::Who::of(request.from),
              std::span(message.pins().data(), static_cast<std::size_t>(message.pins_size())));
  return reply.send(wire::MessageType::UnpinReply, wire::pb::UnpinReply());
}

void Requests::read(const io::Request& request, const wire::ReadView& read, io::Reply reply) {
  if (deps_.overloaded()) {
    (void)reply.fail(tooMany());
    return;
  }
  const ReadDeps deps{deps_.reactor, deps_.mounts, deps_.arena,  deps_.chunks,
                      plans_,        &prefetcher_, &slow_reads_, &pins_};
  read_sessions_.serve(deps, request, read, std::move(reply));
}

void Requests::newerMap(const io::RemoteInfo& from, std::uint64_t version) {
  if (from.peer && deps_.pull_map) deps_.pull_map(from.node_id, version);
}

// ---- names ----

struct Requests::Resolving {
  Resolving(Requests& asked, int names)
      : requests(asked), alive(asked.alive_), arena(blocks(names)), message(*Arena::CreateMessage<Message>(&arena)) {}
  using Arena = google::protobuf::Arena;
  using Message = wire::pb::ResolveReply;

  Requests& requests;
  const std::weak_ptr<int> alive;  // until they are gone
  io::Reply reply;
  Arena arena;
  Message& message;
  int open = 0;
  Mount* mount = nullptr;
  std::string first;  // of its names
  core::NodeId asker = core::kNoNode;
  std::uint32_t bytes_up_to = 0;                         // of an object that is sent with its plan; 0: none is
  bool says_places = false;                              // in place of them
  std::vector<std::shared_ptr<const NameAnswer>> found;  // by item, if some may be; null: an error

  // Enough for most answers, and little for what may wait.
  static google::protobuf::ArenaOptions blocks(int names) {
    google::protobuf::ArenaOptions options;
    options.start_block_size = std::clamp<std::size_t>(static_cast<std::size_t>(names) * 256, 512, 16 * kKiB);
    return options;
  }

  void resolved(int i, Result<NameService::Resolved> what) {
    fill(*message.mutable_items(i), what);
    if (what && !found.empty()) found[static_cast<std::size_t>(i)] = std::move(what->answer);
    if (--open > 0 || alive.expired()) return;
    requests.noteIfSlow(*this);
    answer({requests.deps_.arena, requests.deps_.chunks});
  }

  void answer(const SendingPlanBytes::Deps& deps) {
    if (says_places) {
      SayingPlaces places(deps.arena, *mount, bytes_up_to);
      forEachFound([&](const auto& answer, wire::pb::Resolved& item) { places.add(*answer, item); });
      (void)places.send(reply, message);
      return;
    }
    SendingPlanBytes bytes(deps, *mount, asker, bytes_up_to);
    forEachFound([&](const auto& answer, wire::pb::Resolved& item) { bytes.add(answer, item); });
    const Status sent = bytes.send(reply, message);
    if (!sent && sent.error().code == Code::InvalidArgument) (void)reply.fail(sent.error());  // more than a frame holds
  }
  void forEachFound(auto&& take) {
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i]) take(found[i], *message.mutable_items(static_cast<int>(i)));
  }
};

Status Requests::resolve(const io::Request& request, Bytes body, io::Reply& reply) {
  google::protobuf::Arena arena;
  const wire::pb::ResolveRequest& message = *TRY(wire::parseIn<wire::pb::ResolveRequest>(arena, body));
  Mount* mount = TRY(mountOf(message.mount()));
  auto resolving = std::make_shared<Resolving>(*this, message.paths_size());
  resolving->open = message.paths_size();
  resolving->mount = mount;
  resolving->asker = request.from.peer ? request.from.node_id : core::kNoNode;
  if (message.paths_size() > 0) resolving->first = message.paths(0);
  for (int i = 0; i < message.paths_size(); ++i) resolving->message.add_items();
  const ResolveOptions options{.object_only = message.object_only(),
                               .revalidate = message.revalidate(),
                               .ask_owner = message.relay() || !request.from.asksOwners(),
                               .fill_up_to = std::min(message.fill_up_to(), Openings::kMaxBytes),
                               .asker = askerOf(request, message),
                               .no_fetch = message.no_fetch()};
  if (resolving->open == 0) {
    (void)reply.send(wire::MessageType::ResolveReply, resolving->message);
    return {};
  }
  resolving->says_places = takesPlaces(request, message.slab());
  if (message.bytes_up_to() > 0 && (request.from.asksOwners() || resolving->says_places)) {
    resolving->bytes_up_to = message.bytes_up_to();
    resolving->found.resize(static_cast<std::size_t>(message.paths_size()));
  }
  resolving->reply = std::move(reply);
  const NameService::Batch batch(deps_.names);
  for (int i = 0; i < message.paths_size(); ++i)
    deps_.names.resolve(
        *mount, message.paths(i), options, answerBy(request),
        [resolving, i](Result<NameService::Resolved> what) { resolving->resolved(i, std::move(what)); });
  return {};
}

void Requests::noteIfSlow(const Resolving& resolving) {
  const Duration took = io::Reactor::now() - resolving.reply.arrived();
  if (!slow_reads_.slow(took)) return;
  slow_reads_.reportNames(*resolving.mount, resolving.first, static_cast<std::size_t>(resolving.message.items_size()),
                          resolving.asker, took);
}

Status Requests::list(const io::Request& request, Bytes body, io::Reply& reply) {
  auto message = TRY(wire::parse<wire::pb::ListRequest>(body));
  Mount* mount = TRY(mountOf(message.mount()));
  if (message.from_origin()) {
    listOrigin(*mount, message, answerBy(request), std::move(reply));
    return {};
  }
  const ListOptions options{
      .max = message.max_entries() == 0 ? kDefaultPage : std::min(message.max_entries(), kMaxPage),
      .raw = message.raw(),
      .ask_owner = message.relay() || !request.from.asksOwners(),
      .asker = askerOf(request, message),
      .no_fetch = message.no_fetch()};
  deps_.names.list(*mount, message.path(), message.cursor(), options, answerBy(request),
                   [reply = std::move(reply)](Result<NameService::Listed> listed) mutable {
                     const wire::OfManyParts<wire::pb::ListReply> answer;
                     fill(*answer, listed);
                     (void)reply.send(wire::MessageType::ListReply, *answer);
                   });
  return {};
}

// ---- where ----

Status Requests::have(Bytes body, io::Reply& reply) {
  const auto message = TRY(wire::parse<wire::pb::HaveRequest>(body));
  core::ObjectKey key;
  std::memcpy(key.bytes.data(), message.key().data(), key.bytes.size());
  wire::pb::HaveReply answer;
  for (std::uint64_t bytes : deps_.arena.held(key)) answer.add_chunk_bytes(bytes);
  (void)reply.send(wire::MessageType::HaveReply, answer);
  return {};
}

struct Requests::Where {
  io::Reply reply;
  core::Plan plan;
  wire::pb::WhereReply message;
  int open = 0;
};

Status Requests::where(const io::Request& request, Bytes body, io::Reply& reply) {
  const auto message = TRY(wire::parse<wire::pb::WhereRequest>(body));
  Mount* mount = TRY(mountOf(message.mount()));
  auto where = std::make_shared<Where>();
  where->reply = std::move(reply);
  deps_.names.resolve(*mount, message.path(), {.object_only = true, .revalidate = false, .ask_owner = true},
                      request.deadline,
                      [this, where, alive = std::weak_ptr(alive_)](Result<NameService::Resolved> resolved) {
                        if (alive.expired()) return;
                        if (!resolved || resolved->answer->kind == NameAnswer::Kind::Absent) {
                          const Error error = resolved ? absent(resolved->answer->plan.path) : resolved.error();
                          *where->message.mutable_failure() = wire::toMessage(error);
                          (void)where->reply.send(wire::MessageType::WhereReply, where->message);
                          return;
                        }
                        where->plan = resolved->answer->plan;
                        askHolders(where);
                      });
  return {};
}

namespace {
void addHolder(wire::pb::WhereReply& message, const std::string& node, std::size_t chunk, std::uint64_t bytes) {
  if (bytes == 0 || chunk >= static_cast<std::size_t>(message.chunks_size())) return;
  auto& placement = *message.mutable_chunks(static_cast<int>(chunk));
  placement.add_holders(node);
  placement.add_held_bytes(bytes);
}
}  // namespace

void Requests::askHolders(const std::shared_ptr<Where>& where) {
  const core::Plan& plan = where->plan;
  const core::SlotMap& map = deps_.cell.map();
  *where->message.mutable_plan() = wire::toMessage(plan);
  for (std::uint32_t i = 0; i < std::min(plan.chunks(), kMaxWhereChunks); ++i) {
    auto& placement = *where->message.add_chunks();
    const core::Slot slot = core::slotOfChunk(plan.key, plan.first_slot, i);
    placement.set_chunk(i);
    placement.set_slot(slot);
    placement.set_bytes(plan.chunkLength(i));
    const core::Owners owners = map.owners(slot);
    for (core::NodeId owner : owners.all()) placement.add_owners(map.find(owner)->name);
  }
  wire::pb::HaveRequest request;
  request.set_key(plan.key.bytes.data(), plan.key.bytes.size());
  request.set_mount(plan.mount);
  request.set_size(plan.size);
  request.set_chunk_bits(plan.chunk_bits);
  where->open = 1;
  for (const auto& member : map.members()) {
    if (member.id == deps_.self) {
      const auto held = deps_.arena.held(plan.key);
      for (std::size_t i = 0; i < held.size(); ++i) addHolder(where->message, member.name, i, held[i]);
      continue;
    }
    reader::Channel* channel = deps_.channels.to(member.id, map);
    if (channel == nullptr) {
      where->message.add_unreachable(member.name);
      continue;
    }
    ++where->open;
    channel->call(wire::MessageType::HaveRequest, request, io::Reactor::now() + kHolderTimeout,
                  [this, where, name = member.name, alive = std::weak_ptr(alive_)](Result<reader::Answer> answer) {
                    if (alive.expired()) return;
                    auto reply = answer ? wire::parse<wire::pb::HaveReply>(answer->body) : fail(answer.error());
                    if (!reply) where->message.add_unreachable(name);
                    for (int i = 0; reply && i < reply->chunk_bytes_size(); ++i)
                      addHolder(where->message, name, static_cast<std::size_t>(i), reply->chunk_bytes(i));
                    answerWhere(*where);
                  });
  }
  answerWhere(*where);
}

void Requests::answerWhere(Where& where) {
  if (--where.open == 0) (void)where.reply.send(wire::MessageType::WhereReply, where.message);
}

// ---- status ----

struct Requests::CellStatus {
  io::Reply reply;
  wire::pb::StatusReply message;
  int open = 1;
  void answered() {
    if (--open > 0) return;
    std::ranges::sort(*message.mutable_nodes(), {}, [](const auto& node) -> const std::string& { return node.name(); });
    (void)reply.send(wire::MessageType::StatusReply, message);
  }
};

// How a mount's process gets the kernel's requests: the last one that was mounted is what `status` says.
void Requests::noteReport(const wire::pb::MountReport& report) const {
  Mount* const mount = deps_.mounts.find(report.mount());
  if (mount == nullptr) return;
  mount->transport = report.transport() == "io_uring" ? "io_uring" : "plain";
  mount->transport_why = report.transport_why().substr(0, kMostText);
}

Status Requests::status(const io::Request& request, Bytes body, io::Reply& reply) {
  const auto message = TRY(wire::parse<wire::pb::StatusRequest>(body));
  if (message.has_report() && request.from.identity.is_unix) noteReport(message.report());
  auto cell = std::make_shared<CellStatus>();
  cell->reply = std::move(reply);
  *cell->message.add_nodes() = deps_.status();
  const core::SlotMap& map = deps_.cell.map();
  for (const auto& member : map.members()) {
    if (!message.cell() || member.id == deps_.self) continue;
    reader::Channel* channel = deps_.channels.to(member.id, map);
    wire::pb::NodeStatus unknown;
    unknown.set_name(member.name);
    unknown.set_address(member.address);
    unknown.set_reachable(false);
    unknown.set_slots(map.primarySlots(member.id));
    if (channel == nullptr) {
      *cell->message.add_nodes() = unknown;
      continue;
    }
    ++cell->open;
    channel->call(wire::MessageType::StatusRequest, wire::pb::StatusRequest(), io::Reactor::now() + kHolderTimeout,
                  [cell, unknown](Result<reader::Answer> answer) {
                    auto said = answer ? wire::parse<wire::pb::StatusReply>(answer->body) : fail(answer.error());
                    *cell->message.add_nodes() = said && said->nodes_size() == 1 ? said->nodes(0) : unknown;
                    cell->answered();
                  });
  }
  cell->answered();
  return {};
}

Status Requests::addMount(const io::Request& request, Bytes body, io::Reply& reply) {
  if (!request.from.identity.is_unix)
    return fail(Code::PermissionDenied, "mounts are added through the node's Unix socket only");
  const auto message = TRY(wire::parse<wire::pb::AddMountRequest>(body));
  deps_.add_mount(message, [reply = std::move(reply)](Result<std::string> name) mutable {
    wire::pb::AddMountReply answer;
    if (name)
      answer.set_name(*name);
    else
      *answer.mutable_failure() = wire::toMessage(name.error());
    (void)reply.send(wire::MessageType::AddMountReply, answer);
  });
  return {};
}

}  // namespace forebay::node
