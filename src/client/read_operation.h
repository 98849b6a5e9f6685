// Reads (or warms) ranges of objects over one connection: cut into their chunks, asked for in as few requests as the
// protocol's limits allow, and asked for again where that helps, never for bytes that have arrived.
//
// Each range ends for itself. Busy, a lost node and a node that is going away are tried again until the deadline;
// what a node answers after it did much against it itself (its origin failed, bytes didn't match) kAnsweredFailures
// times; all else, Gone first of all, counts at once. What isn't all there by the deadline has the last reason.
//
// Threading: the connection's loop, but for the constructor.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "client/node_connection.h"
#include "wire/read.h"

namespace forebay::client {

// A range, where its bytes go, and how it ended.
struct Wanted {
  // `length` is cut at the object's end.
  static Wanted of(core::Plan plan, std::uint64_t offset, std::uint64_t length, std::vector<MutableBytes> into);

  Result<std::uint64_t> result() const;

  core::Plan plan;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // inside the object
  std::vector<MutableBytes> into;
  std::optional<Error> error;  // for good
  std::optional<Error> last;   // of the running request
  int answered_failures = 0;
};

class ReadOperation : public Operation, public reader::ReadObserver {
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
  struct Part {
    std::size_t wanted = 0;
    core::ChunkRange range;  // what is still missing
  };
  void attempt() override;
  void forget() override { keep_.reset(); }
  void finish(const Error& error) override;
  void cut(std::size_t index);
  void gather(std::vector<wire::ReadObject>& objects, std::vector<wire::ReadItem>& items);
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
