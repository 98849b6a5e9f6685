#include "frontend/fuse/mapped_object.h"

#include <sys/mman.h>
#include <sys/stat.h>

namespace forebay::fuse {

std::shared_ptr<const MappedObject> MappedObject::of(int file, std::uint64_t size) {
  struct stat about{};
  // Beyond its end a mapping is a SIGBUS, so its size isn't believed.
  if (size == 0 || ::fstat(file, &about) != 0 || !S_ISREG(about.st_mode) ||
      static_cast<std::uint64_t>(about.st_size) < size)
    return nullptr;
  void* const base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) return nullptr;
  return std::shared_ptr<const MappedObject>(new MappedObject(static_cast<const std::byte*>(base), size));
}

MappedObject::~MappedObject() {
  ::munmap(const_cast<std::byte*>(base_), size_);
}

}  // namespace forebay::fuse
