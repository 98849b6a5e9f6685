// Reads (or warms) ranges of objects straight from the nodes that hold them, into the caller's memory: one request per
// holder, as long as it is no larger than kRequestBytes and the protocol's limits, kRequestsAtOnce of them at a time.
//
// A node that sends nothing for this for kSilence counts as lost, or for kTurn while it sends to other reads of this
// client. What it has sent by then stays; only the rest is asked of another.
//
// Hedging, as nodes do among each other (core/chunk_server.h): a request to owners of which nothing at all has come for
// longer than answers take lately is taken back, within the budget (core/hedging.h), and each part that the cell keeps
// copies of is asked of a node that should have one.
#pragma once

#include <set>

#include "client/owner_operation.h"
#include "client/parts.h"

namespace forebay::client {

class DirectRead : public OwnerOperation {
 public:
  static constexpr std::uint64_t kRequestBytes = 64 * kMiB;
  static constexpr std::size_t kRequestsAtOnce = 4;
  static constexpr Duration kSilence = 2s, kTurn = 10s;  // as nodes among each other (core/chunk_server.h)

  struct Options {
    bool warm_only = false;  // brings the ranges into the cell, and no byte here
    TimePoint deadline = kNever;
    CallId call = 0;
  };
  using Done = std::move_only_function<void(std::span<const Wanted>)>;  // once
  DirectRead(DirectCell& cell, std::vector<Wanted> wanted, Options options, Done done);
  ~DirectRead() override;

 private:
  class Request;
  std::size_t questions() const override { return parts_.size(); }
  core::Slot slotOf(std::size_t part) const override;
  std::uint32_t copiesOf(std::size_t part) const override { return wanted_[parts_[part].wanted].plan->copies; }
  void starting() override;
  void send(core::NodeId node, std::deque<std::size_t>& waiting) override;
  void ended(std::size_t part, const Error* error) override;
  void complete() override { done_(wanted_); }
  void finish(const Error& error) override;
  void forget() override;
  void requestOver(const std::shared_ptr<Request>& request);
  std::uint16_t flagsOf(std::size_t part) const;
  std::vector<core::NodeId> othersWithCopies(std::size_t part) const;
  void watch();
  void checkSilence();
  std::size_t requestsTo(core::NodeId node) const;

  std::vector<Wanted> wanted_;
  const bool warm_only_;
  Done done_;
  std::vector<Part> parts_;  // one question each
  std::set<std::shared_ptr<Request>> requests_;
  io::TimerId silence_timer_ = 0;
  TimePoint watch_at_ = kNever;
};

}  // namespace forebay::client
