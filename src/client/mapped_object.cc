#include "client/mapped_object.h"

#include <sys/mman.h>
#include <sys/stat.h>

namespace forebay::client {
namespace {
constexpr std::uint64_t kPopulated = kGiB;  // more is mapped as it is read: small pages take a second for 100 GB
}

std::shared_ptr<const MappedObject> MappedObject::of(int file, std::uint64_t size, bool in_children) {
  struct stat about{};
  // Beyond its end a mapping is a SIGBUS, so its size isn't believed.
  if (size == 0 || ::fstat(file, &about) != 0 || !S_ISREG(about.st_mode) ||
      static_cast<std::uint64_t>(about.st_size) < size)
    return nullptr;
  void* const base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) return nullptr;
  std::shared_ptr<const MappedObject> object(new MappedObject(static_cast<const std::byte*>(base), size));
  if (!in_children && ::madvise(base, size, MADV_DONTFORK) != 0) return nullptr;
  (void)::madvise(base, std::min(size, kPopulated), MADV_POPULATE_READ);  // where the kernel can: 5.14
  return object;
}

MappedObject::~MappedObject() {
  ::munmap(const_cast<std::byte*>(base_), size_);
}

}  // namespace forebay::client
