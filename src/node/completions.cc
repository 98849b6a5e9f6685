#include "node/completions.h"

#include <algorithm>
#include <utility>

namespace forebay::node {
namespace {
constexpr Duration kChunkDeadline = 60s;  // a fetch goes on when nobody waits any more
constexpr std::uint64_t kShare = 8;       // of the arena is on its way at most
}  // namespace

// Waits for one whole chunk, which is to stay here.
class Completions::ChunkWait : public Waiter {
 public:
  ChunkWait(Completions& completions, std::shared_ptr<Job> job, std::uint32_t chunk, std::uint64_t missing)
      : completions_(completions),
        job_(std::move(job)),
        chunk_(chunk),
        length_(job_->plan->chunkLength(chunk)),
        missing_(missing) {
    completions_.running_bytes_ += length_;
  }
  ~ChunkWait() override { completions_.running_bytes_ -= length_; }
  void named(core::WaiterId id) { id_ = id; }

  void ready(std::uint32_t upto) override {
    if (upto >= length_) finish({});
  }
  void refused(core::Refusal, const Error& why) override { finish(std::unexpected(why)); }

 private:
  void finish(const Status& here) {
    Completions& completions = completions_;
    const auto self = completions.running_.extract(id_);  // lives until the end of this call
    completions.ended(*job_, chunk_, missing_, here);
  }
  Completions& completions_;
  const std::shared_ptr<Job> job_;
  const std::uint32_t chunk_, length_;
  const std::uint64_t missing_;
  core::WaiterId id_ = 0;
};

Completions::Completions(Deps deps) : deps_(deps) {}

Completions::~Completions() {
  for (const auto& [id, wait] : running_) deps_.chunks.left(id);
  for (const auto& job : jobs_)
    for (const Wait& wait : job->waits) deps_.reactor.cancel(wait.timer);
  if (timer_ != 0) deps_.reactor.cancel(timer_);
}

bool Completions::owns(const core::Plan& plan, std::uint32_t chunk) const {
  const core::Slot slot = core::slotOfChunk(plan.key, plan.first_slot, chunk);
  return deps_.cell.map().owners(slot).primary() == deps_.self;
}

std::uint64_t Completions::missingOf(const core::Plan& plan, std::uint32_t chunk) const {
  const std::uint32_t runs = core::runsOf(0, plan.chunkLength(chunk)).end;
  const std::uint32_t here = deps_.arena.present(plan.key, chunk).count();
  return std::min<std::uint64_t>(std::uint64_t{runs - here} * core::kRun, plan.chunkLength(chunk));
}

Completions::Missing Completions::missing(const core::Plan& plan) const {
  Missing missing;
  for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk)
    (owns(plan, chunk) ? missing.of_origin : missing.of_peers) += missingOf(plan, chunk);
  return missing;
}

std::shared_ptr<Completions::Job> Completions::find(const core::Plan& plan) const {
  const auto at = std::ranges::find_if(jobs_, [&](const auto& job) { return job->plan->key == plan.key; });
  return at == jobs_.end() ? nullptr : *at;
}

bool Completions::worth(const core::Plan& plan, Duration within) const {
  if (const auto rests = resting_.find(plan.mount); rests != resting_.end() && rests->second > io::Reactor::now())
    return false;
  const auto known = find(plan);
  if (known == nullptr && jobs_.size() >= kMost) return false;
  // Nothing so large can be complete in this arena, and its chunks needn't be counted.
  if (plan.size > deps_.arena.capacityBytes()) return false;
  Missing all = missing(plan);
  for (const auto& job : jobs_) {
    if (job == known) continue;
    all.of_peers += job->left.of_peers;
    all.of_origin += job->left.of_origin;
  }
  return deps_.chunks.timeFor(all.of_peers, all.of_origin) <= within;
}

void Completions::bring(const SharedPlan& plan, Duration within, Done done) {
  auto job = find(*plan);
  if (job == nullptr) {
    job = std::make_shared<Job>(Job{.plan = plan, .left = missing(*plan), .waits = {}});
    jobs_.push_back(job);
  }
  const auto wait = job->waits.insert(job->waits.end(), Wait{.done = std::move(done)});
  wait->timer = deps_.reactor.after(within, [job, wait] {
    Done late = std::move(wait->done);
    job->waits.erase(wait);
    late({});
  });
  if (timer_ == 0)
    timer_ = deps_.reactor.after(0ms, [this] {
      timer_ = 0;
      pump();
    });
}

bool Completions::mayBegin(const Job& job) const {
  if (running_.empty()) return true;
  return running_.size() < kAtOnce && running_bytes_ + job.plan->chunkSize() <= deps_.arena.capacityBytes() / kShare;
}

void Completions::pump() {
  for (const auto& job : jobs_)
    while (!job->failed && job->next < job->plan->chunks() && mayBegin(*job)) begin(job, job->next++);
  endJobs();
}

void Completions::begin(const std::shared_ptr<Job>& job, std::uint32_t chunk) {
  const core::Plan& plan = *job->plan;
  const std::uint64_t missing = missingOf(plan, chunk);
  ++job->running;
  if (missing == 0) return ended(*job, chunk, 0, {});
  // What is here already mustn't leave as what passes through while the rest comes.
  deps_.arena.keep(io::Reactor::now(), plan.key, chunk, !owns(plan, chunk));
  auto wait = std::make_unique<ChunkWait>(*this, job, chunk, missing);
  const WantOptions options{
      .must_answer = true, .keep = true, .spare = true, .wide = true, .deadline = io::Reactor::now() + kChunkDeadline};
  const core::WaiterId id = deps_.chunks.want(job->plan, {chunk, 0, plan.chunkLength(chunk)}, options, *wait);
  wait->named(id);
  running_.emplace(id, std::move(wait));
}

void Completions::ended(Job& job, std::uint32_t chunk, std::uint64_t brought, const Status& here) {
  const core::Plan& plan = *job.plan;
  const bool mine = owns(plan, chunk);
  --job.running;
  std::uint64_t& left = mine ? job.left.of_origin : job.left.of_peers;
  left -= std::min(left, brought);  // the map may have changed meanwhile
  if (here)
    deps_.arena.keep(io::Reactor::now(), plan.key, chunk, !mine);
  else if (!job.failed)
    job.failed = here.error();
  if (brought != 0) pump();
}

void Completions::endJobs() {
  std::list<Wait> waits;
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    Job& job = **at;
    const bool over = job.running == 0 && (job.failed || job.next == job.plan->chunks());
    if (job.failed)
      for (Wait& wait : job.waits) wait.brought = std::unexpected(*job.failed);
    if (over || job.failed) waits.splice(waits.end(), job.waits);
    if (!over) {
      ++at;
      continue;
    }
    const Missing missing = this->missing(*job.plan);
    if (!job.failed && missing.of_peers + missing.of_origin > 0) resting_[job.plan->mount] = io::Reactor::now() + kRest;
    at = jobs_.erase(at);
  }
  tell(deps_.reactor, std::move(waits));
}

void Completions::tell(io::Reactor& reactor, std::list<Wait> waits) {
  for (Wait& wait : waits) {
    reactor.cancel(wait.timer);
    wait.done(wait.brought);
  }
}

}  // namespace forebay::node
