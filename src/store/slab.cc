#include "store/slab.h"

#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/random.h"

namespace forebay::store {

// ---- the allocator

SlabAllocator::FreeRun SlabAllocator::findRun(const Page& page, std::uint32_t wanted) {
  FreeRun best, run;
  auto close = [&] {
    if (run.length > best.length) best = run;
    run.length = 0;
  };
  for (std::uint32_t unit = 0; unit < kUnitsPerPage;) {
    const std::uint64_t word = page.taken[unit / 64] >> (unit % 64);
    const std::uint32_t in_word = 64 - unit % 64;
    const auto taken = std::min<std::uint32_t>(static_cast<std::uint32_t>(std::countr_one(word)), in_word);
    if (taken != 0) {
      close();
      if (best.length >= wanted) return best;
      unit += taken;
      continue;
    }
    const auto free = std::min<std::uint32_t>(static_cast<std::uint32_t>(std::countr_zero(word)), in_word);
    if (run.length == 0) run.first = unit;
    run.length += free;
    unit += free;
  }
  close();
  return best;
}

void SlabAllocator::mark(Page& page, const SlabExtent& extent, bool taken) {
  for (std::uint32_t unit = extent.first; unit < std::uint32_t{extent.first} + extent.units; ++unit) {
    const std::uint64_t bit = std::uint64_t{1} << (unit % 64);
    assert(((page.taken[unit / 64] & bit) != 0) != taken);
    page.taken[unit / 64] ^= bit;
  }
  if (taken) {
    page.free = static_cast<std::uint16_t>(page.free - extent.units);
    free_units_ -= extent.units;
  } else {
    page.free = static_cast<std::uint16_t>(page.free + extent.units);
    free_units_ += extent.units;
  }
}

void SlabAllocator::reindex(std::uint32_t number) {
  Page& page = pages_[number];
  const auto longest = static_cast<std::uint16_t>(findRun(page, kUnitsPerPage).length);
  if (longest == page.longest) return;
  by_longest_.erase({page.longest, number});
  page.longest = longest;
  if (longest != 0) by_longest_.insert({longest, number});
}

std::optional<SlabExtent> SlabAllocator::allocate(std::uint32_t units, std::optional<std::uint32_t> except) {
  assert(units >= 1 && units <= kUnitsPerPage);
  auto found = by_longest_.lower_bound({static_cast<std::uint16_t>(units), 0});
  if (found != by_longest_.end() && except && found->second == *except) ++found;
  if (found == by_longest_.end()) return std::nullopt;
  const std::uint32_t number = found->second;
  const FreeRun run = findRun(pages_[number], units);
  const SlabExtent extent{number, static_cast<std::uint16_t>(run.first), static_cast<std::uint16_t>(units)};
  mark(pages_[number], extent, true);
  reindex(number);
  return extent;
}

void SlabAllocator::free(const SlabExtent& extent) {
  mark(pages_[extent.page], extent, false);
  reindex(extent.page);
}

std::optional<std::uint32_t> SlabAllocator::addPage() {
  std::uint32_t number = next_;
  if (!unpopulated_below_.empty()) {
    number = *unpopulated_below_.begin();
    unpopulated_below_.erase(unpopulated_below_.begin());
  } else if (next_ == pages_.size()) {
    return std::nullopt;
  } else {
    ++next_;
  }
  Page& page = pages_[number];
  page.populated = true;
  page.free = page.longest = kUnitsPerPage;
  by_longest_.insert({page.longest, number});
  ++populated_;
  free_units_ += kUnitsPerPage;
  return number;
}

void SlabAllocator::removePage(std::uint32_t number) {
  Page& page = pages_[number];
  assert(page.populated && page.free == kUnitsPerPage);
  by_longest_.erase({page.longest, number});
  page.populated = false;
  page.free = page.longest = 0;
  unpopulated_below_.insert(number);
  --populated_;
  free_units_ -= kUnitsPerPage;
}

std::optional<std::uint32_t> SlabAllocator::emptyPage() const {
  if (by_longest_.empty() || by_longest_.rbegin()->first != kUnitsPerPage) return std::nullopt;
  return by_longest_.rbegin()->second;
}

// ---- its memory

namespace {

Result<io::Descriptor> makeFile(int directory) {
  if (directory >= 0) {
    io::Descriptor fd(::openat(directory, SlabRegion::kFile, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return failErrno("make a file for the arena's slabs", errno);
    return fd;
  }
  io::Descriptor fd(::memfd_create("forebay-slab", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return failErrno("memfd_create for the arena's slabs", errno);
  return fd;
}

}  // namespace

Result<std::unique_ptr<SlabRegion>> SlabRegion::create(std::uint64_t max_bytes, int directory) {
  const std::uint64_t size = roundUp(std::max<std::uint64_t>(max_bytes, kPage), kPage);
  const std::uint64_t table = directory >= 0 ? roundUp(size / kUnit * sizeof(std::uint32_t), kUnit) : 0;
  io::Descriptor fd = TRY(makeFile(directory));
  if (::ftruncate(fd.get(), static_cast<off_t>(size + table)) != 0) return failErrno("size the arena's slabs", errno);
  // 2 MiB alignment, so that the kernel can give 2 MiB pages: map more, keep the aligned part.
  void* wide = ::mmap(nullptr, size + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (wide == MAP_FAILED) return failErrno("reserve addresses for the arena's slabs", errno);
  const std::size_t before = kPage - reinterpret_cast<std::uintptr_t>(wide) % kPage;  // 1 to kPage
  std::byte* aligned = static_cast<std::byte*>(wide) + before;
  if (::mmap(aligned, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd.get(), 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(wide, size + kPage);
    return failErrno("map the arena's slabs", error);
  }
  ::munmap(wide, before);
  if (before != kPage) ::munmap(aligned + size, kPage - before);
  ::madvise(aligned, size, MADV_HUGEPAGE);  // refused where the machine gives none: then 4 KiB pages, reused
  ::madvise(aligned, size, MADV_DONTDUMP);  // a core file must not hold the cache, nor the data
  auto region =
      std::unique_ptr<SlabRegion>(new SlabRegion(std::move(fd), aligned, static_cast<std::uint32_t>(size / kPage)));
  if (directory >= 0) {
    region->directory_ = directory;
    region->table_bytes_ = table;
    TRY(region->makeTable());
  } else if (::fcntl(region->fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return failErrno("seal the arena's slabs", errno);
  }
  return region;
}

Status SlabRegion::makeTable() {
  const auto at = static_cast<off_t>(pageBytes());
  if (::fallocate(fd_.get(), 0, at, static_cast<off_t>(table_bytes_)) != 0)
    return failErrno("take memory for the generations of the arena's slabs", errno);
  void* const table = ::mmap(nullptr, table_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), at);
  if (table == MAP_FAILED) return failErrno("map the generations of the arena's slabs", errno);
  generations_ = static_cast<std::uint32_t*>(table);
  while (static_cast<std::uint32_t>(id_) == 0) id_ = systemRandom();
  table_bytes_ = blockBytes();  // which is what it takes: nothing else is populated yet
  return {};
}

SlabRegion::~SlabRegion() {
  ::munmap(base_, pageBytes());
  if (generations_ != nullptr) ::munmap(generations_, roundUp(pageBytes() / kUnit * sizeof(std::uint32_t), kUnit));
  if (directory_ >= 0) ::unlinkat(directory_, kFile, 0);
}

std::uint32_t SlabRegion::generationAt(std::uint64_t offset) const {
  return std::atomic_ref(generations_[offset / kUnit]).load(std::memory_order_relaxed);
}

void SlabRegion::free(const SlabExtent& extent) {
  if (shared()) {
    std::uint32_t* const first = generations_ + std::uint64_t{extent.page} * kUnitsPerPage + extent.first;
    for (std::uint32_t unit = 0; unit < extent.units; ++unit) {
      const std::atomic_ref generation(first[unit]);
      generation.store(generation.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // before any byte that is written there next
  }
  allocator_.free(extent);
}

Result<io::Descriptor> SlabRegion::openForOthers(int read_only_directory) const {
  if (!shared()) return fail(Code::Unsupported, "the arena's slabs aren't in a tmpfs");
  io::Descriptor fd(::openat(read_only_directory, kFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return failErrno("open the arena's slabs for others", errno);
  return fd;
}

bool SlabRegion::populate() {
  const std::optional<std::uint32_t> page = allocator_.addPage();
  if (!page) return false;
  // fallocate says ENOSPC or ENOMEM now; a first touch would say SIGBUS later
  if (::fallocate(fd_.get(), 0, static_cast<off_t>(std::uint64_t{*page} * kPage), kPage) == 0) return true;
  allocator_.removePage(*page);
  return false;
}

bool SlabRegion::giveBack() {
  const std::optional<std::uint32_t> page = allocator_.emptyPage();
  if (!page) return false;
  const auto offset = static_cast<off_t>(std::uint64_t{*page} * kPage);
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, kPage) != 0) return false;
  allocator_.removePage(*page);
  return true;
}

std::uint64_t SlabRegion::blockBytes() const {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return bytes();
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace forebay::store
