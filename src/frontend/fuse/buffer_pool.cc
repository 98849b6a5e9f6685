#include "frontend/fuse/buffer_pool.h"

#include <algorithm>
#include <cstdlib>

namespace forebay::fuse {

void Buffer::reset() {
  if (data_ != nullptr) pool_->giveBack(std::exchange(data_, nullptr), kind_);
}

BufferPool::BufferPool(std::uint64_t limit_bytes) : limit_(std::max<std::uint64_t>(limit_bytes, kSizes.back())) {}

BufferPool::~BufferPool() {
  for (std::size_t kind = 0; kind < kSizes.size(); ++kind) dropFree(kind, kinds_[kind].free.size());
}

Buffer BufferPool::acquire(std::size_t size, TimePoint deadline) {
  std::size_t kind = 0;
  while (kind + 1 < kSizes.size() && kSizes[kind] < size) ++kind;
  std::unique_lock lock(mutex_);
  ++waiting_;
  std::byte* data = nullptr;
  changed_.wait_until(lock, deadline, [&] { return closed_ || (data = takeOrMake(kind)) != nullptr; });
  --waiting_;
  return data == nullptr ? Buffer() : Buffer(this, data, kind);
}

std::byte* BufferPool::takeOrMake(std::size_t kind) {
  Kind& own = kinds_[kind];
  if (!own.free.empty()) {
    std::byte* data = own.free.back();
    own.free.pop_back();
    own.least_free = std::min(own.least_free, own.free.size());
    return data;
  }
  // Idle buffers of the other sizes make room.
  for (std::size_t other = kSizes.size(); other-- > 0 && allocated_ + kSizes[kind] > limit_;)
    dropFree(other, std::min<std::size_t>(kinds_[other].free.size(),
                                          divideUp(allocated_ + kSizes[kind] - limit_, kSizes[other])));
  if (allocated_ + kSizes[kind] > limit_) return nullptr;
  void* data = std::aligned_alloc(4096, kSizes[kind]);
  if (data == nullptr) return nullptr;
  allocated_ += kSizes[kind];
  return static_cast<std::byte*>(data);
}

void BufferPool::dropFree(std::size_t kind, std::size_t count) {
  Kind& from = kinds_[kind];
  for (; count > 0 && !from.free.empty(); --count) {
    std::free(from.free.back());
    from.free.pop_back();
    allocated_ -= kSizes[kind];
  }
  from.least_free = std::min(from.least_free, from.free.size());
}

void BufferPool::giveBack(std::byte* data, std::size_t kind) {
  const std::lock_guard lock(mutex_);
  kinds_[kind].free.push_back(data);
  if (waiting_ > 0) changed_.notify_all();  // they may wait for different sizes
}

void BufferPool::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void BufferPool::trim() {
  const std::lock_guard lock(mutex_);
  for (std::size_t kind = 0; kind < kSizes.size(); ++kind) {
    dropFree(kind, kinds_[kind].least_free);
    kinds_[kind].least_free = kinds_[kind].free.size();
  }
}

std::uint64_t BufferPool::allocated() const {
  const std::lock_guard lock(mutex_);
  return allocated_;
}

}  // namespace forebay::fuse
