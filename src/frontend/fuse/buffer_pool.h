// Memory for replies: bounded in bytes, reused (fresh pages cost several times what reused ones do), page-aligned.
//
//   Buffer buffer = pool.acquire(size, deadline);   // waits while the bound is reached
//   if (!buffer) ...                                // the deadline passed, or the pool was closed
//
// What counts is what is allocated: buffers in use and those kept for reuse. trim() gives back what wasn't needed since
// it was last called. Threading: any thread; a buffer may outlive nothing but must not outlive its pool.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace forebay::fuse {

class BufferPool;

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)), kind_(other.kind_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    kind_ = other.kind_;
    return *this;
  }
  ~Buffer() { reset(); }

  explicit operator bool() const { return data_ != nullptr; }
  MutableBytes first(std::size_t size) const { return {data_, size}; }
  void reset();

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, std::byte* data, std::size_t kind) : pool_(pool), data_(data), kind_(kind) {}
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t kind_ = 0;
};

class BufferPool {
 public:
  explicit BufferPool(std::uint64_t limit_bytes);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // size <= 1 MiB.
  Buffer acquire(std::size_t size, TimePoint deadline);
  // Ends all waiting, now and later.
  void close();
  void trim();
  std::uint64_t allocated() const;

 private:
  friend class Buffer;
  static constexpr std::array<std::size_t, 3> kSizes = {16 * kKiB, 128 * kKiB, 1 * kMiB};
  struct Kind {
    std::vector<std::byte*> free;
    std::size_t least_free = 0;  // since the last trim
  };

  std::byte* takeOrMake(std::size_t kind);
  void dropFree(std::size_t kind, std::size_t count);
  void giveBack(std::byte* data, std::size_t kind);

  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Kind, kSizes.size()> kinds_;
  std::uint64_t allocated_ = 0;
  std::size_t waiting_ = 0;
  bool closed_ = false;
};

}  // namespace forebay::fuse
