// A client without a node beside it: it has the cell's map, asks names' owners for plans, and reads straight from the
// nodes that hold the bytes. core's OwnerWalk decides about each answer (client/owner_operation.h).
#pragma once

#include <memory>
#include <vector>

#include "client/cell_reader.h"
#include "io/socket.h"

namespace forebay::client {

class DirectCell;

class DirectClient : public CellReader {
 public:
  struct Options {
    std::vector<io::Address> seeds;  // members of the cell; 1 to 64
    std::string name;                // of this client
    TimePoint connect_by = kNever;
  };
  // Waits for the first map that a seed gives. Unavailable: what each of them said instead.
  static Result<std::shared_ptr<DirectClient>> connect(const Options& options);
  ~DirectClient() override;

  void resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options, TimePoint deadline,
                  Callback<Answers> done, CallId call) override;
  void list(std::string mount, std::string path, std::string cursor, ListOptions options, TimePoint deadline,
            Callback<DirectoryPage> done, CallId call) override;
  void readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                 std::move_only_function<void(BatchResults)> done, CallId call) override;
  // Unsupported: there is no node of this machine.
  void region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
              Callback<io::Descriptor> done) override;
  OperationLoop& loop() override;
  void post(std::move_only_function<void()> task) override;
  void cancel(CallId call) override;
  // Requests so far that left a slow node for one that should have a copy.
  std::uint64_t hedges() const;

 private:
  explicit DirectClient(std::unique_ptr<DirectCell> cell);
  std::unique_ptr<DirectCell> cell_;
};

}  // namespace forebay::client
