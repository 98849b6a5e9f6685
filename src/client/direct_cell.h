// What a direct client knows of a cell: its map, its members' channels, and who can't be reached.
//
// It starts with seeds, addresses of some members, and has the map from the first that answers. Newer maps are pulled
// from nodes that mention them, and read alone: a client decides nothing for anybody else. When no member can be
// reached any more, the seeds are asked again, and their map is taken whatever its version: the cell may have been made
// anew. A cell of one advertises the address that it listens on, which needn't be one from here: the seed's is used.
//
// Threading: the loop, but for start(), stop() and run(). Bounded by the cell's members and the seeds.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "client/direct_ahead.h"
#include "client/operation.h"
#include "core/hedging.h"
#include "core/peers.h"
#include "core/slot_map.h"
#include "reader/channels.h"
#include "wire/messages.h"

namespace forebay::client {

class DirectCell : public OperationLoop {
 public:
  static constexpr std::size_t kMaxSeeds = 64;

  explicit DirectCell(std::string name);
  Status start(const std::vector<io::Address>& seeds);

  // Null before the first map.
  const core::SlotMap* map() const { return map_.get(); }
  core::Peers& peers() { return peers_; }
  core::Hedging& hedging() { return hedging_; }
  std::atomic<std::uint64_t> hedges = 0;  // requests that left a slow node
  DirectAhead& ahead() { return ahead_; }
  // Memory of questions on their way to their owners.
  const std::shared_ptr<BlockPool>& walkBlocks() const { return walk_blocks_; }
  // Null: the map doesn't know that node.
  reader::Channel* to(core::NodeId node) { return channels_->to(node, *map_); }

  // When a node last sent anything that was asked for.
  void heardFrom(core::NodeId node) { heard_[node] = io::Reactor::now(); }
  TimePoint lastHeard(core::NodeId node) const {
    const auto known = heard_.find(node);
    return known == heard_.end() ? TimePoint::min() : known->second;
  }

  // From that node, which has a newer one. Open operations hear newMap() when it is here.
  void pullMap(core::NodeId node, std::uint64_t version);
  // From the seeds, all at once: the first map that comes. `done` runs once, with what each of them said if none gave
  // one. It doesn't run if this goes away before.
  void askSeeds(TimePoint deadline, std::move_only_function<void(Status)> done);
  // No member can be reached: the seeds are asked, unless they are being.
  void lostEverybody();

 private:
  struct AskingSeeds;
  void closeChannels() override;
  void freeChannels() override;
  Status take(const wire::pb::MapReply& reply, const io::Address* seed);

  const std::string name_;
  std::vector<std::unique_ptr<reader::Channel>> seeds_;
  std::unique_ptr<reader::Channels> channels_;
  std::shared_ptr<const core::SlotMap> map_;
  core::Peers peers_;
  core::Hedging hedging_{{}};
  DirectAhead ahead_{*this};
  std::map<core::NodeId, TimePoint> heard_;
  const std::shared_ptr<BlockPool> walk_blocks_ = std::make_shared<BlockPool>(1'024);
  std::set<core::NodeId> pulling_;
  bool asking_seeds_ = false;
};

}  // namespace forebay::client
