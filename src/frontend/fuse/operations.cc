#include "frontend/fuse/operations.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <thread>
#include <unistd.h>

namespace forebay::fuse {
namespace {
// The client ends its calls at their deadline, and knows why: its answer is the better one, if it comes.
constexpr Duration kGrace = 250ms;
}  // namespace

OperationTable::OperationTable(std::uint32_t limit) : places_(std::max(limit, 1U)) {
  free_.reserve(places_.size());
  for (Operation& op : places_) free_.push_back(&op);
}

Operation* OperationTable::reserve(const Ticket& ticket, TimePoint deadline, std::shared_ptr<void> keep) {
  Operation* op = nullptr;
  {
    std::unique_lock lock(mutex_);
    ++waiting_;
    freed_.wait_until(lock, deadline, [&] { return closed_ || !free_.empty(); });
    --waiting_;
    if (closed_ || free_.empty()) return nullptr;
    op = free_.back();
    free_.pop_back();
  }
  op->ticket = ticket;
  op->deadline = deadline;
  op->keep = std::move(keep);
  op->pid_.store(ticket.pid, std::memory_order_relaxed);
  op->interrupted_pid_.store(0, std::memory_order_relaxed);
  op->expires_ns_.store((deadline + kGrace).time_since_epoch().count(), std::memory_order_relaxed);
  return op;
}

void OperationTable::begin(Operation& op) {
  outstanding_.fetch_add(1, std::memory_order_relaxed);
  op.ends_.store(2, std::memory_order_relaxed);
  // seq_cst against interrupt(): either it sees this number, or we see that it was there before.
  op.waiting_for_.store(op.ticket.unique, std::memory_order_seq_cst);
  if (wasInterrupted(op.ticket.unique)) op.interrupted_pid_.store(op.ticket.pid, std::memory_order_relaxed);
}

bool OperationTable::claimIf(Operation& op, std::uint64_t unique) {
  return unique != 0 && op.waiting_for_.compare_exchange_strong(unique, 0, std::memory_order_acq_rel);
}

bool OperationTable::claim(Operation& op) {
  return op.waiting_for_.exchange(0, std::memory_order_acq_rel) != 0;
}

void OperationTable::endOne(Operation& op) {
  if (op.ends_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  op.buffer.reset();
  op.inode = nullptr;
  const std::shared_ptr<void> keep = std::move(op.keep);  // perhaps the last thing that holds this table
  outstanding_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  free_.push_back(&op);
  if (waiting_ > 0) freed_.notify_one();
}

void OperationTable::claimExpired(TimePoint now, const Answer& answer) {
  for (Operation& op : places_) {
    const std::uint64_t unique = op.waiting_for_.load(std::memory_order_acquire);
    if (unique == 0 || op.expires_ns_.load(std::memory_order_relaxed) > now.time_since_epoch().count()) continue;
    if (claimIf(op, unique)) answer(op);
  }
}

void OperationTable::claimAll(const Answer& answer) {
  for (Operation& op : places_)
    if (claimIf(op, op.waiting_for_.load(std::memory_order_acquire))) answer(op);
}

Operation* OperationTable::findWaiting(std::uint64_t unique) {
  for (Operation& op : places_)
    if (op.waiting_for_.load(std::memory_order_seq_cst) == unique) return &op;
  return nullptr;
}

bool OperationTable::wasInterrupted(std::uint64_t unique) const {
  return std::ranges::any_of(early_,
                             [&](const auto& early) { return early.load(std::memory_order_seq_cst) == unique; });
}

void OperationTable::interrupt(std::uint64_t unique, const IsDying& is_dying, const Answer& answer) {
  if (unique == 0) return;
  Operation* op = findWaiting(unique);
  if (op == nullptr) {
    early_[next_early_.fetch_add(1, std::memory_order_relaxed) % early_.size()].store(unique);
    op = findWaiting(unique);
    if (op == nullptr) return;
  }
  // Another request may have its place by now: then the claim fails, and a watched pid that isn't dying does no harm.
  const std::uint32_t pid = op->pid_.load(std::memory_order_relaxed);
  op->interrupted_pid_.store(pid, std::memory_order_relaxed);
  if (is_dying(pid) && claimIf(*op, unique)) answer(*op);
}

void OperationTable::claimDying(const IsDying& is_dying, const Answer& answer) {
  for (Operation& op : places_) {
    const std::uint64_t unique = op.waiting_for_.load(std::memory_order_acquire);
    const std::uint32_t pid = op.interrupted_pid_.load(std::memory_order_relaxed);
    if (unique != 0 && pid != 0 && is_dying(pid) && claimIf(op, unique)) answer(op);
  }
}

void OperationTable::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  freed_.notify_all();
}

void OperationTable::waitForAnswers() const {
  const auto answering = [](const Operation& op) { return op.ends_.load(std::memory_order_acquire) == 2; };
  while (std::ranges::any_of(places_, answering)) std::this_thread::yield();  // one writev(2) long
}

bool isDying(std::uint32_t pid) {
  if (pid == 0) return false;
  const int fd = ::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 4096> text;  // the whole file is about 1,500 bytes
  const ssize_t n = ::read(fd, text.data(), text.size());
  ::close(fd);
  if (n <= 0) return false;
  const std::string_view status(text.data(), static_cast<std::size_t>(n));
  constexpr std::string_view kPending = "\nSigPnd:\t";
  const std::size_t at = status.find(kPending);
  if (at == std::string_view::npos) return false;
  const std::string mask(status.substr(at + kPending.size(), 16));
  constexpr std::uint64_t kKill = 1U << (9 - 1);
  return (std::strtoull(mask.c_str(), nullptr, 16) & kKill) != 0;
}

}  // namespace forebay::fuse
