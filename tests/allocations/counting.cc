#include "counting.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

namespace forebay {
namespace {

// By thread, in the order of their first allocations; later ones than these share the last.
constexpr std::size_t kThreads = 1'024;
struct Count {
  std::atomic<pthread_t> thread{};
  std::atomic<std::uint64_t> allocations = 0;
};
std::array<Count, kThreads> counts;
std::atomic<std::size_t> next = 0;
thread_local Count* mine = nullptr;

[[maybe_unused]] void count() {
  if (mine == nullptr) {
    mine = &counts[std::min(next.fetch_add(1), kThreads - 1)];
    mine->thread = pthread_self();
  }
  mine->allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// A thread that has ended may have had the same number.
std::uint64_t allocationsOf(pthread_t thread) {
  std::uint64_t all = 0;
  for (const Count& one : counts)
    if (one.thread == thread) all += one.allocations;
  return all;
}

}  // namespace forebay

#if !__has_feature(thread_sanitizer) && !__has_feature(address_sanitizer)
void* operator new(std::size_t size) {
  forebay::count();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
