// The arena: the bytes that a node holds in RAM, under one cap.
//
//   arena->addMount(mount, {.cls = CacheClass::Dataset});
//   Reservation fill = TRY(arena->reserve(now, plan, {.chunk = 3, .runs = {0, 32}}));
//   receive into fill.roomAt(0) ...; fill.commit(crcs);          // whole runs are there for readers at once
//   if (auto view = arena->view(now, plan.key, 3, offset, length)) send(view->pieces());
//
// Places. An object of 2 MiB and more has an object region (store/region.h): its bytes at their own offsets, memory in
// whole 2 MiB pages. Everything else lies in slab extents (store/slab.h): small objects, runs that wait until their
// page is whole (then they move, copied once), and all objects where there is no tmpfs or no descriptor left for one.
// A fill of a whole page goes straight to its region.
//
// The cap. Whatever the arena takes counts: object files by st_blocks, slab pages, the index (estimated), and what
// dropped regions still hold in other processes' hands. usedBytes() <= capacity, always; reserve() makes room by
// core/eviction.h or says Busy.
//
// What leaves together is a unit: a chunk, or the two 1 MiB chunks of a 2 MiB page. Of an object that was read as a
// file, and that others own, all units leave together, up to an eighth of the capacity: less than all of it is no file,
// and its memory is the next one's. A unit in use (a View or a Reservation lives) never leaves; forget() makes it
// invisible at once and frees it after its last use; evict() lets it be.
//
// Integrity: a granule's CRC32C comes with commit() and goes with views; the arena itself computes none.
//
// Threading: one thread (the node's loop) for every call, and for the death of Views and Reservations; none may outlive
// the arena. Bytes inside a live Reservation may be written, and those of a live View read, by any thread.
// Cost: view() is a hash and a tree lookup, and allocates nothing up to View::kInline pieces. reserve() may evict, and
// copies at most 2 MiB for each page that it makes whole.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "core/eviction.h"
#include "core/runs.h"
#include "core/types.h"
#include "io/privileged.h"

namespace forebay::store {

struct ArenaOptions {
  std::uint64_t capacity_bytes = 0;  // at least kMinArena
  // Where object regions live, from io::Privileged; none: slabs only. Whatever is in it belongs to a dead process and
  // is deleted; a lock in it keeps two arenas apart (Busy).
  std::optional<io::MemoryDirectory> directory;
  // Each takes a descriptor and a mapping. 0: a quarter of RLIMIT_NOFILE. Objects beyond live in slabs.
  std::uint32_t max_object_regions = 0;
  // Of the capacity, that exported objects take at most, those that have left the arena since included.
  std::uint32_t max_exported_percent = 50;
  // Of the capacity, that clients may pin at most (pinForClient). 0: they don't get the slabs either.
  std::uint32_t max_pinned_percent = 25;
  core::EvictionOptions eviction;  // its capacity is the arena's
  // Called when pagesToMakeReady() may have some: from within reserve(), so it only posts.
  std::function<void()> wants_pages;
};
constexpr std::uint64_t kMinArena = 8 * kMiB;

struct ArenaStats {
  std::uint64_t capacity = 0, used = 0;
  std::uint64_t region_bytes = 0;         // of them in object regions
  std::uint64_t spare_bytes = 0;          // of them kept, or made ready, for objects to come: free room
  std::uint64_t slab_bytes = 0;           // populated slab pages
  std::uint64_t slab_free = 0;            // of them not in any extent
  std::uint64_t index_bytes = 0;          // estimated
  std::uint64_t outside_bytes = 0;        // dropped regions that others still hold
  std::uint64_t exported_bytes = 0;       // of regions that others may hold, and that are still here
  std::uint64_t transit_bytes = 0;        // charged to transit copies
  std::uint64_t pinned_bytes = 0;         // charged to units in use
  std::uint64_t client_pinned_bytes = 0;  // of them, to units that clients have pinned
  std::uint64_t objects = 0, units = 0, regions = 0;
  std::uint64_t evicted_bytes = 0, evicted_units = 0;
  std::uint64_t refused = 0;       // reserve() said Busy
  std::uint64_t not_admitted = 0;  // fills that became transit copies for want of a share
};

namespace detail {
struct Unit;
}
class Arena;

// Contiguous bytes of the arena, and where a sendfile finds them: its pages are used again, so whoever sends by
// reference keeps the View until the peer has the bytes.
struct Piece {
  Bytes bytes;
  int fd = -1;
  std::uint64_t file_offset = 0;
};

// Bytes that are there, and stay where they are while it lives.
class View {
 public:
  static constexpr std::size_t kInline = 4;  // pieces without an allocation
  View(View&& other) noexcept;
  View& operator=(View&& other) noexcept;
  ~View() { release(); }

  std::span<const Piece> pieces() const {
    return more_.empty() ? std::span<const Piece>(few_.data(), count_) : std::span<const Piece>(more_);
  }
  std::uint32_t size() const { return length_; }
  // CRC32C of the granules that hold any of the bytes, in order; the first one is granule offset / 64 KiB of the chunk.
  std::uint32_t granules() const { return end_granule_ - first_granule_; }
  std::uint32_t crc(std::uint32_t i) const;

  // The pin alone, for whoever sends later. To be dropped on the arena's thread.
  std::shared_ptr<const void> keepAlive() &&;

 private:
  friend class Arena;
  View() = default;
  void release();
  void add(const Piece& piece);

  Arena* arena_ = nullptr;
  detail::Unit* unit_ = nullptr;
  std::uint32_t length_ = 0;
  std::uint32_t first_granule_ = 0, end_granule_ = 0;  // in the unit
  std::size_t count_ = 0;
  std::array<Piece, kInline> few_;
  std::vector<Piece> more_;
};

// Places for missing runs of one chunk. What isn't committed when it dies is missing again.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { abandon(); }

  std::uint32_t chunkOffset() const { return chunk_offset_; }  // where it starts in the chunk
  std::uint32_t size() const { return size_; }                 // bytes; the chunk's last run may be short
  std::uint32_t granules() const;
  std::span<const MutableBytes> spans() const { return spans_; }
  // The contiguous room from byte `offset` of the reservation; empty at its end.
  MutableBytes roomAt(std::uint32_t offset) const;

  // The next crcs.size() granules have been written whole, with these checksums. Readers see whole runs (and the
  // chunk's last one) as soon as all their granules are committed.
  void commit(std::span<const std::uint32_t> crcs);
  std::uint32_t committedGranules() const { return committed_; }
  std::uint32_t committedBytes() const;
  bool complete() const { return committed_ == granules(); }
  core::RunRange runs() const { return runs_; }  // of the chunk
  // False after forget(): the bytes may still be written and viewed by nobody.
  bool wanted() const;
  void abandon();

 private:
  friend class Arena;
  Arena* arena_ = nullptr;
  detail::Unit* unit_ = nullptr;
  core::RunRange runs_;
  std::uint32_t chunk_offset_ = 0, size_ = 0;
  std::uint32_t first_granule_ = 0;  // in the unit
  std::uint32_t committed_ = 0, published_ = 0;
  std::vector<MutableBytes> spans_;
};

// A piece of a file of the arena that belongs to no object yet: to be written once, by any thread, so that an object
// that comes finds memory there.
class PagesToMakeReady {
 public:
  void write();  // milliseconds

 private:
  friend class Arena;
  PagesToMakeReady(io::Descriptor file, std::uint64_t offset, std::uint64_t bytes)
      : file_(std::move(file)), offset_(offset), bytes_(bytes) {}
  io::Descriptor file_;
  std::uint64_t offset_, bytes_;
  std::uint64_t written_ = 0;
};

struct ReserveRequest {
  std::uint32_t chunk = 0;
  core::RunRange runs;   // all of them missing
  bool transit = false;  // a peer's chunk
  bool copy = false;     // not in transit, but others own it: it leaves before what they don't
};

// The slabs as a file: pages, and behind them the generations, a u32 for each 4 KiB of pages.
struct SlabFile {
  io::Descriptor file;
  std::uint64_t id = 0;
  std::uint64_t page_bytes = 0;
};
struct SlabPlace {
  std::uint64_t offset = 0;
  std::uint32_t generation = 0;
};

// What leaves by name: all versions of the mount's objects at and below a path ("" is all of the mount), but units in
// use, which are counted. In steps, so that other work gets between them:
//   Sweep sweep{.mount = mount, .path = "train"};
//   while (!sweep.done) arena->evict(sweep, 256);
// What comes while it goes on may stay.
struct Sweep {
  core::MountId mount = 0;
  std::string path;
  bool done = false;
  std::uint64_t bytes = 0, objects = 0;                // that left; objects of which anything did
  std::uint64_t in_use_bytes = 0, in_use_objects = 0;  // that stayed
  std::string last_path = {};                          // where it goes on: after this object
  core::ObjectKey last_key = {};
  bool started = false;
};

class Arena {
 public:
  static Result<std::unique_ptr<Arena>> create(ArenaOptions options, Metrics& metrics);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Unsupported for classes that this version doesn't have.
  Status addMount(core::MountId mount, core::CachePolicy policy);
  void removeMount(core::MountId mount);  // what it holds may leave, and stays until then
  void jobEnded(TimePoint now, core::MountId mount);

  // Busy: nothing may leave for it now, or a run of them is in another reservation. InvalidArgument: no such runs, an
  // unknown mount, or more than an arena of this size can ever hold. Internal: the runs aren't all missing.
  Result<Reservation> reserve(TimePoint now, const core::Plan& plan, const ReserveRequest& request);

  // None: not all of [offset, offset + length) of the chunk is there. Counts as a read of it.
  std::optional<View> view(TimePoint now, const core::ObjectKey& key, std::uint32_t chunk, std::uint32_t offset,
                           std::uint32_t length);

  // What is here of the chunk as a transit copy is to stay, if its mount's share allows it.
  // As a copy of what others own, if `copy`; otherwise, what was such a copy isn't one any more.
  void keep(TimePoint now, const core::ObjectKey& key, std::uint32_t chunk, bool copy = false);

  core::RunSet present(const core::ObjectKey& key, std::uint32_t chunk) const;
  // Bytes held of each chunk, by index, up to the last one that has any.
  std::vector<std::uint64_t> held(const core::ObjectKey& key) const;
  void forget(const core::ObjectKey& key);
  // The next `max_objects` of a sweep; see Sweep.
  void evict(Sweep& sweep, std::size_t max_objects);

  // A read-only descriptor of a complete object's region, for another process or the kernel. As long as anybody has it
  // open or mapped the object stays, as far as room is concerned; by name it leaves whole. Counts as a read of all of
  // it. NotFound: not complete in a region. Busy: exported objects have their share already. Unsupported: whyNoFiles().
  Result<io::Descriptor> exportObject(TimePoint now, const core::ObjectKey& key);
  // Whether that can work once the object is complete: Unsupported if it never will, Busy if there is no share left.
  Status mayExport(const core::Plan& plan);
  std::string whyNoFiles() const;  // empty: objects can be exported

  // Memory for the next objects, found and cleared off the loop: as much as the last object takes, within a sixteenth
  // of the arena and 256 MiB, if twice that is free. One piece at a time: made ready, or not, it comes back.
  std::optional<PagesToMakeReady> pagesToMakeReady();
  void madeReady(const PagesToMakeReady& pages);
  // Called at even intervals: memory of objects that are gone goes back to the machine, after a few of them.
  void ageSpares();

  // ---- slabs that clients read in place (arena_share.cc; store/slab.h says how they know that bytes are right)

  // All slabs as a file for a client of this machine, read-only. Unsupported: there is no tmpfs, or nobody may pin.
  Result<SlabFile> exportSlab() const;
  std::uint64_t slabId() const;  // of that file; 0: it can't be had
  // Where the bytes of a piece are in it, and since when. The piece is all of one run's, or less. Nothing: not there.
  std::optional<SlabPlace> placeOf(const Piece& piece) const;
  // What the view shows stays as it is until this dies, as with keepAlive(), and counts against max_pinned_percent, as
  // all of its unit, once for all who pin that. Busy: beyond the bound; the view is let go.
  Result<std::shared_ptr<const void>> pinForClient(View view);

  std::uint64_t capacityBytes() const { return options_.capacity_bytes; }
  std::uint64_t usedBytes() const;
  ArenaStats stats() const;
  // What an operator should know: where the memory comes from.
  const std::string& note() const { return note_; }

  // As the kernel counts, and file by file: for tests of the cap. Slow.
  std::uint64_t measuredBytes() const;

 private:
  friend class View;
  friend class Reservation;
  struct Impl;
  Arena(ArenaOptions options, Metrics& metrics);

  ArenaOptions options_;
  std::string note_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace forebay::store
