// A whole object's bytes, mapped for reading from a file that the node gave (Client::region): what it holds never
// changes, whatever the node does, and its memory is the node's until the last mapping is gone. Any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace forebay::client {

class MappedObject {
 public:
  // Null: it can't be mapped, or isn't of that size. The descriptor isn't needed any more afterwards. A forked child
  // doesn't have the mapping, unless `in_children`: else it would keep the node's memory without knowing.
  static std::shared_ptr<const MappedObject> of(int file, std::uint64_t size, bool in_children = false);
  ~MappedObject();
  MappedObject(const MappedObject&) = delete;
  MappedObject& operator=(const MappedObject&) = delete;

  Bytes bytes() const { return {base_, size_}; }
  Bytes bytes(std::uint64_t offset, std::uint64_t length) const { return {base_ + offset, length}; }

 private:
  MappedObject(const std::byte* base, std::uint64_t size) : base_(base), size_(size) {}
  const std::byte* const base_;
  const std::uint64_t size_;
};

}  // namespace forebay::client
