// A vector whose first elements need no memory of their own: for what is nearly always one or a few.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <utility>
#include <vector>

namespace forebay {

template <class T, std::size_t Inline>
class Few {
 public:
  using value_type = T;
  Few() = default;
  Few(std::initializer_list<T> all) {
    for (const T& one : all) push_back(one);
  }
  Few(const Few&) = default;
  Few& operator=(const Few&) = default;
  Few(Few&& other) noexcept : few_(std::move(other.few_)), more_(std::move(other.more_)) {
    count_ = std::exchange(other.count_, 0);
    other.more_.clear();
  }
  Few& operator=(Few&& other) noexcept {
    few_ = std::move(other.few_);
    more_ = std::move(other.more_);
    count_ = std::exchange(other.count_, 0);
    other.more_.clear();
    return *this;
  }
  ~Few() = default;

  void push_back(T value) {
    if (count_ == Inline && more_.empty())
      more_.assign(std::make_move_iterator(few_.begin()), std::make_move_iterator(few_.end()));
    if (count_ < Inline)
      few_[count_] = std::move(value);
    else
      more_.push_back(std::move(value));
    ++count_;
  }
  template <class... Arguments>
  void emplace_back(Arguments&&... arguments) {
    push_back(T(std::forward<Arguments>(arguments)...));
  }
  void reserve(std::size_t count) {
    if (count > Inline) more_.reserve(count);
  }
  void clear() {
    for (std::size_t i = 0; i < Inline && i < count_; ++i) few_[i] = T();
    more_.clear();
    count_ = 0;
  }

  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  T* data() { return count_ <= Inline ? few_.data() : more_.data(); }
  const T* data() const { return count_ <= Inline ? few_.data() : more_.data(); }
  T* begin() { return data(); }
  T* end() { return data() + count_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + count_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  T& front() { return *begin(); }
  const T& front() const { return *begin(); }
  T& back() { return end()[-1]; }

 private:
  std::array<T, Inline> few_{};
  std::vector<T> more_;  // all of them, where they are more
  std::size_t count_ = 0;
};

}  // namespace forebay
