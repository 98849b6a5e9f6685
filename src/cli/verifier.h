// Compares objects with what an origin says of them: who is missing, who is one too many, whose size, version or
// checksum differs.
//
// Both sides come sorted and are gone through at once; bytes are read, by several threads, only of objects that the
// origin has a checksum of. An object without one is compared by size (and version, where both sides have one) and
// counted as such: it isn't known whether its bytes are right.
//
// Threading: run() from one thread; it starts `in_flight` others, from which `digest` and `report` are called too, the
// latter one call at a time. Bounds: kMaxAhead pairs that wait for a thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "cli/progress.h"
#include "cli/sorted_names.h"

namespace forebay::cli {

struct Finding {
  enum class Kind : std::uint8_t { Missing, Extra, Differs, Failed };
  Kind kind;
  std::string path;
  std::string why;  // of Differs and Failed
};
std::string_view findingName(Finding::Kind kind);

struct VerifyCounts {
  std::uint64_t objects = 0;      // at the origin
  std::uint64_t checksummed = 0;  // whose bytes have the origin's checksum
  std::uint64_t size_only = 0;    // whose size fits, and the origin has no checksum (or none was wanted)
  std::uint64_t missing = 0, extra = 0, differs = 0, failed = 0;
  std::uint64_t wrong_checksums = 0;  // of those that differ
  std::uint64_t bytes = 0;            // that were read

  bool same() const { return missing + extra + differs + failed == 0; }
};

class Verifier {
 public:
  static constexpr std::size_t kMaxAhead = 4'096;
  // The MD5 (16 bytes) of what is here of an object, told as it is read.
  using Digest =
      std::function<Result<std::string>(const SortedObject& here, const std::function<void(std::uint64_t)>&)>;
  using Report = std::function<void(const Finding&)>;
  struct Options {
    unsigned in_flight = 8;  // objects that are read at once
    bool size_only = false;  // no bytes are read
  };

  Verifier(SortedNames& here, SortedNames& origin, Digest digest, Report report, Progress& progress, Options options);

  // An error: one side couldn't be listed to its end, so what came after is unknown.
  Status run();
  const VerifyCounts& counts() const { return counts_; }  // after run()

 private:
  struct Pair {
    SortedObject here, origin;
  };
  Status compareNames();
  void compare(SortedObject here, SortedObject origin);
  void found(Finding::Kind kind, std::string path, std::string why);
  void work();
  void check(const Pair& pair);

  SortedNames& here_;
  SortedNames& origin_;
  const Digest digest_;
  const Report report_;
  Progress& progress_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::deque<Pair> waiting_;
  bool listing_ = true;
  VerifyCounts counts_;
};

}  // namespace forebay::cli
