#include "node/load_requests.h"

#include <algorithm>
#include <utility>

namespace forebay::node {
namespace {
constexpr Duration kAnswerAfter = 500ms;
constexpr Duration kSilence = 3s;            // of a node, beyond that
constexpr std::uint32_t kFewChunks = 16;     // whose holders are looked up before anybody is asked
constexpr Duration kBeforeDeadline = 100ms;  // for the answer's way
}  // namespace

struct LoadRequests::Answering {
  io::Reply reply;
  CopyOptions options;
  std::vector<SharedPlan> plans;           // by item; null where there is an error
  std::vector<core::CopyHolders> holders;  // by item, of those
  wire::pb::LoadReply message;
  int open = 1;

  void add(const std::vector<int>& items, const std::vector<LoadedPart>& parts) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      auto& item = *message.mutable_items(items[i]);
      item.set_bytes(item.bytes() + parts[i].bytes);
      if (!parts[i].over) item.set_over(false);
      if (parts[i].error && !item.has_failure()) *item.mutable_failure() = wire::toMessage(*parts[i].error);
    }
  }
  void silent(const core::Member& member) {
    auto& node = *message.add_silent();
    node.set_id(member.id);
    node.set_name(member.name);
  }
  void closed() {
    if (--open > 0) return;
    if (message.silent_size() > 0)
      for (auto& item : *message.mutable_items()) item.set_over(false);
    (void)reply.send(wire::MessageType::LoadReply, message);
  }
};

Status LoadRequests::serve(const io::Request& request, Bytes body, io::Reply& reply) {
  const auto message = TRY(wire::parse<wire::pb::LoadRequest>(body));
  auto answering = std::make_shared<Answering>();
  answering->options = {.copies = message.copies(),
                        .without = {message.without().begin(), message.without().end()},
                        .at_once = message.at_once(),
                        .anew = message.anew()};
  Share mine;
  for (int i = 0; i < message.plans_size(); ++i) {
    const core::Plan plan = wire::fromMessage(message.plans(i));
    auto checked = deps_.plans.check(wire::ReadObject::of(plan), deps_.mounts).plan;
    auto& item = *answering->message.add_items();
    item.set_over(true);
    if (checked == nullptr) {
      *item.mutable_failure() = wire::toMessage(
          {Code::NotFound, plan.path + ": this node has no mount whose object that is (`forebay status` lists them)",
           0});
    } else if (request.from.peer) {
      mine.plans.push_back(checked);
      mine.items.push_back(i);
    }
    answering->plans.push_back(std::move(checked));
  }
  const TimePoint until = std::min(io::Reactor::now() + kAnswerAfter, request.deadline - kBeforeDeadline);
  if (!request.from.peer) {
    for (const auto& plan : answering->plans)
      answering->holders.emplace_back(deps_.cell.sharedMap(), plan == nullptr ? core::ObjectKey{} : plan->key,
                                      answering->options.copies, answering->options.without);
    mine = shareOf(deps_.self, *answering);
  }
  TRY(serveShare(mine, answering, until));
  answering->reply = std::move(reply);
  if (!request.from.peer) askOthers(message, answering, until);
  answering->closed();
  return {};
}

Status LoadRequests::serveShare(const Share& share, const std::shared_ptr<Answering>& answering, TimePoint until) {
  if (share.plans.empty()) return {};
  ++answering->open;
  return deps_.loads.goOn(share.plans, answering->options, until,
                          [answering, items = share.items](const std::vector<LoadedPart>& parts) {
                            answering->add(items, parts);
                            answering->closed();
                          });
}

// What a node shall hold. A large object has chunks on every node, or nearly.
LoadRequests::Share LoadRequests::shareOf(core::NodeId node, const Answering& answering) const {
  Share share;
  for (std::size_t i = 0; i < answering.plans.size(); ++i) {
    const SharedPlan& plan = answering.plans[i];
    if (plan == nullptr) continue;
    const core::CopyHolders& holders = answering.holders[i];
    bool any = holders.everywhere() || plan->chunks() > kFewChunks;
    for (std::uint32_t chunk = 0; !any && chunk < plan->chunks(); ++chunk)
      any = holders.has(core::slotOfChunk(plan->key, plan->first_slot, chunk), node);
    if (!any) continue;
    share.plans.push_back(plan);
    share.items.push_back(static_cast<int>(i));
  }
  return share;
}

void LoadRequests::askOthers(const wire::pb::LoadRequest& message, const std::shared_ptr<Answering>& answering,
                             TimePoint until) {
  for (std::size_t i = 0; i < answering->plans.size(); ++i) {
    if (answering->plans[i] == nullptr) continue;
    answering->message.mutable_items(static_cast<int>(i))
        ->set_wanted_bytes(answering->plans[i]->size * answering->holders[i].copies());
  }
  const auto map = deps_.cell.sharedMap();
  for (const core::Member& member : map->members()) {
    if (member.id == deps_.self || std::ranges::count(answering->options.without, member.id) > 0) continue;
    Share share = shareOf(member.id, *answering);
    if (!share.plans.empty()) ask(member, message, std::move(share), answering, until);
  }
}

void LoadRequests::ask(const core::Member& member, const wire::pb::LoadRequest& message, Share share,
                       const std::shared_ptr<Answering>& answering, TimePoint until) {
  reader::Channel* channel = deps_.channels.to(member.id, deps_.cell.map());
  if (channel == nullptr) return answering->silent(member);
  wire::pb::LoadRequest part;
  part.set_copies(message.copies());
  part.set_at_once(message.at_once());
  part.set_anew(message.anew());
  *part.mutable_without() = message.without();
  for (const int item : share.items) *part.add_plans() = message.plans(item);
  ++answering->open;
  channel->call(wire::MessageType::LoadRequest, part, until + kSilence,
                [answering, member, items = std::move(share.items)](Result<reader::Answer> answer) {
                  auto said = answer ? wire::parse<wire::pb::LoadReply>(answer->body) : fail(answer.error());
                  if (!said || said->items_size() != static_cast<int>(items.size())) {
                    answering->silent(member);
                    return answering->closed();
                  }
                  std::vector<LoadedPart> parts;
                  for (const auto& item : said->items()) {
                    LoadedPart part_of{.bytes = item.bytes(), .over = item.over(), .error = {}};
                    if (item.has_failure()) part_of.error = wire::fromMessage(item.failure());
                    parts.push_back(std::move(part_of));
                  }
                  answering->add(items, parts);
                  answering->closed();
                });
}

}  // namespace forebay::node
