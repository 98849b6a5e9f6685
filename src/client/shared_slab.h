// The slabs of this machine's node, as a file that the node gave: where a Read's answer says that bytes are
// (wire/read.h, "Places"), they are copied from here, without the node, or looked at in place while the node holds them
// (pinned).
//
// What is copied may leave the node's memory meanwhile: its generation tells (store/slab.h), and then it is read again.
// A forked child has neither the mapping nor the file. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "io/descriptor.h"
#include "wire/read.h"

namespace forebay::client {

class SharedSlab {
 public:
  // Null: it can't be mapped, or is smaller than that.
  static std::shared_ptr<const SharedSlab> of(io::Descriptor file, std::uint64_t id, std::uint64_t page_bytes);
  ~SharedSlab();
  SharedSlab(const SharedSlab&) = delete;
  SharedSlab& operator=(const SharedSlab&) = delete;

  std::uint64_t id() const { return id_; }
  std::uint32_t name() const { return static_cast<std::uint32_t>(id_); }  // in a Read; not 0

  // Copies the bytes of a place into `into`, which together is as long. False: they aren't there any more, or never
  // were, and what is in `into` means nothing.
  bool copy(const wire::Place& place, std::span<const MutableBytes> into) const;
  // Bytes that the node holds, in place. Nothing: there is no such place.
  std::optional<Bytes> pinned(const wire::Place& place) const;

 private:
  SharedSlab(io::Descriptor file, std::uint64_t id, std::uint64_t page_bytes)
      : file_(std::move(file)), id_(id), page_bytes_(page_bytes) {}
  bool map();
  bool holds(const wire::Place& place) const;
  bool unchanged(const wire::Place& place) const;

  io::Descriptor file_;
  const std::uint64_t id_;
  const std::uint64_t page_bytes_;
  const std::byte* pages_ = nullptr;
  const std::uint32_t* generations_ = nullptr;
};

}  // namespace forebay::client
