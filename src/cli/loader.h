// Brings objects into the cell: lists, resolves in batches, and has the nodes that shall hold the chunks fetch them.
//
// The listing runs ahead, so that totals are known early, by at most kMaxAhead objects: beyond that it waits. A few
// threads each take a batch of names to its end; the nodes do the work (NodeClient::load), the threads ask how far it
// is. An object that fails is reported once, and everything else goes on. A node that doesn't answer kPatience times in
// a row is done without: others stand in for it, and silent() names it.
//
// Threading: run() from one thread; it starts its threads and returns when all is done.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/cell.h"
#include "cli/progress.h"

namespace forebay::cli {

class Loader {
 public:
  static constexpr std::size_t kMaxAhead = 200'000;  // listed objects that wait: about 30 MB
  static constexpr std::size_t kBatch = 64;          // objects that a thread brings at once
  static constexpr unsigned kThreads = 4;
  static constexpr unsigned kPatience = 3;

  Loader(Cell& cell, Progress& progress, client::LoadTarget target);
  void run(const std::vector<std::string>& names);
  const std::vector<std::string>& silent() const { return silent_; }  // after run()

 private:
  struct Listed {
    ObjectName name;
    std::uint64_t size;
  };
  struct Loading {
    ObjectName name;
    core::Plan plan;
    std::uint64_t counted = 0;  // in the progress' total
    std::uint64_t bytes = 0;    // of which were told as done
  };

  void list(const std::string& text);
  void push(ObjectName name, std::uint64_t size);
  void work();
  std::vector<Listed> takeBatch();
  std::vector<Loading> resolve(const std::vector<Listed>& batch);
  std::optional<Loading> begin(const Listed& listed, Result<client::Attributes> found);
  void load(std::vector<Loading> objects);
  bool advance(Loading& object, const wire::pb::Loaded& item);
  void hear(const wire::pb::LoadReply& reply);

  Cell& cell_;
  Progress& progress_;
  std::mutex mutex_;
  client::LoadTarget target_;
  std::map<core::NodeId, unsigned> unheard_;  // how often in a row
  std::vector<std::string> silent_;
  std::condition_variable work_, room_;
  bool listing_ = true;
  std::deque<Listed> listed_;
};

}  // namespace forebay::cli
