#include "client/direct_cell.h"

#include <fmt/format.h>

namespace forebay::client {
namespace {

constexpr Duration kMapDeadline = 2s;  // of one node's answer: it has the map at hand

}  // namespace

DirectCell::DirectCell(std::string name) : name_(std::move(name)), peers_(systemRandom()) {}

Status DirectCell::start(const std::vector<io::Address>& seeds) {
  return startLoop([&]() -> Status {
    reader::ChannelOptions options;
    options.connection.self.name = name_;
    options.connection.self.direct = true;
    options.max_in_flight = 4'096;
    options.max_backoff = 500ms;
    options.resolver = &resolver();
    for (const io::Address& seed : seeds) seeds_.push_back(std::make_unique<reader::Channel>(reactor(), seed, options));
    channels_ = std::make_unique<reader::Channels>(
        reactor(), options, [this](core::NodeId node, std::uint64_t version) { pullMap(node, version); });
    return {};
  });
}

void DirectCell::closeChannels() {
  for (const auto& seed : seeds_) seed->close();
  channels_->close();
}

void DirectCell::freeChannels() {
  seeds_.clear();
  channels_.reset();
}

void DirectCell::pullMap(core::NodeId node, std::uint64_t version) {
  if (closing() || !map_ || version <= map_->version() || !pulling_.insert(node).second) return;
  reader::Channel* const channel = to(node);
  if (channel == nullptr) {
    pulling_.erase(node);
    return;
  }
  channel->call(wire::MessageType::MapRequest, wire::pb::MapRequest(), io::Reactor::now() + kMapDeadline,
                [this, node](Result<reader::Answer> answer) {
                  pulling_.erase(node);
                  if (!answer) return;  // whoever needs it goes on without, or asks again
                  const auto reply = wire::parse<wire::pb::MapReply>(answer->body);
                  if (reply && reply->version() > map_->version()) static_cast<void>(take(*reply, nullptr));
                });
}

// A map that can't be one is refused, and the one before stays.
Status DirectCell::take(const wire::pb::MapReply& reply, const io::Address* seed) {
  std::vector<core::Member> members;
  for (const auto& m : reply.members())
    members.push_back(
        {.id = m.id(), .name = m.name(), .address = m.address(), .domain = m.domain(), .weight = m.weight()});
  if (members.size() == 1) {
    const core::Member* known = map_ ? map_->find(members[0].id) : nullptr;
    if (seed != nullptr)
      members[0].address = seed->text();
    else if (known != nullptr && map_->members().size() == 1)
      members[0].address = known->address;
  }
  map_ = TRY(core::SlotMap::build(reply.version(), std::move(members)));
  const auto waiting = open();
  for (const auto& operation : waiting) operation->newMap();
  return {};
}

struct DirectCell::AskingSeeds {
  std::size_t open = 0;
  std::string refusals;
  std::move_only_function<void(Status)> done;  // empty: told
};

void DirectCell::askSeeds(TimePoint deadline, std::move_only_function<void(Status)> done) {
  auto asking = std::make_shared<AskingSeeds>();
  asking->open = seeds_.size();
  asking->done = std::move(done);
  for (const auto& channel : seeds_) {
    channel->call(wire::MessageType::MapRequest, wire::pb::MapRequest(), deadline,
                  [this, asking, seed = channel.get()](Result<reader::Answer> answer) {
                    --asking->open;
                    if (!asking->done) return;  // another one was first
                    const auto reply = answer ? wire::parse<wire::pb::MapReply>(answer->body) : fail(answer.error());
                    const Status taken = reply ? take(*reply, &seed->address()) : fail(reply.error());
                    if (taken) return std::exchange(asking->done, {})({});
                    asking->refusals +=
                        fmt::format("{}{}", asking->refusals.empty() ? "" : "; ", taken.error().message);
                    if (asking->open > 0) return;
                    std::exchange(asking->done, {})(fail(Code::Unavailable, asking->refusals));
                  });
  }
}

void DirectCell::lostEverybody() {
  if (closing() || asking_seeds_) return;
  asking_seeds_ = true;
  askSeeds(io::Reactor::now() + kMapDeadline, [this](const Status& found) {
    asking_seeds_ = false;
    if (!found) return;
    // Somebody is there again: who rested for a long absence is asked now.
    for (const core::Member& member : map_->members()) peers_.answered(member.id);
  });
}

}  // namespace forebay::client
