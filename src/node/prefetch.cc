#include "node/prefetch.h"

#include "io/reactor.h"

namespace forebay::node {
namespace {
constexpr Duration kDeadline = 60s;
constexpr std::size_t kMaxRunning = 256;  // strided readers' pieces are small
}  // namespace

// Brings a range in for a reader that will probably come; nobody waits for it.
class Prefetcher::Prefetch : public Waiter {
 public:
  Prefetch(Prefetcher& prefetcher, std::uint32_t length, std::uint32_t end)
      : prefetcher_(prefetcher), length_(length), end_(end) {
    prefetcher_.bytes_ += length_;
  }
  ~Prefetch() override { prefetcher_.bytes_ -= length_; }
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
  const std::uint32_t length_, end_;
  core::WaiterId id_ = 0;
};

Prefetcher::Prefetcher(ChunkService& chunks, std::uint64_t max_bytes)
    : chunks_(chunks), max_bytes_(max_bytes), readahead_({}) {}
Prefetcher::~Prefetcher() {
  for (const auto& [id, prefetch] : running_) chunks_.left(id);
}

bool Prefetcher::saw(const SharedPlan& plan, const core::ChunkRange& range) {
  const std::uint64_t offset = (std::uint64_t{range.chunk} << plan->chunk_bits) + range.offset;
  if (range.length == plan->size) return false;  // nothing follows
  said_.clear();
  const bool wide = readahead_.read(*plan, offset, range.length, said_);
  for (const core::RunsAhead& ahead : said_) due_.push_back({plan, ahead});
  return wide;
}

void Prefetcher::bringIn() {
  for (const Due& due : due_) start(due);
  due_.clear();
}

void Prefetcher::start(const Due& due) {
  const std::uint32_t begin = due.ahead.runs.first * core::kRun;
  const std::uint32_t end = std::min(due.ahead.runs.end * core::kRun, due.plan->chunkLength(due.ahead.chunk));
  if (running_.size() >= kMaxRunning || bytes_ + (end - begin) > max_bytes_) return;
  auto prefetch = std::make_unique<Prefetch>(*this, end - begin, end);
  const auto id = chunks_.want(due.plan, {due.ahead.chunk, begin, end - begin},
                               {.must_answer = true, .deadline = io::Reactor::now() + kDeadline}, *prefetch);
  prefetch->named(id);
  running_.emplace(id, std::move(prefetch));
}

}  // namespace forebay::node
