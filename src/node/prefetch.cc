#include "node/prefetch.h"

#include "io/reactor.h"

namespace forebay::node {
namespace {
constexpr Duration kDeadline = 60s;
}

// Brings a range in for a reader that will probably come; nobody waits for it.
class Prefetcher::Prefetch : public Waiter {
 public:
  Prefetch(Prefetcher& prefetcher, std::uint32_t end) : prefetcher_(prefetcher), end_(end) {}
  void named(core::WaiterId id) { id_ = id; }
  void ready(std::uint32_t upto) override {
    if (upto >= end_) finish();
  }
  void refused(core::Refusal, const Error&) override { finish(); }

 private:
  void finish() {
    const auto self = prefetcher_.running_.extract(id_);  // lives until the end of this call
  }
  Prefetcher& prefetcher_;
  const std::uint32_t end_;
  core::WaiterId id_ = 0;
};

Prefetcher::Prefetcher(ChunkService& chunks) : chunks_(chunks), readahead_({}) {}
Prefetcher::~Prefetcher() {
  for (const auto& [id, prefetch] : running_) chunks_.left(id);
}

void Prefetcher::read(const SharedPlan& plan, const core::ChunkRange& range) {
  const std::uint64_t offset = (std::uint64_t{range.chunk} << plan->chunk_bits) + range.offset;
  const core::ChunkSpan span = readahead_.read(*plan, offset, range.length);
  for (std::uint32_t chunk = span.first; chunk < span.end && running_.size() < kMaxPrefetches; ++chunk) {
    const std::uint32_t length = plan->chunkLength(chunk);
    auto prefetch = std::make_unique<Prefetch>(*this, length);
    const auto id = chunks_.want(plan, {chunk, 0, length},
                                 {.must_answer = true, .deadline = io::Reactor::now() + kDeadline}, *prefetch);
    prefetch->named(id);
    running_.emplace(id, std::move(prefetch));
  }
}

}  // namespace forebay::node
