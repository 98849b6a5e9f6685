// This node's part of bringing objects into the cell: the chunks that it shall hold (core/copy_holders.h), each fetched
// and kept, in the order of a broadcast (core/broadcast.h).
//
// goOn() begins what isn't running, and says how far all is when everything is over or time is up. Whoever wants it
// done asks again and again: so nothing is left behind by askers who are gone, since what nobody asked about for
// `forget_after` is left. A load begins with what is there, and ends with a look at what still is: more than there is
// room for doesn't count as brought.
//
// Bounds: `kMost` objects; fetches at once by number (CopyOptions::at_once) and by bytes (an eighth of the arena, one
// chunk at least), all loads together. Chunks of older loads go first, so that objects are complete one after another.
// Threading: the node's loop.
#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/broadcast.h"
#include "core/copy_holders.h"
#include "node/chunks.h"

namespace forebay::node {

struct CopyOptions {
  std::uint32_t copies = 1;           // of each chunk in the cell; 0: on every node
  std::vector<core::NodeId> without;  // nodes that can't be reached
  std::uint32_t at_once = 0;          // chunks of all loads that are fetched at once; 0: kAtOnce
  bool anew = false;                  // what is over is looked at again: it may have left since
};

struct LoadedPart {
  std::uint64_t bytes = 0;  // of the chunks that are here and that this node shall hold
  bool over = false;        // nothing more will come
  std::optional<Error> error;
};

class Loads {
 public:
  static constexpr std::size_t kMost = 4'096;
  static constexpr std::uint32_t kAtOnce = 16, kMostAtOnce = 256;

  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;
    store::Arena& arena;
    ChunkService& chunks;
    Duration forget_after = 10s;
  };
  using Done = std::move_only_function<void(std::vector<LoadedPart>)>;

  explicit Loads(Deps deps);
  ~Loads();
  Loads(const Loads&) = delete;
  Loads& operator=(const Loads&) = delete;

  // A part for each plan, in order, when all are over or at `until`; never inside the call. Busy: kMost are running.
  Status goOn(std::span<const SharedPlan> plans, const CopyOptions& options, TimePoint until, Done done);

 private:
  // A load goes on for everybody who asks the same under the same map.
  struct Key {
    core::ObjectKey object;
    std::uint32_t copies;
    std::uint64_t map_version;
    std::vector<core::NodeId> without;
    auto operator<=>(const Key&) const = default;
  };
  struct Job;
  struct Poll;
  class ChunkWait;

  static bool isPast(const Job& job);
  std::shared_ptr<Job> jobOf(const SharedPlan& plan, const CopyOptions& options);
  void pump();
  bool mayBegin(const Job& job) const;
  bool isHere(const core::Plan& plan, std::uint32_t chunk) const;
  void begin(const std::shared_ptr<Job>& job, std::uint32_t chunk);
  void ended(Job& job, std::uint32_t chunk, bool here);
  void failed(Job& job, const Error& error);
  void lookAgain(Job& job);
  void answer();
  void forgetIdle();
  void tick();

  Deps deps_;
  std::map<Key, std::shared_ptr<Job>> jobs_;
  std::list<std::shared_ptr<Job>> order_;  // oldest first
  std::list<Poll> polls_;
  std::uint32_t at_once_ = kAtOnce;
  std::map<core::WaiterId, std::unique_ptr<ChunkWait>> running_;
  std::uint64_t running_bytes_ = 0;
  io::TimerId timer_ = 0;
};

}  // namespace forebay::node
