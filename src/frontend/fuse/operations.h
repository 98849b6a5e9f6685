// Operations that wait for the client, in a table of fixed size.
//
// Three parties may answer one: the client's callback, the deadline's watch, an interrupt. Who claims it first answers;
// the others find that they are late. An operation's place is free again only when it was answered AND its callback
// has run, because until then the client may write into its buffer: so an answer "too late" costs its place for as long
// as the client holds it, and no more than that.
//
//   Operation* op = table.reserve(ticket, deadline);    // the worker; null: none became free in time
//   op->path = ...; table.begin(*op);                   // from here on anybody may answer it
//   ... client call; later, in its callback:
//   if (table.claim(*op)) { reply; table.answered(*op); }
//   table.calledBack(*op);
//
// Threading: any thread.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"
#include "frontend/fuse/buffer_pool.h"
#include "frontend/fuse/node_table.h"

namespace forebay::fuse {

// What an answer needs: a request must be answered on the descriptor that it was read from.
struct Ticket {
  unsigned device = 0;
  std::uint32_t opcode = 0;
  std::uint64_t unique = 0;
  std::uint64_t node = 0;
  std::uint32_t pid = 0;
  TimePoint started{};
};

struct Operation {
  Ticket ticket;
  std::string path;  // what it is about, for the log
  TimePoint deadline{};
  // READ's own; kept until the callback has run.
  Buffer buffer;
  std::size_t length = 0;
  std::shared_ptr<const Inode> inode;
  // Keeps table, pool and channel alive until the callback has run, also when the mount is gone.
  std::shared_ptr<void> keep;

 private:
  friend class OperationTable;
  std::atomic<std::uint64_t> waiting_for_{0};  // the request's number until it is claimed. Numbers never repeat
  std::atomic<std::int64_t> expires_ns_{0};
  std::atomic<std::uint32_t> pid_{0};
  std::atomic<std::uint32_t> interrupted_pid_{0};
  std::atomic<int> ends_{0};  // answer and callback
};

class OperationTable {
 public:
  explicit OperationTable(std::uint32_t limit);

  // Waits for a free place. Null at the deadline, or when closed.
  Operation* reserve(const Ticket& ticket, TimePoint deadline, std::shared_ptr<void> keep);
  void begin(Operation& op);

  bool claim(Operation& op);
  bool isWaiting(const Operation& op) const { return op.waiting_for_.load(std::memory_order_acquire) != 0; }
  void answered(Operation& op) { endOne(op); }
  void calledBack(Operation& op) { endOne(op); }

  // Claims what matches and hands it to `answer`, which must call answered().
  using Answer = std::function<void(Operation&)>;
  void claimExpired(TimePoint now, const Answer& answer);
  void claimAll(const Answer& answer);
  // The kernel says that a signal came for whoever waits for this request. If it is dying (`is_dying` of its pid), the
  // operation is claimed; otherwise it is watched by claimDying. A request that isn't known yet is remembered.
  using IsDying = std::function<bool(std::uint32_t)>;
  void interrupt(std::uint64_t unique, const IsDying& is_dying, const Answer& answer);
  void claimDying(const IsDying& is_dying, const Answer& answer);

  // No operation begins any more.
  void close();
  // Returns once no answer is being given. After close() and claimAll(): for good.
  void waitForAnswers() const;
  std::uint32_t outstanding() const { return outstanding_.load(std::memory_order_relaxed); }

 private:
  bool claimIf(Operation& op, std::uint64_t unique);
  Operation* findWaiting(std::uint64_t unique);
  bool wasInterrupted(std::uint64_t unique) const;
  void endOne(Operation& op);

  std::vector<Operation> places_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Operation*> free_;
  std::size_t waiting_ = 0;
  bool closed_ = false;
  std::atomic<std::uint32_t> outstanding_{0};
  // An interrupt may overtake its request between the worker's read(2) and begin(). Few can at once.
  std::array<std::atomic<std::uint64_t>, 16> early_{};
  std::atomic<std::size_t> next_early_{0};
};

// Whether a thread is on its way out (SIGKILL pending, which is what every fatal signal becomes). Other signals must
// not end a read: nobody expects EINTR from a file, and a page fault would turn it into SIGBUS, so a profiler's timer
// would kill a training job. False when that can't be known, as for another pid namespace.
bool isDying(std::uint32_t pid);

}  // namespace forebay::fuse
