#include "node/cache_control.h"

#include <algorithm>
#include <fmt/format.h>

namespace forebay::node {
namespace {

constexpr Duration kRefreshTimeout = 5s;  // of one member's answer, in each round
constexpr Duration kEvictTimeout = 30s;   // it frees memory page by page: about 20 GB/s
constexpr std::size_t kObjectsPerStep = 64;
constexpr std::size_t kMaxReason = 160;  // of a member's failure: an answer about 5,000 of them fits a frame

wire::pb::Failure shortFailure(Error error) {
  error.message.resize(std::min(error.message.size(), kMaxReason));
  return wire::toMessage(error);
}

Error unreachable() {
  return {Code::Unavailable, "it can't be reached", 0};
}

void sortByName(auto& nodes) {
  std::ranges::sort(nodes, {}, [](const auto& node) -> const std::string& { return node.name(); });
}

// What a member says of itself, under the name that the map gives it.
template <class Reply>
auto ofMember(const std::string& name, const Result<reader::Answer>& answer) {
  using Node = std::remove_cvref_t<decltype(std::declval<Reply>().nodes(0))>;
  Node node;
  auto reply = answer ? wire::parse<Reply>(answer->body) : fail(answer.error());
  if (!reply)
    *node.mutable_failure() = shortFailure(reply.error());
  else if (reply->nodes_size() != 1)
    *node.mutable_failure() = shortFailure({Code::Corrupt, "its answer isn't one to this question", 0});
  else
    node = reply->nodes(0);
  node.set_name(name);
  return node;
}

}  // namespace

Result<Mount*> CacheControl::mountOf(const std::string& name) {
  Mount* mount = deps_.mounts.find(name);
  if (mount == nullptr || !mount->offered)
    return fail(Code::NotFound,
                fmt::format("mount {:?}: this node has no mount of that name (`forebay status` lists them)", name));
  return mount;
}

const std::string& CacheControl::ownName() const {
  return deps_.cell.map().find(deps_.self)->name;
}

// Whoever asked shall hear who didn't answer, rather than nothing.
TimePoint CacheControl::askUntil(const io::Request& request, Duration most) const {
  const TimePoint now = io::Reactor::now();
  if (request.deadline == kNever) return now + most;
  return std::min(now + most, request.deadline - std::min<Duration>(500ms, (request.deadline - now) / 4));
}

// ---- names ----

struct CacheControl::Refreshing {
  io::Reply reply;
  wire::pb::RefreshRequest question;  // to the others
  core::MountId mount = 0;
  std::map<std::string, wire::pb::RefreshedNode> nodes;
  TimePoint until;
  int rounds = 0;  // that are left
  int open = 0;
};

Status CacheControl::refresh(const io::Request& request, Bytes body, io::Reply& reply) {
  auto message = TRY(wire::parse<wire::pb::RefreshRequest>(body));
  const Mount* mount = TRY(mountOf(message.mount()));
  auto refreshing = std::make_shared<Refreshing>();
  refreshing->reply = std::move(reply);
  refreshing->mount = mount->id;
  refreshing->rounds = message.cell() && deps_.cell.map().members().size() > 1 ? 2 : 1;
  refreshing->until = askUntil(request, kRefreshTimeout);
  refreshing->question = std::move(message);
  refreshRound(refreshing);
  return {};
}

std::uint64_t CacheControl::refreshHere(const Mount& mount, const wire::pb::RefreshRequest& request) {
  std::uint64_t forgotten = 0;
  for (const std::string& path : request.paths()) {
    forgotten += deps_.names.refresh(mount.id, path);
    if (deps_.refreshed) deps_.refreshed(mount.name, path);
  }
  return forgotten;
}

void CacheControl::refreshRound(const std::shared_ptr<Refreshing>& refreshing) {
  --refreshing->rounds;
  refreshing->open = 1;
  auto& own = refreshing->nodes[ownName()];
  own.set_name(ownName());
  own.set_names(own.names() + refreshHere(*deps_.mounts.find(refreshing->mount), refreshing->question));
  wire::pb::RefreshRequest question = refreshing->question;
  question.set_cell(false);
  const core::SlotMap& map = deps_.cell.map();
  for (const auto& member : map.members()) {
    if (!refreshing->question.cell() || member.id == deps_.self) continue;
    auto& said = refreshing->nodes[member.name];
    said.set_name(member.name);
    if (said.has_failure()) continue;  // in the first round
    reader::Channel* channel = deps_.channels.to(member.id, map);
    if (channel == nullptr) {
      *said.mutable_failure() = shortFailure(unreachable());
      continue;
    }
    ++refreshing->open;
    channel->call(wire::MessageType::RefreshRequest, question, refreshing->until,
                  [this, refreshing, name = member.name, alive = std::weak_ptr(alive_)](Result<reader::Answer> answer) {
                    if (alive.expired()) return;
                    auto& node = refreshing->nodes[name];
                    const std::uint64_t before = node.names();
                    node = ofMember<wire::pb::RefreshReply>(name, answer);
                    node.set_names(node.names() + before);
                    refreshed(refreshing);
                  });
  }
  refreshed(refreshing);
}

void CacheControl::refreshed(const std::shared_ptr<Refreshing>& refreshing) {
  if (--refreshing->open > 0) return;
  if (refreshing->rounds > 0) {
    refreshing->until = std::max(refreshing->until, io::Reactor::now() + kRefreshTimeout);
    if (refreshing->reply.deadline() != kNever)
      refreshing->until = std::min(refreshing->until, refreshing->reply.deadline() - 100ms);
    return refreshRound(refreshing);
  }
  wire::pb::RefreshReply message;
  for (auto& [name, node] : refreshing->nodes) *message.add_nodes() = std::move(node);
  (void)refreshing->reply.send(wire::MessageType::RefreshReply, message);
}

// ---- bytes ----

struct CacheControl::Evicting {
  io::Reply reply;
  wire::pb::EvictReply message;
  int open = 1;
};

// This node's part: the sweeps of its paths, one after the other.
struct CacheControl::Sweeping {
  std::shared_ptr<Evicting> of;
  std::vector<store::Sweep> left;  // the last one first
  wire::pb::EvictedNode node;
};

Status CacheControl::evict(const io::Request& request, Bytes body, io::Reply& reply) {
  auto message = TRY(wire::parse<wire::pb::EvictRequest>(body));
  const Mount* mount = TRY(mountOf(message.mount()));
  auto evicting = std::make_shared<Evicting>();
  evicting->reply = std::move(reply);
  const bool cell = message.cell();
  message.set_cell(false);
  const core::SlotMap& map = deps_.cell.map();
  for (const auto& member : map.members()) {
    if (!cell || member.id == deps_.self) continue;
    reader::Channel* channel = deps_.channels.to(member.id, map);
    if (channel == nullptr) {
      auto& node = *evicting->message.add_nodes();
      node.set_name(member.name);
      *node.mutable_failure() = shortFailure(unreachable());
      continue;
    }
    ++evicting->open;
    channel->call(wire::MessageType::EvictRequest, message, askUntil(request, kEvictTimeout),
                  [this, evicting, name = member.name, alive = std::weak_ptr(alive_)](Result<reader::Answer> answer) {
                    if (alive.expired()) return;
                    *evicting->message.add_nodes() = ofMember<wire::pb::EvictReply>(name, answer);
                    evicted(*evicting);
                  });
  }
  auto sweeping = std::make_shared<Sweeping>();
  sweeping->of = std::move(evicting);
  for (const std::string& path : message.paths()) sweeping->left.push_back({.mount = mount->id, .path = path});
  std::ranges::reverse(sweeping->left);
  sweep(sweeping);
  return {};
}

void CacheControl::sweep(const std::shared_ptr<Sweeping>& sweeping) {
  if (!sweeping->left.empty()) {
    store::Sweep& now = sweeping->left.back();
    deps_.arena.evict(now, kObjectsPerStep);
    if (now.done) {
      wire::pb::EvictedNode& node = sweeping->node;
      node.set_bytes(node.bytes() + now.bytes);
      node.set_objects(node.objects() + now.objects);
      node.set_in_use_bytes(node.in_use_bytes() + now.in_use_bytes);
      node.set_in_use_objects(node.in_use_objects() + now.in_use_objects);
      sweeping->left.pop_back();
    }
    return deps_.reactor.post([this, sweeping, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) sweep(sweeping);
    });
  }
  sweeping->node.set_name(ownName());
  *sweeping->of->message.add_nodes() = std::move(sweeping->node);
  evicted(*sweeping->of);
}

void CacheControl::evicted(Evicting& evicting) {
  if (--evicting.open > 0) return;
  sortByName(*evicting.message.mutable_nodes());
  (void)evicting.reply.send(wire::MessageType::EvictReply, evicting.message);
}

}  // namespace forebay::node
