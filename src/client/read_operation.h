// Reads (or warms) ranges of objects through one node: in as few requests as the protocol's limits allow, and asked for
// again where that helps, never for bytes that have arrived. Busy, a lost node and a node that is going away are tried
// again until the deadline. What isn't all there by then has the last reason.
//
// Threading: the connection's loop, but for the constructor.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "client/node_connection.h"
#include "client/parts.h"

namespace forebay::client {

class ReadOperation : public NodeOperation, public reader::ReadObserver {
 public:
  using Done = std::move_only_function<void(std::span<const Wanted>)>;  // once
  struct Options {
    bool warm_only = false;  // brings the ranges into the cell, and no byte here
    TimePoint deadline = kNever;
    CallId call = 0;
  };
  ReadOperation(NodeConnection& connection, std::vector<Wanted> wanted, Options options, Done done);

  // What the channel tells.
  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override;
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override;
  void finished(std::uint16_t item, const reader::ItemResult& result) override;
  void done(Status status) override;

 private:
  void attempt() override;
  void forget() override {
    NodeOperation::forget();
    keep_.reset();
  }
  void finish(const Error& error) override;
  std::optional<Error> settle();
  void complete();

  std::vector<Wanted> wanted_;
  const bool warm_only_;
  Done done_;
  std::vector<Part> parts_;
  std::vector<std::size_t> asked_;  // parts, by item of the running request
  bool progress_ = false;           // of the running request
  std::shared_ptr<void> keep_;      // while the channel knows us
};

}  // namespace forebay::client
