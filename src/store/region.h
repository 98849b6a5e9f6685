// An object region: one sparse file in the arena's tmpfs for one version of an object, its bytes at their own offsets.
//
// Memory comes and goes in whole aligned 2 MiB pages, or the file's tail: reserved by fallocate, so that a full arena
// is an error (ENOSPC) and not a SIGBUS at the first touch, and counted by st_blocks, as the kernel counts it. The file
// is mapped whole; only reserved pages may be touched.
//
// A region of which others may have a descriptor (another process, the kernel) is away: it is never punched, truncated
// or reused, because a mapping outlives its file handle, and a hole punched then showed a reader zeros (tested). It
// comes home when the kernel says that nobody else has it: it grants a write lease only while no other open file of it
// exists, be that in a process, behind a mapping, in a message under way, or in a FUSE connection (fcntl(2),
// F_SETLEASE; tested). One that is destroyed while it is away is unlinked and closed whole; its memory comes back when
// its last foreign user is gone. Where leases can't be had, what was away once stays away.
//
// A region may begin with the memory of another that is gone (store/spares.h): such pages are ready, taken without a
// call to the kernel once they are reserved, and free room until then.
//
// Threading: one thread; bytes of reserved pages may be read and written by others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/descriptor.h"
#include "store/slab.h"
#include "store/spares.h"

namespace forebay::store {

class ObjectRegion {
 public:
  // `directory`: of the tmpfs; must stay open as long as the region lives. `file`: of the object's size.
  static Result<std::unique_ptr<ObjectRegion>> create(int directory, SpareFile file);
  ~ObjectRegion();  // unlinks
  ObjectRegion(const ObjectRegion&) = delete;
  ObjectRegion& operator=(const ObjectRegion&) = delete;

  // What page `index` takes: 2 MiB, or what the tail needs.
  std::uint64_t pageBytes(std::uint64_t index) const;
  bool reservePage(std::uint64_t index);  // false: no memory
  void freePage(std::uint64_t index);     // keeps the memory of a region that is away
  bool ready(std::uint64_t index) const { return ready_[index]; }
  std::uint64_t readyBytes() const { return ready_bytes_; }
  void freeReady();  // gives back what is ready
  // The object is gone: what is freed from now on becomes ready, for intoSpare(). Not of one that is away.
  void retire();
  bool retired() const { return retired_; }
  SpareFile
  intoSpare() &&;  // the file with what is ready in it; nothing of it is reserved. No call but destruction after

  std::byte* at(std::uint64_t offset) const { return base_ + offset; }
  int fd() const { return fd_.get(); }
  std::uint64_t pages() const { return pages_; }             // reserved now
  std::uint64_t blockBytes() const { return block_bytes_; }  // as the kernel counts, after the last change
  bool away() const { return away_; }
  bool hasBeenAway() const { return away_ || tells_; }
  bool mayComeHome() const { return away_ && tells_; }
  bool comeHome();  // whether it isn't away now. A few microseconds

  // A descriptor for others, opened for reading through `read_only_directory` (a read-only mount of the same tmpfs).
  Result<io::Descriptor> openForOthers(int read_only_directory);

 private:
  ObjectRegion(int directory, SpareFile::Parts file, std::byte* base, std::uint64_t size);
  std::uint64_t pageLength(std::uint64_t index) const { return std::min<std::uint64_t>(kPage, size_ - index * kPage); }
  void setReady(std::uint64_t index, bool ready);
  void punch(std::uint64_t first_page, std::uint64_t pages);
  void count();
  bool alone() const;

  int directory_;
  std::string name_;
  io::Descriptor fd_;
  std::byte* base_;
  std::uint64_t size_;
  std::uint64_t pages_ = 0;
  std::uint64_t block_bytes_ = 0;
  std::vector<bool> ready_;
  std::uint64_t ready_bytes_ = 0;
  bool retired_ = false;
  bool away_ = false;
  bool tells_ = false;  // whether the kernel says who else has it
};

}  // namespace forebay::store
