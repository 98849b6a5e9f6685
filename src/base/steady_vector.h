// Elements that stay where they are, made one by one and dropped together: for what can't be moved, in memory that is
// used again by the next ones.
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <utility>

namespace forebay {

template <class T>
class SteadyVector {
 public:
  SteadyVector() = default;
  ~SteadyVector() { clear(); }
  SteadyVector(const SteadyVector&) = delete;
  SteadyVector& operator=(const SteadyVector&) = delete;

  // While it is empty: how many there may be.
  void reserve(std::size_t count) {
    assert(size_ == 0);
    if (count <= capacity_) return;
    memory_ = std::make_unique_for_overwrite<Place[]>(count);
    capacity_ = count;
  }
  template <class... Arguments>
  T& emplace_back(Arguments&&... arguments) {
    assert(size_ < capacity_);
    T* const made = std::construct_at(at(size_), std::forward<Arguments>(arguments)...);
    ++size_;
    return *made;
  }
  // They are gone in the order in which they came, and are not to be looked at meanwhile.
  void clear() {
    const std::size_t count = std::exchange(size_, 0);
    for (std::size_t i = 0; i < count; ++i) std::destroy_at(at(i));
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  T& operator[](std::size_t i) { return *at(i); }
  T* begin() { return at(0); }
  T* end() { return at(size_); }

 private:
  struct Place {
    alignas(T) std::byte bytes[sizeof(T)];
  };
  T* at(std::size_t i) { return reinterpret_cast<T*>(memory_.get() + i); }

  std::unique_ptr<Place[]> memory_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace forebay
