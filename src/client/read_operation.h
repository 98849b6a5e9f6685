// Reads (or warms) ranges of objects through one node: in as few requests as the protocol's limits allow, and asked for
// again where that helps, never for bytes that have arrived. Busy, a lost node and a node that is going away are tried
// again until the deadline. What isn't all there by then has the last reason.
//
// Where the node's slabs are mapped (client/slab_link.h), bytes come from there: the node says where they are. What has
// left there before it was copied is asked for again, over the socket.
//
// Threading: the connection's loop, but for the constructor.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "client/node_connection.h"
#include "client/parts.h"
#include "client/slab_link.h"

namespace forebay::client {

// Bytes of a slab that the node holds until `pin` is given back.
struct PinnedBytes {
  std::shared_ptr<const SharedSlab> slab;  // null: it didn't come to that
  Bytes bytes;
  std::uint64_t pin = 0;
};

class ReadOperation : public NodeOperation, public reader::ReadObserver {
 public:
  using Done = std::move_only_function<void(std::span<const Wanted>)>;  // once
  struct Options {
    bool warm_only = false;  // brings the ranges into the cell, and no byte here
    TimePoint deadline = kNever;
    CallId call = 0;
    std::shared_ptr<SlabLink> slabs = {};  // null: everything over the socket
    // For one range inside one chunk: to be pinned if that can be, in place of being copied.
    std::shared_ptr<PinnedBytes> pin_into = {};
  };
  ReadOperation(NodeConnection& connection, std::vector<Wanted> wanted, Options options, Done done);

  // What the channel tells.
  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override;
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override;
  void placed(std::uint16_t item, const wire::ReadDataView& view) override;
  void finished(std::uint16_t item, const reader::ItemResult& result) override;
  void done(Status status) override;

 private:
  void attempt() override;
  void forget() override {
    NodeOperation::forget();
    givePinBack();
    keep_.reset();
  }
  void finish(const Error& error) override;
  std::optional<Error> settle();
  bool copyPlaces(Part& part, const wire::ReadDataView& view);
  void takePinned(Part& part, const wire::ReadDataView& view);
  void givePinBack();
  void complete();

  std::vector<Wanted> wanted_;
  const bool warm_only_;
  Done done_;
  std::vector<Part> parts_;
  std::vector<std::size_t> asked_;  // parts, by item of the running request
  bool progress_ = false;           // of the running request
  const std::shared_ptr<SlabLink> slabs_;
  const std::shared_ptr<PinnedBytes> pin_into_;
  std::shared_ptr<const SharedSlab> slab_;  // that the running request named
  std::uint64_t pin_ = 0;                   // that it asked for, and nothing is known of
  bool in_place_ = true;                    // until bytes weren't there any more
  std::shared_ptr<void> keep_;              // while the channel knows us
};

}  // namespace forebay::client
