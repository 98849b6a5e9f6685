#include "store/region.h"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"

namespace forebay::store {

Result<std::unique_ptr<ObjectRegion>> ObjectRegion::create(int directory, SpareFile file) {
  const std::uint64_t size = file.size();
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0);
  if (base == MAP_FAILED) return failErrno("map an object's file in the arena", errno);
  ::madvise(base, size, MADV_DONTDUMP);
  return std::unique_ptr<ObjectRegion>(
      new ObjectRegion(directory, std::move(file).release(), static_cast<std::byte*>(base), size));
}

ObjectRegion::ObjectRegion(int directory, SpareFile::Parts file, std::byte* base, std::uint64_t size)
    : directory_(directory),
      name_(std::move(file.name)),
      fd_(std::move(file.fd)),
      base_(base),
      size_(size),
      ready_(std::move(file.ready)) {
  for (std::uint64_t index = 0; index < ready_.size(); ++index)
    if (ready_[index]) ready_bytes_ += pageBytes(index);
  count();
}

ObjectRegion::~ObjectRegion() {
  if (fd_.valid()) ::unlinkat(directory_, name_.c_str(), 0);
  ::munmap(base_, size_);
}

SpareFile ObjectRegion::intoSpare() && {
  assert(pages_ == 0 && !away_);
  return {directory_, std::move(name_), std::move(fd_), size_, std::move(ready_)};
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

void ObjectRegion::setReady(std::uint64_t index, bool ready) {
  if (ready_[index] == ready) return;
  ready_[index] = ready;
  if (ready)
    ready_bytes_ += pageBytes(index);
  else
    ready_bytes_ -= pageBytes(index);
}

bool ObjectRegion::reservePage(std::uint64_t index) {
  if (ready_[index]) {
    setReady(index, false);
    ++pages_;
    return true;
  }
  int failed = 0;
  do {
    failed = ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(index * kPage),
                         static_cast<off_t>(pageLength(index)));
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

void ObjectRegion::punch(std::uint64_t first_page, std::uint64_t pages) {
  // Up to the page's end, also beyond the file's: a tail's memory goes whole.
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first_page * kPage),
                  static_cast<off_t>(pages * kPage)) != 0)
    log::warn("arena", "punch a hole in the arena's tmpfs: {}: its memory stays counted", ::strerrordesc_np(errno));
}

void ObjectRegion::freePage(std::uint64_t index) {
  assert(pages_ != 0);
  --pages_;
  if (away_) return;
  if (retired_) return setReady(index, true);
  punch(index, 1);
  count();
}

void ObjectRegion::freeReady() {
  if (ready_bytes_ == 0) return;
  for (std::uint64_t index = 0; index < ready_.size(); ++index) {
    const std::uint64_t first = index;
    for (; index < ready_.size() && ready_[index]; ++index) setReady(index, false);
    if (index != first) punch(first, index - first);
  }
  count();
}

void ObjectRegion::retire() {
  if (!away_) retired_ = true;
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
