// Completes objects on this node for opens that wait for it, so that they are read by the kernel itself
// (Arena::exportObject): for a short time, and only where it will probably do (core/completion.h).
//
//   if (completions.worth(*plan, 100ms)) completions.bring(plan, 100ms, [](const Status&) { look again });
//
// What is missing is fetched as anybody's reads are, once for all who want it, and kept, together with what is here
// already as a transit copy: as a copy that leaves before what this node owns, where another node owns it. When the
// time is over the fetches go on: whoever opened it reads on anyhow. The first error ends an object's completion. An
// arena that doesn't keep what came has no room for it: its mount's opens don't wait for `kRest` then.
//
// Bounds: kMost objects at once; chunks on their way by number (kAtOnce) and by bytes (an eighth of the arena, one
// chunk at least). Those who wait are requests, which the node bounds. Threading: the node's loop.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>

#include "node/chunks.h"

namespace forebay::node {

class Completions {
 public:
  static constexpr std::size_t kMost = 64, kAtOnce = 16;
  static constexpr Duration kRest = 10s;

  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;
    store::Arena& arena;
    ChunkService& chunks;
  };
  using Done = std::move_only_function<void(const Status&)>;

  explicit Completions(Deps deps);
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  // Whether all that is missing should be here within that time, after what other opens wait for.
  bool worth(const core::Plan& plan, Duration within) const;
  // `done`: all is here, or the time is over, or a fetch failed: why. Never inside the call.
  void bring(const SharedPlan& plan, Duration within, Done done);

  std::size_t running() const { return jobs_.size(); }

 private:
  struct Missing {
    std::uint64_t of_peers = 0, of_origin = 0;
  };
  struct Wait {
    io::TimerId timer = 0;
    Done done;
    Status brought;
  };
  struct Job {
    SharedPlan plan;
    std::uint32_t next = 0;  // chunk to begin
    std::uint32_t running = 0;
    std::optional<Error> failed;
    Missing left;
    std::list<Wait> waits;
  };
  using Jobs = std::list<std::shared_ptr<Job>>;
  class ChunkWait;

  bool owns(const core::Plan& plan, std::uint32_t chunk) const;
  std::uint64_t missingOf(const core::Plan& plan, std::uint32_t chunk) const;
  Missing missing(const core::Plan& plan) const;
  std::shared_ptr<Job> find(const core::Plan& plan) const;
  bool mayBegin(const Job& job) const;
  void pump();
  void begin(const std::shared_ptr<Job>& job, std::uint32_t chunk);
  void ended(Job& job, std::uint32_t chunk, std::uint64_t brought, const Status& here);
  void endJobs();
  static void tell(io::Reactor& reactor, std::list<Wait> waits);

  Deps deps_;
  Jobs jobs_;  // oldest first
  std::map<core::WaiterId, std::unique_ptr<ChunkWait>> running_;
  std::uint64_t running_bytes_ = 0;
  std::map<core::MountId, TimePoint> resting_;  // until then
  io::TimerId timer_ = 0;
};

}  // namespace forebay::node
