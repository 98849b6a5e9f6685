// For tests: requests as the kernel would send them.
#pragma once

#include <cstring>
#include <linux/fuse.h>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace forebay::fuse {

class RequestBuilder {
 public:
  RequestBuilder(std::uint32_t opcode, std::uint64_t unique, std::uint64_t node = FUSE_ROOT_ID) {
    header_.opcode = opcode;
    header_.unique = unique;
    header_.nodeid = node;
    add(header_);
  }
  template <class T>
  RequestBuilder& add(const T& part) {
    const auto* raw = reinterpret_cast<const std::byte*>(&part);
    bytes_.insert(bytes_.end(), raw, raw + sizeof part);
    return *this;
  }
  // With its NUL.
  RequestBuilder& name(std::string_view text) {
    const Bytes raw = bytesOf(text);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
    bytes_.push_back(std::byte{0});
    return *this;
  }
  std::vector<std::byte> build() {
    header_.len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return bytes_;
  }

 private:
  fuse_in_header header_{};
  std::vector<std::byte> bytes_;
};

}  // namespace forebay::fuse
