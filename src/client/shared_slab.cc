#include "client/shared_slab.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace forebay::client {
namespace {

constexpr std::uint64_t kUnit = 4 * kKiB;

// Files of slabs that a child must not keep: the memory of a node that has ended would stay as long as it. More than
// these aren't closed in a child, and do no other harm there. A descriptor plus one; 0: none.
std::array<std::atomic<int>, 64> open_files{};

void closeInChildren(int file) {
  static std::once_flag once;
  std::call_once(once, [] {
    ::pthread_atfork(nullptr, nullptr, [] {
      for (auto& open : open_files)
        if (const int known = open.exchange(0); known != 0) ::close(known - 1);
    });
  });
  for (auto& open : open_files)
    if (int free = 0; open.compare_exchange_strong(free, file + 1)) return;
}

// Before it is closed: its number may be another file's then.
void closedHere(int file) {
  for (auto& open : open_files)
    if (int known = file + 1; open.compare_exchange_strong(known, 0)) return;
}

const void* mapPart(int file, std::uint64_t offset, std::uint64_t length) {
  void* const base = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file, static_cast<off_t>(offset));
  if (base == MAP_FAILED) return nullptr;
  ::madvise(base, length, MADV_DONTDUMP);
  if (::madvise(base, length, MADV_DONTFORK) == 0) return base;
  ::munmap(base, length);
  return nullptr;
}

std::uint64_t tableBytes(std::uint64_t page_bytes) {
  return roundUp(page_bytes / kUnit * sizeof(std::uint32_t), kUnit);
}

}  // namespace

std::shared_ptr<const SharedSlab> SharedSlab::of(io::Descriptor file, std::uint64_t id, std::uint64_t page_bytes) {
  struct stat about{};
  // Beyond its end a mapping is a SIGBUS, so its size isn't believed.
  if (page_bytes == 0 || page_bytes % kUnit != 0 || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) ||
      static_cast<std::uint64_t>(about.st_size) < page_bytes + tableBytes(page_bytes))
    return nullptr;
  std::shared_ptr<SharedSlab> slab(new SharedSlab(std::move(file), id, page_bytes));
  if (!slab->map()) return nullptr;
  return slab;
}

bool SharedSlab::map() {
  pages_ = static_cast<const std::byte*>(mapPart(file_.get(), 0, page_bytes_));
  generations_ = static_cast<const std::uint32_t*>(mapPart(file_.get(), page_bytes_, tableBytes(page_bytes_)));
  closeInChildren(file_.get());
  return pages_ != nullptr && generations_ != nullptr;
}

SharedSlab::~SharedSlab() {
  closedHere(file_.get());
  if (pages_ != nullptr) ::munmap(const_cast<std::byte*>(pages_), page_bytes_);
  if (generations_ != nullptr) ::munmap(const_cast<std::uint32_t*>(generations_), tableBytes(page_bytes_));
}

bool SharedSlab::holds(const wire::Place& place) const {
  return place.offset <= page_bytes_ && place.length <= page_bytes_ - place.offset && place.length != 0;
}

bool SharedSlab::unchanged(const wire::Place& place) const {
  // The node alone writes it; atomic_ref takes nothing const before C++26.
  const std::atomic_ref generation(const_cast<std::uint32_t&>(generations_[place.offset / kUnit]));
  return generation.load(std::memory_order_acquire) == place.generation;
}

bool SharedSlab::copy(const wire::Place& place, std::span<const MutableBytes> into) const {
  if (!holds(place) || !unchanged(place)) return false;
  std::uint64_t at = place.offset, left = place.length;
  for (MutableBytes piece : into) {
    while (!piece.empty() && left > 0) {
      // Not from the mapping: a page that the node gave back meanwhile would be taken again, or be a SIGBUS.
      const ssize_t got =
          ::pread(file_.get(), piece.data(), std::min<std::uint64_t>(piece.size(), left), static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      piece = piece.subspan(static_cast<std::size_t>(got));
      at += static_cast<std::uint64_t>(got);
      left -= static_cast<std::uint64_t>(got);
    }
  }
  std::atomic_thread_fence(std::memory_order_acquire);  // the bytes before the generation
  return left == 0 && unchanged(place);
}

std::optional<Bytes> SharedSlab::pinned(const wire::Place& place) const {
  if (!holds(place)) return std::nullopt;
  return Bytes(pages_ + place.offset, place.length);
}

}  // namespace forebay::client
