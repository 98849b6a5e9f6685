// The bytes of small objects that go between nodes with their plans, so that a batch of them costs one round trip.
//
// Who answers adds what it has whole in its arena, as long as it fits the frame: SendingPlanBytes. A hot object that
// others should send goes without; so does what isn't here: whoever wants the bytes then reads them.
//
//   SendingPlanBytes bytes(deps, mount, asker, most);
//   for (...) bytes.add(answer, item);
//   bytes.send(std::move(reply), message);
//
// A client of this machine that has the slabs as a file is told where its objects are, in place of bytes: SayingPlaces.
//
// Who asked has them put into its arena straight from the socket: ArrivingPlanBytes, transit copies as of any peer's
// chunk. What it holds already or has no room for is dropped, and so is what doesn't match its checksums.
//
// Threading: the node's loop.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "io/server.h"
#include "node/chunks.h"
#include "node/mounts.h"
#include "node/names.h"
#include "reader/plan_bytes.h"
#include "store/arena.h"

namespace forebay::node {

class SendingPlanBytes {
 public:
  struct Deps {
    store::Arena& arena;
    ChunkService& chunks;
  };
  // `most`: bytes of one object; 0: none are sent. `asker`: kNoNode for a client.
  SendingPlanBytes(const Deps& deps, Mount& mount, core::NodeId asker, std::uint32_t most)
      : deps_(deps), mount_(mount), asker_(asker), most_(most) {}

  // The bytes of what `item` answers, if it is an object of which they can be sent.
  void add(const std::shared_ptr<const NameAnswer>& answer, wire::pb::Resolved& item);
  // The answer with them; without, if the connection is full.
  Status send(io::Reply& reply, wire::pb::ResolveReply& message);

 private:
  Deps deps_;
  Mount& mount_;
  const core::NodeId asker_;
  const std::uint32_t most_;
  std::vector<store::View> views_;
  std::vector<Bytes> bulk_;
  std::uint32_t bytes_ = 0;
};

// Where objects of one run at most are in the slabs. An item without a place is as good an answer: whoever wants the
// bytes then reads them.
class SayingPlaces {
 public:
  // `most`: bytes of one object.
  SayingPlaces(store::Arena& arena, Mount& mount, std::uint32_t most)
      : arena_(arena), mount_(mount), most_(std::min(most, core::kRun)) {}

  void add(const NameAnswer& answer, wire::pb::Resolved& item);
  Status send(io::Reply& reply, wire::pb::ResolveReply& message);

 private:
  store::Arena& arena_;
  Mount& mount_;
  const std::uint32_t most_;
  std::uint64_t objects_ = 0, bytes_ = 0;
};

class ArrivingPlanBytes final : public reader::PlanBytes {
 public:
  ArrivingPlanBytes(store::Arena& arena, core::ChunkServer& cell, Mount& mount)
      : arena_(arena), cell_(cell), mount_(mount) {}

  // What came and is good is in the arena from now on. `direct`: from the names' owner itself.
  void take(bool direct);
  void lost() override;

 private:
  bool place(std::size_t item, const wire::pb::Resolved& said, io::BulkTarget& target) override;

  store::Arena& arena_;
  core::ChunkServer& cell_;
  Mount& mount_;
  struct Place {
    std::size_t item;
    store::Reservation at;
    std::vector<std::uint32_t> crcs;
  };
  std::vector<Place> places_;
};

}  // namespace forebay::node
