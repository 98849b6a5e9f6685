// Channels to the nodes of a cell, by id: made when first used, at the address that the map gives.
//
// Bounded by the cell's members. A member whose address changed gets a new channel; the old one's requests fail with
// Cancelled. Threading: the reactor's loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/slot_map.h"
#include "io/reactor.h"
#include "reader/channel.h"

namespace forebay::reader {

class Channels {
 public:
  // `on_map_version`: a frame of that node carried a map version, newer than any before on its channel. May be empty.
  using OnMapVersion = std::function<void(core::NodeId, std::uint64_t)>;
  Channels(io::Reactor& reactor, ChannelOptions options, OnMapVersion on_map_version = {})
      : reactor_(reactor), options_(std::move(options)), on_map_version_(std::move(on_map_version)) {}

  // Null if the map doesn't know the node, or its address can't be one.
  Channel* to(core::NodeId node, const core::SlotMap& map);
  void close();

 private:
  struct Entry {
    std::string address;
    std::unique_ptr<Channel> channel;
  };
  io::Reactor& reactor_;
  ChannelOptions options_;
  OnMapVersion on_map_version_;
  std::map<core::NodeId, Entry> channels_;
};

}  // namespace forebay::reader
