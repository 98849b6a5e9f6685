// Brings objects into local files: lists, resolves in batches, and reads piece by piece with many calls in flight.
//
// Large objects are read by several threads, small ones side by side; what is begun first is finished first. An object
// that fails is reported once and everything else goes on. One that changes while it is read is begun anew, with its
// new version, a few times. Files appear under their names when they are whole (cli/part_file.h).
//
// Bytes are checked against their granules' checksums as they arrive; with `recursive`, a whole object also against the
// MD5 that the origin's listing gives, if it does.
//
// Bounds: `in_flight` pieces of 4 MiB in memory, as many files open, kMaxAhead names that wait.
// Threading: run() from one thread; it starts `in_flight` threads and returns when all is done.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cli/cell.h"
#include "cli/commands.h"
#include "cli/origin_checksums.h"
#include "cli/part_file.h"
#include "cli/progress.h"

namespace forebay::cli {

class Getter {
 public:
  static constexpr std::size_t kMaxAhead = 200'000;
  static constexpr std::size_t kBatch = 64;  // names per call to resolve

  struct Counts {
    std::uint64_t there = 0;  // objects that were there already, whole
    std::uint64_t resumed = 0, resumed_bytes = 0;
    std::uint64_t restarted = 0;
  };
  // What a person should know of an object's start: gone on with, or begun anew.
  using Say =
      std::function<void(std::string_view event, const std::string& name, std::string_view why, std::uint64_t bytes)>;

  Getter(Cell& cell, Progress& progress, const GetOptions& options, Say say);
  void run();
  Counts counts() const { return counts_; }  // after run()

 private:
  struct Listed {
    ObjectName name;
    std::string file;  // where it goes
    std::uint64_t size = 0;
    std::string version;  // of which `md5` is
    std::string md5;      // 16 bytes, where the origin says it
    int attempts = 0;
  };
  struct Resolved {
    Listed listed;
    core::Plan plan;
  };
  struct Getting {
    Resolved of;
    std::unique_ptr<PartFile> part;
    std::deque<std::uint64_t> pieces;  // that nobody has taken yet
    unsigned running = 0;
    std::uint64_t resumed = 0;               // bytes that an earlier attempt has left
    std::atomic<std::uint64_t> fetched = 0;  // and those that came since
    std::optional<Error> error;
  };
  using Lock = std::unique_lock<std::mutex>;

  void list();
  void listTree(const ObjectName& root);
  void push(Listed listed);
  void work();
  void resolveBatch(Lock& lock);
  void resolved(Listed listed, Result<client::Attributes> found);
  void begin(Lock& lock, Resolved object);
  void started(Getting& getting);
  void getPiece(Lock& lock, const std::shared_ptr<Getting>& getting, std::vector<std::byte>& buffer);
  Status copyPiece(Getting& getting, std::uint64_t piece, std::vector<std::byte>& buffer);
  Status complete(Getting& getting);
  void endIfDone(Lock& lock, const std::shared_ptr<Getting>& getting);
  void again(Getting& getting);
  Status makeDirectory(const std::string& path);
  Status makeDirectoriesOf(const std::string& file);

  Cell& cell_;
  Progress& progress_;
  const GetOptions options_;
  const Say say_;
  std::mutex mutex_;
  std::condition_variable work_, room_;
  bool listing_ = true;
  unsigned busy_ = 0;  // threads that may yet add work
  std::deque<Listed> listed_;
  std::deque<Resolved> resolved_;
  std::deque<std::shared_ptr<Getting>> getting_;  // with pieces that nobody has taken yet
  Counts counts_;
  std::mutex directories_mutex_;
  std::set<std::string> directories_;  // that are there
};

// Where below `directory` an object goes, or why a file system can't hold its name.
Result<std::string> localPath(const std::string& directory, std::string_view name);

}  // namespace forebay::cli
