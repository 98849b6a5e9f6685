// Faults on demand: rules that say which requests go wrong, and how.
//
// Rules are tried in the order in which they were added; the first that fires decides. Choices by probability come from
// a seed, so a run repeats. Pure: what a fault does to an answer happens in service.h and server.h.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace forebay::fake {

enum class Op { Get, Head, List, Put, Delete, Container, Other };
constexpr std::size_t kOps = 7;
std::string_view opName(Op op);
std::optional<Op> opNamed(std::string_view name);

enum class FaultKind {
  Status,         // answer with `status` and no such object's bytes; code and Retry-After as given
  Cut,            // the body ends after `bytes` bytes: FIN
  Reset,          // the same with RST
  ContentLength,  // claim the length + `delta`; the true bytes follow, then FIN
  ContentRange,   // claim a range that lies `delta` bytes further than what is sent
  IgnoreRange,    // 200 and the whole object, as an origin without ranges would
  Corrupt,        // byte `bytes` of the body is inverted
  Hang,           // no answer; the connection stays open
  Drip,           // `bytes` bytes of the answer every `ms` milliseconds
  Latency,        // the answer starts `ms` milliseconds later
  Change,  // before the request is looked at, a writer elsewhere makes a new version (of `bytes` bytes, if given)
  Delete,  // before the request is looked at, the object vanishes
};

struct Fault {
  FaultKind kind = FaultKind::Status;
  int status = 503;
  std::string code;                // of the error; empty: the usual one for that status
  std::string retry_after;         // a value, e.g. "2"; empty: no header
  std::string retry_after_header;  // Retry-After, retry-after-ms or x-ms-retry-after-ms
  std::optional<std::uint64_t> bytes;
  std::int64_t delta = 0;
  std::uint32_t ms = 0;
};

struct FaultRule {
  // Which requests: all that are given must fit.
  std::optional<Op> op;
  std::string name = "*";   // a glob over "container/name"
  std::uint64_t skip = 0;   // the first so many that fit pass
  std::uint64_t every = 1;  // then every so many-th
  std::uint64_t next = 0;   // at most so many times; 0: no bound
  std::uint32_t per_million = 1'000'000;
  std::uint64_t seed = 1;
  Fault fault;

  // What happened so far.
  std::uint64_t id = 0;
  std::uint64_t matched = 0;
  std::uint64_t fired = 0;
};

// {"op":"get","name":"data/*.bin","every":3,"action":{"type":"cut","bytes":100}}; README.md has every key.
// An unknown key or a bad value is an error that names it.
Result<FaultRule> parseFaultRule(const boost::json::value& value);
boost::json::object toJson(const FaultRule& rule);

class Faults {
 public:
  static constexpr std::size_t kMaxRules = 1000;
  Result<std::uint64_t> add(FaultRule rule);  // its id
  void clear() { rules_.clear(); }
  // What happens to this request. `path` is "container/name" (a list's name is its prefix).
  std::optional<Fault> match(Op op, std::string_view path);

  struct Active {
    FaultRule rule;
    Random random{0};
  };
  const std::vector<Active>& rules() const { return rules_; }

 private:
  std::vector<Active> rules_;
  std::uint64_t next_id_ = 1;
};

}  // namespace forebay::fake
