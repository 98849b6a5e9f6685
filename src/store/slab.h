// Slab memory: one file cut into 2 MiB pages, and these into extents of 4 KiB units: for small objects, for runs that
// wait until their 2 MiB page is whole, and for everything where there is no tmpfs.
//
// A page is populated (counted) when it is first needed and given back to the kernel when it is empty and room is
// needed elsewhere. An extent lies within one page; bytes of a held extent stay where they are until it is freed.
// It belongs to one tenant for life: an arena has one today.
//
// The file is the tmpfs's where there is one, and can be shared: a read-only mount gives descriptors that nobody can
// write through. (A memfd can't: F_SEAL_FUTURE_WRITE, which would hold that, forbids punching pages out as well.)
// Without a tmpfs it is a memfd, sealed against shrinking and growing, that no other process gets.
//
// Generations. Behind the pages a shared file has a table: a u32 for each unit, one more each time its extent is freed
// or moved, before that memory can be used again. Who copies from the file without holding the extent looks at the
// generation of the extent's first unit afterwards: if it is what it was told, so are the bytes. Such a reader copies
// by pread(2), never through a mapping: a fault on a page that was given back meanwhile would take memory for it, or
// end in SIGBUS where the tmpfs is full; pread gives zeros, which the generation then tells from bytes.
//
// Best fit: the page whose longest free run is the shortest that suffices, first fit in it.
//
// Threading: one thread; bytes of extents may be read and written by others.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::store {

constexpr std::uint32_t kPage = 2 * kMiB;
constexpr std::uint32_t kUnit = 4 * kKiB;
constexpr std::uint32_t kUnitsPerPage = kPage / kUnit;

struct SlabExtent {
  std::uint32_t page = 0;
  std::uint16_t first = 0;  // unit in the page
  std::uint16_t units = 0;
  std::uint64_t bytes() const { return std::uint64_t{units} * kUnit; }
  auto operator<=>(const SlabExtent&) const = default;
};

// Which units are taken. Pure: knows numbers of pages, no memory.
class SlabAllocator {
 public:
  explicit SlabAllocator(std::uint32_t max_pages) : pages_(max_pages) {}

  // In a populated page that isn't `except`; units: 1 to kUnitsPerPage.
  std::optional<SlabExtent> allocate(std::uint32_t units, std::optional<std::uint32_t> except = {});
  void free(const SlabExtent& extent);

  std::optional<std::uint32_t> addPage();  // the number of the page to populate; none: all are
  void removePage(std::uint32_t page);     // an empty one
  std::optional<std::uint32_t> emptyPage() const;

  std::uint32_t populatedPages() const { return populated_; }
  std::uint64_t freeUnits() const { return free_units_; }
  std::uint32_t usedUnits(std::uint32_t page) const { return kUnitsPerPage - pages_[page].free; }
  bool populated(std::uint32_t page) const { return pages_[page].populated; }
  std::uint64_t memoryBytes() const { return pages_.size() * sizeof(Page); }  // that it takes itself
  std::uint32_t maxPages() const { return static_cast<std::uint32_t>(pages_.size()); }

 private:
  struct Page {
    std::array<std::uint64_t, kUnitsPerPage / 64> taken{};
    std::uint16_t free = 0;
    std::uint16_t longest = 0;  // free run
    bool populated = false;
  };
  struct FreeRun {
    std::uint32_t first = 0, length = 0;
  };
  // The first free run of at least `wanted` units, or the longest (length < wanted).
  static FreeRun findRun(const Page& page, std::uint32_t wanted);
  void mark(Page& page, const SlabExtent& extent, bool taken);
  void reindex(std::uint32_t number);

  std::vector<Page> pages_;
  std::set<std::pair<std::uint16_t, std::uint32_t>> by_longest_;  // populated pages with room
  std::set<std::uint32_t> unpopulated_below_;                     // numbers below next_ that were given back
  std::uint32_t next_ = 0;
  std::uint32_t populated_ = 0;
  std::uint64_t free_units_ = 0;
};

class SlabRegion {
 public:
  static constexpr const char* kFile = "slab";
  // Reserves address space for `max_bytes` (rounded up to pages), and no memory but for the table. `directory`: of the
  // tmpfs, open as long as this lives; -1: there is none.
  static Result<std::unique_ptr<SlabRegion>> create(std::uint64_t max_bytes, int directory = -1);
  ~SlabRegion();
  SlabRegion(const SlabRegion&) = delete;
  SlabRegion& operator=(const SlabRegion&) = delete;

  SlabAllocator& allocator() { return allocator_; }
  // From now on its bytes may change: their generations have.
  void free(const SlabExtent& extent);
  bool populate();  // one more page; false: the kernel has no memory for it
  // Gives one empty page back; false: there is none.
  bool giveBack();
  std::uint64_t bytes() const { return std::uint64_t{allocator_.populatedPages()} * kPage; }  // that count in the cap
  std::uint64_t tableBytes() const { return table_bytes_; }                                   // of the generations
  std::uint64_t blockBytes() const;  // all, as the kernel counts

  std::byte* at(const SlabExtent& extent) const {
    return base_ + std::uint64_t{extent.page} * kPage + std::uint64_t{extent.first} * kUnit;
  }
  int fd() const { return fd_.get(); }
  std::uint64_t offsetOf(const std::byte* byte) const { return static_cast<std::uint64_t>(byte - base_); }

  bool shared() const { return generations_ != nullptr; }
  std::uint64_t id() const { return id_; }  // never another slab's, nor its lower half 0; 0: it isn't shared
  std::uint64_t pageBytes() const { return std::uint64_t{allocator_.maxPages()} * kPage; }  // where the table begins
  std::uint32_t generationAt(std::uint64_t offset) const;
  Result<io::Descriptor> openForOthers(int read_only_directory) const;

 private:
  SlabRegion(io::Descriptor fd, std::byte* base, std::uint32_t pages)
      : fd_(std::move(fd)), base_(base), allocator_(pages) {}
  Status makeTable();

  io::Descriptor fd_;
  std::byte* base_;
  int directory_ = -1;
  std::uint32_t* generations_ = nullptr;
  std::uint64_t table_bytes_ = 0;
  std::uint64_t id_ = 0;
  SlabAllocator allocator_;
};

}  // namespace forebay::store
