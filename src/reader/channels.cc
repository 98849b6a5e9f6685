#include "reader/channels.h"

#include <utility>

#include "base/log.h"

namespace forebay::reader {

Channel* Channels::to(core::NodeId node, const core::SlotMap& map) {
  const core::Member* member = map.find(node);
  if (member == nullptr) return nullptr;
  Entry& entry = channels_[node];
  if (entry.channel && entry.address == member->address) return entry.channel.get();
  auto address = io::Address::parse(member->address);
  if (!address) {
    log::error("reader", "member {}: {}", member->name, address.error().message);
    return nullptr;
  }
  ChannelOptions options = options_;
  if (on_map_version_) options.on_map_version = [this, node](std::uint64_t version) { on_map_version_(node, version); };
  // The new one is in its place before the old one's requests fail: they may come back here.
  const auto old =
      std::exchange(entry.channel, std::make_unique<Channel>(reactor_, std::move(*address), std::move(options)));
  entry.address = member->address;
  if (old) old->close();
  return entry.channel.get();
}

void Channels::close() {
  for (auto& [node, entry] : channels_)
    if (entry.channel) entry.channel->close();
}

}  // namespace forebay::reader
