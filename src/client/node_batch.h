// A batch of ranges on its way through one node: what is mapped is copied, the rest is asked for in groups, of which a
// few are open at a time.
//
// Threading: made by any thread; goOn() in the connection's loop.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "client/read_operation.h"
#include "client/shared_memory.h"

namespace forebay::client {

class NodeBatch : public std::enable_shared_from_this<NodeBatch> {
 public:
  using Results = CellReader::BatchResults;
  using Done = std::move_only_function<void(Results)>;
  // `shared`: null, or where whole objects are mapped.
  NodeBatch(NodeConnection& connection, std::shared_ptr<SharedMemory> shared, std::vector<BatchItem> items,
            const ReadOperation::Options& options, Done done);

  // The next groups, or the end.
  void goOn();

 private:
  void cut();
  void ended(std::span<const Wanted> all, std::span<const std::size_t> items);

  NodeConnection& connection_;
  const std::shared_ptr<SharedMemory> shared_;
  const ReadOperation::Options options_;
  std::vector<BatchItem> items_;  // until they are cut into groups
  Results results_;
  Done done_;
  bool started_ = false, asked_ = false;
  std::size_t open_ = 0;
  std::deque<std::shared_ptr<ReadOperation>> groups_;  // not yet open
};

}  // namespace forebay::client
