#include "sim/origin.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/hash.h"

namespace forebay::sim {
namespace {
constexpr std::string_view kMount = "data";
constexpr Duration kRunTime = 1ms;  // of 256 KiB from an object store on one connection, about 250 MB/s
}  // namespace

Token tokenOf(const core::Plan& plan, std::uint32_t chunk, std::uint32_t run) {
  return mix64(hash64(plan.path) ^ mix64(hash64(plan.version) ^ mix64(std::uint64_t{chunk} << 32 | run)));
}

void Origin::create(std::string path, std::uint64_t size, std::uint32_t chunk_bits) {
  objects_[std::move(path)] = {.size = size, .chunk_bits = chunk_bits};
}

void Origin::change(const std::string& path) {
  ++objects_.at(path).version;
  world_.note(200, hash64(path));
}

std::shared_ptr<const core::Plan> Origin::planOf(const std::string& path, const Object& object) const {
  core::Plan plan;
  plan.mount = core::mountIdOf(kMount);
  plan.path = path;
  plan.version = fmt::format("v{}", object.version);
  plan.key = core::objectKey(bytesOf("secret"), kMount, path, plan.version, object.size, object.chunk_bits);
  plan.size = object.size;
  plan.chunk_bits = object.chunk_bits;
  plan.first_slot = core::slotOfPath(kMount, path);
  return std::make_shared<const core::Plan>(std::move(plan));
}

void Origin::head(const std::string& path,
                  std::move_only_function<void(Result<std::shared_ptr<const core::Plan>>)> done) {
  const bool fails = world_.random().chance(faults_.fail_per_million);
  world_.after(world_.between(faults_.least_delay, faults_.most_delay),
               [this, path, fails, done = std::move(done)]() mutable {
                 auto object = objects_.find(path);
                 if (fails) return done(fail(Code::Unavailable, "the origin says 503"));
                 if (object == objects_.end()) return done(fail(Code::NotFound, "no such object"));
                 return done(planOf(path, object->second));
               });
}

void Origin::get(Piece piece, core::RunRange runs, std::move_only_function<void(std::uint32_t, Token)> arrived,
                 std::move_only_function<void(std::optional<Error>)> done) {
  ++gets_;
  struct Answer {
    Piece piece;
    std::move_only_function<void(std::uint32_t, Token)> arrived;
    std::move_only_function<void(std::optional<Error>)> done;
  };
  auto answer = std::make_shared<Answer>(std::move(piece), std::move(arrived), std::move(done));
  const TimePoint start = world_.now() + world_.between(faults_.least_delay, faults_.most_delay);
  Random& random = world_.random();
  if (random.chance(faults_.fail_per_million)) {
    world_.at(start, [answer] { answer->done(Error{Code::Unavailable, "the origin says 503", 0}); });
    return;
  }
  std::optional<Error> end;
  std::uint32_t stop = runs.end;
  const bool cut = random.chance(faults_.cut_per_million), shorter = random.chance(faults_.short_per_million);
  if (cut || shorter) stop = runs.first + static_cast<std::uint32_t>(random.below(runs.size()));
  if (cut) end = Error{Code::Unavailable, "the origin's connection broke", 0};
  world_.at(start, [this, answer, runs, stop, end] {
    const core::Plan& plan = *answer->piece.plan;
    if (plan.version != fmt::format("v{}", objects_.at(plan.path).version)) {
      answer->done(Error{Code::Gone, "that version is no longer there", 0});
      return;
    }
    for (std::uint32_t run = runs.first; run < stop; ++run)
      world_.after(kRunTime * (run - runs.first + 1), [this, answer, run] {
        ++sent_[{answer->piece.id(), run}];
        world_.note(201, answer->piece.id().hi, run);
        answer->arrived(run, tokenOf(*answer->piece.plan, answer->piece.index, run));
      });
    world_.after(kRunTime * (stop - runs.first + 1), [answer, end] { answer->done(end); });
  });
}

}  // namespace forebay::sim
