#include "client/node_batch.h"

#include <algorithm>
#include <utility>

namespace forebay::client {
namespace {

// Small enough that a batch's requests take turns with others, large enough that their number doesn't count.
constexpr std::size_t kItems = 256;
constexpr std::uint64_t kBytes = 64 * kMiB;
// So many that the node always has work, so few that a batch leaves room for others.
constexpr std::size_t kOpen = 16;

}  // namespace

NodeBatch::NodeBatch(NodeConnection& connection, std::shared_ptr<SharedMemory> shared, std::vector<BatchItem> items,
                     const ReadOperation::Options& options, Done done)
    : connection_(connection),
      shared_(options.warm_only ? nullptr : std::move(shared)),
      options_(options),
      items_(std::move(items)),
      results_(items_.size(), std::uint64_t{0}),
      done_(std::move(done)) {}

void NodeBatch::goOn() {
  if (!std::exchange(started_, true)) cut();
  for (; open_ < kOpen && !groups_.empty(); ++open_) {
    connection_.run(std::move(groups_.front()));
    groups_.pop_front();
    asked_ = true;
  }
  if (open_ != 0) return;
  if (asked_) return std::exchange(done_, {})(std::move(results_));
  // All of it was mapped, and whoever asked may be a callback, which isn't called back inside its call.
  connection_.post([self = shared_from_this()] { std::exchange(self->done_, {})(std::move(self->results_)); });
}

// What is mapped needs no group.
void NodeBatch::cut() {
  ReadOperation::Ranges group;
  std::vector<std::size_t> in_group;
  std::uint64_t bytes = 0;
  const auto close = [&] {
    if (group.empty()) return;
    groups_.push_back(std::make_shared<ReadOperation>(connection_, std::exchange(group, {}), options_,
                                                      [batch = shared_from_this(), items = std::exchange(in_group, {})](
                                                          std::span<const Wanted> all) { batch->ended(all, items); }));
    bytes = 0;
  };
  for (std::size_t i = 0; i < items_.size(); ++i) {
    BatchItem& item = items_[i];
    if (shared_) {
      if (const auto copied = shared_->read(*item.plan, item.offset, item.length, item.into)) {
        results_[i] = *copied;
        continue;
      }
    }
    if (group.empty()) {
      group.reserve(std::min(kItems, items_.size() - i));
      in_group.reserve(std::min(kItems, items_.size() - i));
    }
    group.push_back(Wanted::of(std::move(item.plan), item.offset, item.length, std::move(item.into)));
    in_group.push_back(i);
    bytes += group.back().length;
    if (group.size() == kItems || bytes >= kBytes) close();
  }
  close();
  items_ = {};
}

void NodeBatch::ended(std::span<const Wanted> all, std::span<const std::size_t> items) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    results_[items[i]] = all[i].result();
    if (shared_ && results_[items[i]]) shared_->wasRead(*all[i].plan);
  }
  --open_;
  goOn();
}

}  // namespace forebay::client
