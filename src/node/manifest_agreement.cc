#include "node/manifest_agreement.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/log.h"
#include "node/manifest.h"

namespace forebay::node {
namespace {

constexpr std::size_t kPeersAtOnce = 8;
constexpr Duration kPeerTimeout = 2s;
constexpr Duration kAgain = 2s, kAgainWell = 10s;  // 2,000 nodes: 1,600 small requests a second in all of the cell

std::string saidOf(const ManifestClaim& claim) {
  return claim.digest.empty() ? fmt::format("node {} serves it without a manifest", claim.node)
                              : fmt::format("node {} has {}", claim.node, claim.digest);
}

}  // namespace

std::optional<ManifestClaim> disagreement(const ManifestClaim& mine, const std::vector<ManifestClaim>& others) {
  for (const ManifestClaim& other : others) {
    if (other.digest == mine.digest) continue;
    const bool first = other.serving == mine.serving && !other.digest.empty() && other.digest < mine.digest;
    if (first || (other.serving && !mine.serving)) return other;
  }
  return std::nullopt;
}

struct ManifestAgreement::Round {
  std::vector<wire::pb::NodeStatus> nodes;
  std::size_t open = 0;
};

ManifestAgreement::ManifestAgreement(Deps deps) : deps_(deps), random_(deps.seed) {}

ManifestAgreement::~ManifestAgreement() {
  alive_.reset();
  if (timer_ != 0) deps_.reactor.cancel(timer_);
}

bool ManifestAgreement::frozenMounts() const {
  return std::ranges::any_of(deps_.mounts.all(), [](const Mount* mount) { return mount->manifest != nullptr; });
}

void ManifestAgreement::start() {
  if (!frozenMounts() || deps_.cell.map().members().size() < 2) return;
  for (Mount* mount : deps_.mounts.all()) {
    if (mount->manifest == nullptr) continue;
    mount->refusal = {Code::Busy,
                      fmt::format("mount {}: its manifest is being compared with the other nodes'", mount->name), 100};
  }
  timer_ = deps_.reactor.after(Duration{0}, [this] { compare(); });
}

std::vector<core::NodeId> ManifestAgreement::somePeers() {
  std::vector<core::NodeId> peers;
  for (const auto& member : deps_.cell.map().members())
    if (member.id != deps_.self) peers.push_back(member.id);
  const std::size_t wanted = std::min(peers.size(), kPeersAtOnce);
  for (std::size_t i = 0; i < wanted; ++i) std::swap(peers[i], peers[i + random_.below(peers.size() - i)]);
  peers.resize(wanted);
  return peers;
}

void ManifestAgreement::compare() {
  timer_ = 0;
  auto round = std::make_shared<Round>();
  round->open = 1;
  const auto answered = [this, round, alive = std::weak_ptr(alive_)](Result<reader::Answer> answer) {
    if (alive.expired()) return;
    auto said = answer ? wire::parse<wire::pb::StatusReply>(answer->body) : fail(answer.error());
    if (said && said->nodes_size() == 1) round->nodes.push_back(said->nodes(0));
    if (--round->open == 0) compared(*round);
  };
  for (const core::NodeId peer : somePeers()) {
    reader::Channel* channel = deps_.channels.to(peer, deps_.cell.map());
    if (channel == nullptr) continue;
    ++round->open;
    channel->call(wire::MessageType::StatusRequest, wire::pb::StatusRequest(), io::Reactor::now() + kPeerTimeout,
                  answered);
  }
  answered(fail(Code::Unavailable, "nobody was asked"));
}

void ManifestAgreement::compared(const Round& round) {
  bool well = true;
  for (Mount* mount : deps_.mounts.all()) {
    if (mount->manifest == nullptr) continue;
    judge(*mount, round);
    well &= !mount->refusal;
  }
  timer_ = deps_.reactor.after(well ? kAgainWell : kAgain, [this] { compare(); });
}

void ManifestAgreement::judge(Mount& mount, const Round& round) {
  std::vector<ManifestClaim> others;
  for (const auto& node : round.nodes)
    for (const auto& theirs : node.mounts())
      if (theirs.name() == mount.name)
        others.push_back(
            {.node = node.name(), .digest = theirs.manifest_digest(), .serving = theirs.refusal().empty()});
  const core::Member* self = deps_.cell.map().find(deps_.self);
  const ManifestClaim mine{
      .node = self != nullptr ? self->name : "this", .digest = mount.manifest->digest(), .serving = !mount.refusal};
  const auto other = disagreement(mine, others);
  const bool refused = mount.refusal && mount.refusal->code != Code::Busy;
  if (!other) {
    if (refused) log::info("mount", "{}: the nodes that were asked have the same manifest again", mount.name);
    mount.refusal.reset();
    return;
  }
  Error error{Code::InvalidArgument,
              fmt::format("mount {}: the nodes' manifests differ: {}, {}. All nodes of a cell must have the same file: "
                          "put it there and start this node again",
                          mount.name, saidOf(mine), saidOf(*other)),
              0};
  if (!refused) log::error("mount", "{}", error.message);
  mount.refusal = std::move(error);
}

}  // namespace forebay::node
