#include "store/spares.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/bytes.h"
#include "store/slab.h"

namespace forebay::store {

Result<SpareFile> SpareFile::create(int directory, std::string name, std::uint64_t size) {
  io::Descriptor fd(::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return failErrno("make a file for an object in the arena", errno);
  SpareFile made(directory, std::move(name), std::move(fd), size, {});
  if (::ftruncate(made.fd(), static_cast<off_t>(size)) != 0)
    return failErrno("size an object's file in the arena", errno);
  return made;
}

SpareFile::SpareFile(int directory, std::string name, io::Descriptor fd, std::uint64_t size, std::vector<bool> ready)
    : directory_(directory), name_(std::move(name)), fd_(std::move(fd)), size_(size), ready_(std::move(ready)) {
  ready_.resize(divideUp(size_, kPage));
  count();
}

SpareFile& SpareFile::operator=(SpareFile&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(ready_, other.ready_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SpareFile::~SpareFile() {
  if (fd_.valid()) ::unlinkat(directory_, name_.c_str(), 0);
}

void SpareFile::count() {
  struct stat info{};
  if (::fstat(fd_.get(), &info) == 0) bytes_ = static_cast<std::uint64_t>(info.st_blocks) * 512;
}

Status SpareFile::resize(std::uint64_t size) {
  if (size == size_) return {};
  // To whole pages first: a page cut in the middle would keep all of its memory, or be taken apart.
  const std::uint64_t kept = roundDown(std::min(size, size_), kPage);
  if (::ftruncate(fd_.get(), static_cast<off_t>(kept)) != 0 || ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
    return failErrno("size an object's file in the arena", errno);
  size_ = size;
  ready_.resize(kept / kPage);
  ready_.resize(divideUp(size, kPage));
  count();
  return {};
}

void SpareFile::shrinkBy(std::uint64_t bytes) {
  const std::uint64_t goal = bytes_ > bytes ? bytes_ - bytes : 0;
  while (bytes_ > goal && size_ != 0) {
    const std::uint64_t cut = std::max<std::uint64_t>(roundDown(bytes_ - goal, kPage), kPage);
    const std::uint64_t last = roundUp(size_, kPage);
    if (!resize(last > cut ? last - cut : 0)) return;
  }
}

void SpareFile::markReady(std::size_t first_page, std::size_t pages) {
  std::fill_n(ready_.begin() + static_cast<std::ptrdiff_t>(first_page), pages, true);
  count();
}

SpareFile::Parts SpareFile::release() && {
  return {std::move(name_), std::move(fd_), std::move(ready_)};
}

void Spares::remove(std::list<Kept>::iterator kept) {
  bytes_ -= kept->file.bytes();
  files_.erase(kept);
}

void Spares::keep(SpareFile file) {
  if (file.bytes() == 0) return;
  if (files_.size() == kMostFiles) remove(files_.begin());
  bytes_ += file.bytes();
  files_.push_back({std::move(file)});
}

std::optional<SpareFile> Spares::take(std::uint64_t size) {
  auto best = files_.end();
  for (auto i = files_.begin(); i != files_.end(); ++i) {
    const std::uint64_t bytes = i->file.bytes(), most = best == files_.end() ? 0 : best->file.bytes();
    if (bytes > 2 * size) continue;  // it would be cut for little
    if (bytes >= size ? most < size || bytes < most : bytes > most) best = i;
  }
  if (best == files_.end()) return std::nullopt;
  std::optional<SpareFile> file(std::move(best->file));
  bytes_ -= file->bytes();
  files_.erase(best);
  if (!file->resize(size)) return std::nullopt;
  return file;
}

bool Spares::giveBack(std::uint64_t bytes) {
  if (files_.empty()) return false;
  while (bytes != 0 && !files_.empty()) {
    SpareFile& oldest = files_.front().file;
    const std::uint64_t had = oldest.bytes();
    if (had > bytes) oldest.shrinkBy(bytes);
    const std::uint64_t left = had > bytes ? oldest.bytes() : 0;
    bytes_ -= had - left;
    if (left == 0 || left == had) {  // also one that doesn't shrink
      bytes_ -= left;
      files_.pop_front();
      bytes -= std::min(bytes, had);
    } else {
      bytes -= std::min(bytes, had - left);
    }
  }
  return true;
}

void Spares::age(std::uint64_t at_least) {
  for (Kept& kept : files_) ++kept.age;
  while (!files_.empty() && files_.front().age > kAges && bytes_ > at_least)
    giveBack(std::min(files_.front().file.bytes(), bytes_ - at_least));
}

}  // namespace forebay::store
