// Brings objects into the cell: lists, resolves in batches, and warms chunk by chunk with many calls in flight.
//
// The listing runs ahead of the warming, so that totals are known early, by at most kMaxAhead objects: beyond that it
// waits. An object that fails is reported once, its remaining chunks are skipped, and everything else goes on. Large
// objects are warmed by several threads, small ones side by side: what is taken next is always the oldest piece.
//
// Threading: run() from one thread; it starts `in_flight` threads and returns when all is done.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/cell.h"
#include "cli/progress.h"

namespace forebay::cli {

class Loader {
 public:
  static constexpr std::size_t kMaxAhead = 200'000;  // listed objects that wait: about 30 MB
  static constexpr std::size_t kBatch = 64;          // names per call to resolve

  Loader(Cell& cell, Progress& progress, unsigned in_flight);
  void run(const std::vector<std::string>& names);

 private:
  struct Listed {
    ObjectName name;
    std::uint64_t size;
  };
  struct Warming {
    ObjectName name;
    core::Plan plan;
    std::uint64_t next = 0;  // what was given out
    std::uint64_t done = 0;  // what is in the cell
    unsigned running = 0;    // pieces that are being warmed
    std::optional<Error> error;
  };
  struct Piece {
    std::shared_ptr<Warming> of;
    std::uint64_t offset, length;
  };

  void list(const std::string& text);
  void push(ObjectName name, std::uint64_t size);
  void work();
  void resolveBatch(std::unique_lock<std::mutex>& lock);
  void begin(const Listed& listed, Result<client::Attributes> found);
  Piece takePiece();
  void warmPiece(std::unique_lock<std::mutex>& lock, const Piece& piece);
  void endIfDone(Warming& object);

  Cell& cell_;
  Progress& progress_;
  const unsigned in_flight_;
  std::mutex mutex_;
  std::condition_variable work_, room_;
  bool listing_ = true;
  unsigned resolving_ = 0;
  std::deque<Listed> listed_;
  std::deque<std::shared_ptr<Warming>> warming_;  // those with pieces that nobody took yet
};

}  // namespace forebay::cli
