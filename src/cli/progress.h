// How far a load has come: a count that tells the truth, a line for a terminal, lines of JSON for everything else.
//
// The truth: bytes count when they are in the cell, not when they are asked for; 100% appears only when everything is
// there; while the listing goes on, totals are what was found so far and are shown with a '+'; the rate is that of the
// last seconds, so that a stall shows at once, and then no time left is claimed; what failed is said in the same line
// and is never counted as done.
//
// Progress: thread-safe, knows no clock (whoever samples brings the time). ProgressReporter: a thread that prints.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/terminal.h"

namespace forebay::cli {

struct ProgressSample {
  std::uint64_t bytes = 0, total_bytes = 0, failed_bytes = 0;
  std::uint64_t objects = 0, total_objects = 0, failed_objects = 0;
  std::uint64_t failures = 0;  // of objects and of directories that couldn't be listed
  bool listed = false;         // totals are final
  Duration elapsed{0};
  double rate = 0;                    // bytes per second, of the last seconds
  std::optional<Duration> time_left;  // where it can be known

  bool complete() const { return listed && failures == 0 && bytes >= total_bytes && objects == total_objects; }
};

struct LoadFailure {
  std::string name;
  Error error;
};

class Progress {
 public:
  explicit Progress(TimePoint start) : start_(start) {}

  void found(std::uint64_t bytes);                    // the listing has one object more
  void resized(std::uint64_t was, std::uint64_t is);  // an object's plan says another size than its listing
  void listed();                                      // and that was the last
  void advanced(std::uint64_t bytes);                 // so many more bytes are in the cell
  void objectDone();
  // `missing`: bytes of the object that aren't in the cell. 0 objects: a directory that couldn't be listed.
  void failed(std::string name, Error error, std::uint64_t missing, bool object = true);

  ProgressSample sample(TimePoint now);
  // The first 100, in the order in which they happened; sample().failures counts all.
  std::vector<LoadFailure> failures() const;

 private:
  struct Point {
    TimePoint when;
    std::uint64_t bytes;
  };
  mutable std::mutex mutex_;
  const TimePoint start_;
  ProgressSample now_;
  std::deque<Point> points_;  // of the last seconds, oldest first
  std::vector<LoadFailure> failures_;
};

// "[####------]  42%  1.2 GiB of 2.8 GiB  210 MB/s  8 s left  2 failed": at most `width` columns.
std::string progressLine(const ProgressSample& sample, unsigned width);
// {"event":"progress","bytes":...}: one line.
std::string progressJson(const ProgressSample& sample, std::string_view event);

// Prints a line 5 times a second on a terminal, a line of JSON a second elsewhere, until stop().
class ProgressReporter {
 public:
  ProgressReporter(Terminal& terminal, Progress& progress);
  ~ProgressReporter() { stop(); }
  void stop();  // and wipes the line

 private:
  void serve();
  void print();
  Terminal& terminal_;
  Progress& progress_;
  const bool line_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace forebay::cli
