// A whole object's bytes, mapped for reading from a file that the client gave (client::Client::region): what it holds
// never changes. Any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace forebay::fuse {

class MappedObject {
 public:
  // Null: it can't be mapped, or isn't of that size. The descriptor isn't needed any more afterwards.
  static std::shared_ptr<const MappedObject> of(int file, std::uint64_t size);
  ~MappedObject();
  MappedObject(const MappedObject&) = delete;
  MappedObject& operator=(const MappedObject&) = delete;

  Bytes bytes(std::uint64_t offset, std::uint64_t length) const { return {base_ + offset, length}; }

 private:
  MappedObject(const std::byte* base, std::uint64_t size) : base_(base), size_(size) {}
  const std::byte* const base_;
  const std::uint64_t size_;
};

}  // namespace forebay::fuse
