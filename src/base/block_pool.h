// Memory of objects that come and go with every request, used again by the next ones: for std::allocate_shared.
//
//   auto pool = std::make_shared<BlockPool>(64);
//   auto made = std::allocate_shared<Operation>(PooledIn<Operation>(pool), ...);
//
// A pool has blocks of one size, that of the first object it is asked for, and keeps `most` of them that are free; what
// is larger comes from the heap. What was made from it keeps it. Any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace forebay {

class BlockPool {
 public:
  explicit BlockPool(std::size_t most) : most_(most) { free_.reserve(most); }
  ~BlockPool() {
    for (void* block : free_) ::operator delete(block);
  }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  void* take(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (bytes_ == 0) bytes_ = bytes;
      if (bytes == bytes_ && !free_.empty()) {
        void* const block = free_.back();
        free_.pop_back();
        return block;
      }
    }
    return ::operator new(bytes);
  }
  void give(void* block, std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (bytes == bytes_ && free_.size() < most_) return free_.push_back(block);
    }
    ::operator delete(block);
  }

 private:
  const std::size_t most_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::vector<void*> free_;
};

template <class T>
class PooledIn {
 public:
  using value_type = T;
  explicit PooledIn(std::shared_ptr<BlockPool> pool) : pool_(std::move(pool)) {}
  template <class U>
  PooledIn(const PooledIn<U>& other) : pool_(other.pool_) {}  // NOLINT(google-explicit-constructor): rebinding

  T* allocate(std::size_t count) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return static_cast<T*>(pool_->take(count * sizeof(T)));
  }
  void deallocate(T* block, std::size_t count) { pool_->give(block, count * sizeof(T)); }
  bool operator==(const PooledIn& other) const { return pool_ == other.pool_; }

 private:
  template <class U>
  friend class PooledIn;
  std::shared_ptr<BlockPool> pool_;
};

}  // namespace forebay
