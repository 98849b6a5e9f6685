#include "node/loads.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/hash.h"

namespace forebay::node {
namespace {
constexpr Duration kTick = 50ms;          // while there are loads
constexpr Duration kChunkDeadline = 60s;  // of one attempt
constexpr Duration kRetry = 200ms;        // after one that failed
constexpr std::uint64_t kShare = 8;       // of the arena is on its way at most
constexpr Duration kBetweenPolls = 2s;
constexpr int kMostAtATime = 512;  // chunks per turn of the loop: many may be here already
}  // namespace

struct Loads::Job {
  SharedPlan plan;
  core::Broadcast broadcast;
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> brought;
  bool left = false;     // nobody asked about it
  bool lacking = false;  // something left again before all was here
  std::optional<Error> error;
  TimePoint asked, resume;
};

struct Loads::Poll {
  std::vector<std::shared_ptr<Job>> jobs;
  TimePoint until;
  Done done;
};

// Waits for one whole chunk, which is to stay here.
class Loads::ChunkWait : public Waiter {
 public:
  ChunkWait(Loads& loads, std::shared_ptr<Job> job, std::uint32_t chunk)
      : loads_(loads), job_(std::move(job)), chunk_(chunk), length_(job_->plan->chunkLength(chunk)) {
    loads_.running_bytes_ += length_;
  }
  ~ChunkWait() override { loads_.running_bytes_ -= length_; }
  void named(core::WaiterId id) { id_ = id; }

  void ready(std::uint32_t upto) override {
    if (upto < length_) return;
    loads_.deps_.arena.keep(io::Reactor::now(), job_->plan->key, chunk_);
    finish(true);
  }
  void refused(core::Refusal why, const Error& error) override {
    if (why == core::Refusal::Gone)
      loads_.failed(*job_, {Code::Gone, error.message, 0});
    else
      loads_.failed(*job_, error);
    finish(false);
  }

 private:
  void finish(bool here) {
    Loads& loads = loads_;
    const auto self = loads.running_.extract(id_);  // lives until the end of this call
    loads.ended(*job_, chunk_, here);
    loads.pump();
  }
  Loads& loads_;
  const std::shared_ptr<Job> job_;
  const std::uint32_t chunk_, length_;
  core::WaiterId id_ = 0;
};

Loads::Loads(Deps deps) : deps_(deps) {}

Loads::~Loads() {
  for (const auto& [id, wait] : running_) deps_.chunks.left(id);
  if (timer_ != 0) deps_.reactor.cancel(timer_);
}

Status Loads::goOn(std::span<const SharedPlan> plans, const CopyOptions& options, TimePoint until, Done done) {
  if (jobs_.size() + plans.size() > kMost)
    return fail({Code::Busy, "this node has as many objects to load as it can keep in mind: try again", 1'000});
  at_once_ = options.at_once == 0 ? kAtOnce : std::min(options.at_once, kMostAtOnce);
  Poll poll{.jobs = {}, .until = until, .done = std::move(done)};
  for (const SharedPlan& plan : plans) poll.jobs.push_back(jobOf(plan, options));
  polls_.push_back(std::move(poll));
  if (timer_ != 0) deps_.reactor.cancel(timer_);
  timer_ = deps_.reactor.after(0ms, [this] { tick(); });
  return {};
}

// Left because nobody asked about it, or over and not asked about by whoever polls: to be looked at anew.
bool Loads::isPast(const Job& job) {
  return job.left || (job.broadcast.over() && job.asked + kBetweenPolls < io::Reactor::now());
}

std::shared_ptr<Loads::Job> Loads::jobOf(const SharedPlan& plan, const CopyOptions& options) {
  Key key{plan->key, options.copies, deps_.cell.map().version(), options.without};
  std::ranges::sort(key.without);
  std::shared_ptr<Job>& job = jobs_[std::move(key)];
  if (job != nullptr && (isPast(*job) || (options.anew && job->broadcast.over())))
    order_.remove(std::exchange(job, nullptr));
  if (job == nullptr) {
    core::CopyHolders holders(deps_.cell.sharedMap(), plan->key, options.copies, options.without);
    // The predicate is asked by the job's own broadcast only, and looks at the plan that the job keeps.
    auto mine = [self = deps_.self, holders, plan](std::uint32_t chunk) {
      if (holders.everywhere()) return true;
      return holders.has(core::slotOfChunk(plan->key, plan->first_slot, chunk), self);
    };
    const std::uint64_t seed = mix64(hash64(Bytes(plan->key.bytes)) ^ deps_.self);
    job = std::make_shared<Job>(Job{.plan = plan,
                                    .broadcast = core::Broadcast(plan->chunks(), std::move(mine), {}, seed),
                                    .error = {},
                                    .asked = {},
                                    .resume = {}});
    order_.push_back(job);
  }
  job->asked = io::Reactor::now();
  return job;
}

bool Loads::mayBegin(const Job& job) const {
  if (running_.empty()) return true;
  return running_.size() < at_once_ && running_bytes_ + job.plan->chunkSize() <= deps_.arena.capacityBytes() / kShare;
}

bool Loads::isHere(const core::Plan& plan, std::uint32_t chunk) const {
  return deps_.arena.present(plan.key, chunk).count() == core::runsOf(0, plan.chunkLength(chunk)).end;
}

void Loads::pump() {
  int begun = 0;
  const TimePoint now = io::Reactor::now();
  for (const auto& job : order_) {
    while (job->resume <= now && begun < kMostAtATime && mayBegin(*job)) {
      const auto chunk = job->broadcast.next();
      if (!chunk) break;
      ++begun;
      begin(job, *chunk);
    }
  }
  answer();
}

void Loads::begin(const std::shared_ptr<Job>& job, std::uint32_t chunk) {
  const core::Plan& plan = *job->plan;
  const std::uint32_t length = plan.chunkLength(chunk);
  if (isHere(plan, chunk)) {
    deps_.arena.keep(io::Reactor::now(), plan.key, chunk);
    return ended(*job, chunk, true);
  }
  auto wait = std::make_unique<ChunkWait>(*this, job, chunk);
  const WantOptions options{
      .must_answer = true, .keep = true, .wide = true, .deadline = io::Reactor::now() + kChunkDeadline};
  const core::WaiterId id = deps_.chunks.want(job->plan, {chunk, 0, length}, options, *wait);
  wait->named(id);
  running_.emplace(id, std::move(wait));
}

void Loads::ended(Job& job, std::uint32_t chunk, bool here) {
  if (here) {
    job.bytes += job.plan->chunkLength(chunk);
    job.brought.push_back(chunk);
  }
  job.broadcast.finished(chunk, here);
  if (job.broadcast.over()) lookAgain(job);
}

void Loads::failed(Job& job, const Error& error) {
  if (!job.error) job.error = error;
  const bool again = error.retryable() || error.code == Code::DeadlineExceeded || error.code == Code::Corrupt;
  if (again)
    job.resume = io::Reactor::now() + std::max<Duration>(kRetry, std::chrono::milliseconds(error.retry_after_ms));
  else
    job.broadcast.giveUp();
}

// What came first may have made room for what came last.
void Loads::lookAgain(Job& job) {
  const std::uint64_t brought = std::exchange(job.bytes, 0);
  for (const std::uint32_t chunk : job.brought)
    if (isHere(*job.plan, chunk)) job.bytes += job.plan->chunkLength(chunk);
  job.lacking = job.bytes < brought;
  if (job.lacking) {
    job.error = {
        Code::Busy,
        fmt::format("no room: {} of {} bytes didn't stay in this node's arena; raise node.memory, or load less",
                    brought - job.bytes, brought),
        0};
  }
}

// Whose time is up, or whose objects are all over, hears how far they are.
void Loads::answer() {
  const TimePoint now = io::Reactor::now();
  for (auto poll = polls_.begin(); poll != polls_.end();) {
    const bool over = std::ranges::all_of(poll->jobs, [](const auto& job) { return job->broadcast.over(); });
    if (!over && poll->until > now) {
      ++poll;
      continue;
    }
    std::vector<LoadedPart> parts;
    for (const auto& job : poll->jobs) {
      job->asked = now;
      LoadedPart part{.bytes = job->bytes, .over = job->broadcast.over(), .error = {}};
      if (part.over && (job->broadcast.failed() > 0 || job->lacking)) part.error = job->error;
      parts.push_back(std::move(part));
    }
    Done done = std::move(poll->done);
    poll = polls_.erase(poll);
    done(std::move(parts));
  }
}

void Loads::forgetIdle() {
  const TimePoint now = io::Reactor::now();
  std::erase_if(jobs_, [&](const auto& entry) {
    const auto& job = entry.second;
    if (job->asked + deps_.forget_after > now) return false;
    if (std::ranges::any_of(polls_, [&](const Poll& poll) { return std::ranges::count(poll.jobs, job) > 0; }))
      return false;
    job->broadcast.giveUp();
    job->left = true;
    if (!job->broadcast.idle()) return false;
    order_.remove(job);
    return true;
  });
}

void Loads::tick() {
  timer_ = 0;
  forgetIdle();
  pump();
  if (!jobs_.empty() && timer_ == 0) timer_ = deps_.reactor.after(kTick, [this] { tick(); });
}

}  // namespace forebay::node
