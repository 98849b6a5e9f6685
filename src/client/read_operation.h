// Reads (or warms) ranges of objects through one node: in as few requests as the protocol's limits allow, and asked for
// again where that helps, never for bytes that have arrived. Busy, a lost node and a node that is going away are tried
// again until the deadline. What isn't all there by then has the last reason.
//
// Where the node's slabs are mapped (client/slab_link.h), bytes come from there: the node says where they are. What has
// left there before it was copied is asked for again, over the socket.
//
// Threading: the connection's loop, but for the constructor.
#pragma once

#include <boost/container/small_vector.hpp>
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
  using Ranges = boost::container::small_vector<Wanted, 1>;
  using Done = std::move_only_function<void(std::span<const Wanted>)>;  // once
  struct Options {
    bool warm_only = false;  // brings the ranges into the cell, and no byte here
    TimePoint deadline = kNever;
    CallId call = 0;
    std::shared_ptr<SlabLink> slabs = {};  // null: everything over the socket
    // For one range inside one chunk: to be pinned if that can be, in place of being copied.
    std::shared_ptr<PinnedBytes> pin_into = {};
  };
  ReadOperation(NodeConnection& connection, Ranges wanted, Options options, Done done);

  // What the channel tells.
  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override;
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override;
  void placed(std::uint16_t item, const wire::ReadDataView& view) override;
  void finished(std::uint16_t item, const reader::ItemResult& result) override;
  void done(Status status) override;

 protected:
  // Before it runs.
  void want(Wanted wanted) {
    cut(wanted, wanted_.size(), parts_);
    wanted_.push_back(std::move(wanted));
  }
  // The outcome, once.
  virtual void tell(std::span<const Wanted> all) { done_(all); }

 private:
  void attempt() override;
  void forget() override {
    NodeOperation::forget();
    givePinBack();
    keep_.reset();
  }
  void finish(const Error& error) override;
  std::optional<Error> settle();
  bool missing(const Part& part) const { return part.range.length != 0 && !wanted_[part.wanted].error; }
  bool copyPlaces(Part& part, const wire::ReadDataView& view);
  void takePinned(Part& part, const wire::ReadDataView& view);
  void givePinBack();
  void complete();

  Ranges wanted_;
  const bool warm_only_;
  Done done_;
  boost::container::small_vector<Part, 1> parts_;
  boost::container::small_vector<std::size_t, 1> asked_;  // parts, by item of the running request
  bool progress_ = false;                                 // of the running request
  const std::shared_ptr<SlabLink> slabs_;
  const std::shared_ptr<PinnedBytes> pin_into_;
  std::shared_ptr<const SharedSlab> slab_;  // that the running request named
  std::uint64_t pin_ = 0;                   // that it asked for, and nothing is known of
  bool in_place_ = true;                    // until bytes weren't there any more
  std::shared_ptr<void> keep_;              // while the channel knows us
};

// Of one range. Where its bytes are at hand, nothing is allocated for it (NodeConnection::readBlocks).
class OneRead final : public ReadOperation {
 public:
  OneRead(NodeConnection& connection, Wanted wanted, Options options, Callback<std::size_t> done)
      : ReadOperation(connection, {}, std::move(options), {}), told_(std::move(done)) {
    want(std::move(wanted));
  }

 private:
  void tell(std::span<const Wanted> all) override {
    const Result<std::uint64_t> result = all.front().result();
    told_(result ? Result<std::size_t>(*result) : Result<std::size_t>(fail(result.error())));
  }

  Callback<std::size_t> told_;
};

}  // namespace forebay::client
