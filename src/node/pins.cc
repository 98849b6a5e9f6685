#include "node/pins.h"

#include <algorithm>
#include <ranges>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

#include "base/log.h"

namespace forebay::node {
namespace {
constexpr std::size_t kMostReported = 64;
}

Pins::~Pins() {
  for (auto client = clients_.begin(); client != clients_.end();) client = erase(client);
}

bool Pins::mayMap(const io::RemoteInfo& from) const {
  return from.identity.is_unix && !from.peer && arena_.slabId() != 0 &&
         (from.identity.uid == geteuid() || from.identity.uid == 0);
}

Result<Pins::Client*> Pins::clientOf(const Who& who, const io::Reply& reply) {
  if (const auto known = clients_.find(who.session); known != clients_.end()) return &known->second;
  if (clients_.size() == kMostClients) return fail(Code::Busy, "as many clients as may have pinned something");
  Client client{.who = who, .process = TRY(reply.peerProcess()), .pins = {}};
  TRY(reactor_.watch(client.process.get(), EPOLLIN, [this, session = who.session](std::uint32_t) { ended(session); }));
  return &clients_.emplace(who.session, std::move(client)).first->second;
}

Status Pins::pin(const Who& who, std::uint64_t id, store::View view, const io::Reply& reply) {
  if (count_ == kMost) return fail(Code::Busy, "as many pins as there may be");
  Client& client = *TRY(clientOf(who, reply));
  if (client.dead) return fail(Code::Cancelled, "the client's process has ended");
  if (client.pins.contains(id)) return fail(Code::InvalidArgument, "a pin of that number is there already");
  const std::uint32_t bytes = view.size();
  client.pins[id] = {.held = TRY(arena_.pinForClient(std::move(view))), .bytes = bytes, .since = io::Reactor::now()};
  client.bytes += bytes;
  ++count_;
  return {};
}

void Pins::unpin(const Who& who, std::span<const std::uint64_t> ids) {
  std::vector<std::uint64_t> left;  // of connections that are over
  const auto own = clients_.find(who.session);
  for (const std::uint64_t id : ids)
    if (own == clients_.end() || !drop(own->second, id)) left.push_back(id);
  for (auto client = clients_.begin(); client != clients_.end() && !left.empty();) {
    const bool other = client->second.who.pid == who.pid && client->first != who.session;
    if (other) std::erase_if(left, [&](std::uint64_t id) { return drop(client->second, id); });
    client = other && !client->second.connected && client->second.pins.empty() ? erase(client) : std::next(client);
  }
}

bool Pins::drop(Client& client, std::uint64_t id) {
  const auto pin = client.pins.find(id);
  if (pin == client.pins.end()) return false;
  client.bytes -= pin->second.bytes;
  client.pins.erase(pin);
  --count_;
  return true;
}

void Pins::dropAll(Client& client) {
  count_ -= client.pins.size();
  client.bytes = 0;
  client.pins.clear();
}

void Pins::left(const io::RemoteInfo& from) {
  const auto client = clients_.find(from.session);
  if (client == clients_.end()) return;
  client->second.connected = false;
  if (client->second.pins.empty()) erase(client);
}

// Its process. Whoever has inherited the connection has nothing in view.
void Pins::ended(std::uint64_t session) {
  const auto client = clients_.find(session);
  if (client == clients_.end()) return;
  Client& of = client->second;
  if (!of.pins.empty()) log::info("pins", "{} (pid {}) ended with {} bytes in view", of.who.name, of.who.pid, of.bytes);
  dropAll(of);
  of.dead = true;
  if (!of.connected) {
    erase(client);
    return;
  }
  reactor_.unwatch(of.process.get());
  of.process = {};
}

Pins::Clients::iterator Pins::erase(Clients::iterator client) {
  dropAll(client->second);
  if (client->second.process.valid()) reactor_.unwatch(client->second.process.get());
  return clients_.erase(client);
}

void Pins::report(wire::pb::NodeStatus& status) const {
  const TimePoint now = io::Reactor::now();
  std::vector<std::pair<TimePoint, const Client*>> all;
  for (const auto& [session, client] : clients_) {
    if (client.pins.empty()) continue;
    const auto oldest = std::ranges::min_element(client.pins, {}, [](const auto& pin) { return pin.second.since; });
    all.emplace_back(oldest->second.since, &client);
  }
  std::ranges::sort(all);
  for (const auto& [since, client] : all | std::views::take(kMostReported)) {
    auto& shown = *status.add_pinning();
    shown.set_pid(static_cast<std::uint32_t>(client->who.pid));
    shown.set_name(client->who.name);
    shown.set_bytes(client->bytes);
    shown.set_pins(client->pins.size());
    shown.set_oldest_ms(static_cast<std::uint64_t>(toMs(now - since)));
    shown.set_connected(client->connected);
  }
}

}  // namespace forebay::node
