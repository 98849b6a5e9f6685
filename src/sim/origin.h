// A simulated origin: objects whose versions change, ranges that come slowly, fail, or break off in the middle.
//
// The bytes of a run are a token that follows from (path, version, chunk, run): a reader that got another one got wrong
// bytes. What was sent is counted per run: single flight is checked against it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/network.h"
#include "sim/world.h"

namespace forebay::sim {

Token tokenOf(const core::Plan& plan, std::uint32_t chunk, std::uint32_t run);

class Origin {
 public:
  struct Faults {
    Duration least_delay = 2ms, most_delay = 15ms;  // before the first byte of an answer
    std::uint32_t fail_per_million = 0;             // of requests: Unavailable
    std::uint32_t cut_per_million = 0;              // of ranges: they break off after some of their runs
    std::uint32_t short_per_million = 0;            // of ranges: the same, and said to be whole
  };
  using Counts = std::map<std::pair<core::ChunkId, std::uint32_t>, std::uint32_t>;  // by (chunk, run)

  explicit Origin(World& world) : world_(world) {}

  void set(Faults faults) { faults_ = faults; }
  void create(std::string path, std::uint64_t size, std::uint32_t chunk_bits);
  void change(const std::string& path);  // another version, of the same size

  void head(const std::string& path, std::move_only_function<void(Result<std::shared_ptr<const core::Plan>>)> done);
  // `arrived` for each run in order, then `done`. Gone if the plan's version isn't the object's any more.
  void get(Piece piece, core::RunRange runs, std::move_only_function<void(std::uint32_t run, Token token)> arrived,
           std::move_only_function<void(std::optional<Error>)> done);

  const Counts& sent() const { return sent_; }
  std::uint64_t gets() const { return gets_; }

 private:
  struct Object {
    std::uint64_t size = 0;
    std::uint32_t chunk_bits = 0;
    std::uint64_t version = 1;
  };
  std::shared_ptr<const core::Plan> planOf(const std::string& path, const Object& object) const;

  World& world_;
  Faults faults_;
  std::map<std::string, Object> objects_;
  Counts sent_;
  std::uint64_t gets_ = 0;
};

}  // namespace forebay::sim
