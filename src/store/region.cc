#include "store/region.h"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"

namespace forebay::store {

Result<std::unique_ptr<ObjectRegion>> ObjectRegion::create(int directory, std::string name, std::uint64_t size) {
  io::Descriptor fd(::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return failErrno("make a file for an object in the arena", errno);
  auto undo = [&](const char* what) {
    const int error = errno;
    ::unlinkat(directory, name.c_str(), 0);
    return failErrno(what, error);
  };
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return undo("size an object's file in the arena");
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return undo("map an object's file in the arena");
  ::madvise(base, size, MADV_DONTDUMP);
  return std::unique_ptr<ObjectRegion>(
      new ObjectRegion(directory, std::move(name), std::move(fd), static_cast<std::byte*>(base), size));
}

ObjectRegion::~ObjectRegion() {
  ::unlinkat(directory_, name_.c_str(), 0);
  ::munmap(base_, size_);
}

std::uint64_t ObjectRegion::pageBytes(std::uint64_t index) const {
  const std::uint64_t start = index * kPage;
  assert(start < size_);
  return std::min<std::uint64_t>(kPage, roundUp(size_ - start, kUnit));
}

void ObjectRegion::count() {
  struct stat info{};
  if (::fstat(fd_.get(), &info) == 0) block_bytes_ = static_cast<std::uint64_t>(info.st_blocks) * 512;
}

bool ObjectRegion::reservePage(std::uint64_t index) {
  const std::uint64_t start = index * kPage;
  const std::uint64_t length = std::min<std::uint64_t>(kPage, size_ - start);
  int failed = 0;
  do {
    failed = ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(start), static_cast<off_t>(length));
  } while (failed != 0 && errno == EINTR);
  const int error = errno;
  count();
  if (failed == 0) {
    ++pages_;
    return true;
  }
  if (error != ENOSPC && error != ENOMEM)
    log::warn("arena", "fallocate in the arena's tmpfs: {}: treated as a full arena", ::strerrordesc_np(error));
  return false;
}

void ObjectRegion::freePage(std::uint64_t index) {
  assert(pages_ != 0);
  --pages_;
  if (away_) return;
  // Up to the page's end, also beyond the file's: a tail's memory goes whole.
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(index * kPage), kPage) != 0)
    log::warn("arena", "punch a hole in the arena's tmpfs: {}: its memory stays counted", ::strerrordesc_np(errno));
  count();
}

bool ObjectRegion::alone() const {
  if (::fcntl(fd_.get(), F_SETLEASE, F_WRLCK) != 0) return false;
  (void)::fcntl(fd_.get(), F_SETLEASE, F_UNLCK);
  return true;
}

bool ObjectRegion::comeHome() {
  if (mayComeHome() && alone()) away_ = false;
  return !away_;
}

Result<io::Descriptor> ObjectRegion::openForOthers(int read_only_directory) {
  if (!away_) tells_ = alone();  // it is
  io::Descriptor fd(::openat(read_only_directory, name_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return failErrno("open an object of the arena for others", errno);
  away_ = true;
  return fd;
}

}  // namespace forebay::store
