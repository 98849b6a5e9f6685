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
// Threading: one thread; bytes of reserved pages may be read and written by others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "io/descriptor.h"
#include "store/slab.h"

namespace forebay::store {

class ObjectRegion {
 public:
  // `directory`: of the tmpfs; must stay open as long as the region lives. `name` is new in it.
  static Result<std::unique_ptr<ObjectRegion>> create(int directory, std::string name, std::uint64_t size);
  ~ObjectRegion();  // unlinks
  ObjectRegion(const ObjectRegion&) = delete;
  ObjectRegion& operator=(const ObjectRegion&) = delete;

  // What page `index` takes: 2 MiB, or what the tail needs.
  std::uint64_t pageBytes(std::uint64_t index) const;
  bool reservePage(std::uint64_t index);  // false: no memory
  void freePage(std::uint64_t index);     // keeps the memory of a region that is away

  std::byte* at(std::uint64_t offset) const { return base_ + offset; }
  int fd() const { return fd_.get(); }
  std::uint64_t pages() const { return pages_; }             // reserved now
  std::uint64_t blockBytes() const { return block_bytes_; }  // as the kernel counts, after the last change
  bool away() const { return away_; }
  bool mayComeHome() const { return away_ && tells_; }
  bool comeHome();  // whether it isn't away now. A few microseconds

  // A descriptor for others, opened for reading through `read_only_directory` (a read-only mount of the same tmpfs).
  Result<io::Descriptor> openForOthers(int read_only_directory);

 private:
  ObjectRegion(int directory, std::string name, io::Descriptor fd, std::byte* base, std::uint64_t size)
      : directory_(directory), name_(std::move(name)), fd_(std::move(fd)), base_(base), size_(size) {}
  void count();
  bool alone() const;

  int directory_;
  std::string name_;
  io::Descriptor fd_;
  std::byte* base_;
  std::uint64_t size_;
  std::uint64_t pages_ = 0;
  std::uint64_t block_bytes_ = 0;
  bool away_ = false;
  bool tells_ = false;  // whether the kernel says who else has it
};

}  // namespace forebay::store
