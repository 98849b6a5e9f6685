#include "core/types.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"

namespace forebay::core {
namespace {

std::uint32_t idOf(std::string_view name) {
  const auto id = static_cast<std::uint32_t>(hash64(name) >> 32);
  return id == 0 ? 1 : id;
}

// Fields with their lengths in front, so that ("ab", "c") and ("a", "bc") differ.
class Message {
 public:
  Message& text(std::string_view s) {
    number(s.size());
    append(bytesOf(s));
    return *this;
  }
  Message& number(std::uint64_t n) {
    std::byte raw[8];
    storeLe(raw, n);
    append(raw);
    return *this;
  }
  Bytes bytes() const { return buffer_; }

 private:
  void append(Bytes b) { buffer_.insert(buffer_.end(), b.begin(), b.end()); }
  std::vector<std::byte> buffer_;
};

}  // namespace

NodeId nodeIdOf(std::string_view name) {
  return idOf(name);
}
MountId mountIdOf(std::string_view name) {
  return idOf(name);
}

Slot slotOfPath(std::string_view mount, std::string_view path) {
  std::string joined;
  joined.reserve(mount.size() + 1 + path.size());
  joined.append(mount).push_back('\0');
  joined.append(path);
  return static_cast<Slot>(hash64(joined) >> 48);
}

ObjectKey objectKey(Bytes secret, std::string_view mount, std::string_view path, std::string_view version,
                    std::uint64_t size, std::uint32_t chunk_bits) {
  const Digest digest =
      hmacSha256(secret, Message().text(mount).text(path).text(version).number(size).number(chunk_bits).bytes());
  ObjectKey key;
  std::copy_n(digest.begin(), key.bytes.size(), key.bytes.begin());
  return key;
}

ChunkId chunkId(const ObjectKey& key, std::uint32_t index) {
  const Digest digest = hmacSha256(key.bytes, Message().number(index).bytes());
  // Big-endian, so that the "top 16 bits" are the first two bytes of the digest in any language.
  const auto word = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | std::to_integer<std::uint64_t>(digest[at + i]);
    return value;
  };
  return {word(0), word(8)};
}

Slot slotOfChunk(const ObjectKey& key, Slot first_slot, std::uint32_t index) {
  return index == 0 ? first_slot : static_cast<Slot>(chunkId(key, index).hi >> 48);
}

}  // namespace forebay::core
