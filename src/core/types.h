// The words of the protocol as types: objects, chunks, plans, nodes. Plain values, equal everywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace forebay::core {

constexpr std::uint32_t kGranule = 64 * kKiB;  // the unit of checksums
constexpr std::uint32_t kRun = 256 * kKiB;     // the unit of fills: 4 granules
constexpr std::uint32_t kSlots = 65'536;       // places of a cell
constexpr std::uint32_t kMinChunkBits = 20, kMaxChunkBits = 26, kDefaultChunkBits = 23;  // 1, 64 and 8 MiB

using Slot = std::uint16_t;
using NodeId = std::uint32_t;   // of a member: hash of its name, so that it survives changes of the map
using MountId = std::uint32_t;  // hash of the mount's name
constexpr NodeId kNoNode = 0;

NodeId nodeIdOf(std::string_view name);  // never kNoNode
MountId mountIdOf(std::string_view name);

// Names one version of one object: 128 bits of HMAC-SHA256(mount's secret, mount, path, version, size, chunk size).
// Whoever has the secret can check that a key belongs to what it claims to name; nobody else can make one.
struct ObjectKey {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const ObjectKey&) const = default;
};

// A chunk of an object version: the first 128 bits of HMAC-SHA256(object key, index).
struct ChunkId {
  std::uint64_t hi = 0, lo = 0;
  auto operator<=>(const ChunkId&) const = default;
};

// What a client needs to read an object directly. Immutable: a new version has another plan.
struct Plan {
  MountId mount = 0;
  std::string path;     // in the mount, without a slash at its start
  std::string version;  // the origin's word for it (ETag; for a directory its inode, size, mtime and ctime)
  ObjectKey key;
  std::uint64_t size = 0;
  std::uint32_t chunk_bits = kDefaultChunkBits;
  Slot first_slot = 0;        // of chunk 0: the path's
  std::int64_t mtime_ns = 0;  // since 1970; shown, never decided by
  std::uint32_t copies = 1;   // that the cell keeps of each chunk (read_copies); a hint: whom to ask as well

  std::uint64_t chunkSize() const { return std::uint64_t{1} << chunk_bits; }
  std::uint32_t chunks() const { return static_cast<std::uint32_t>(divideUp(size, chunkSize())); }
  std::uint32_t chunkLength(std::uint32_t index) const {  // bytes of chunk `index`; the last may be shorter
    const std::uint64_t start = std::uint64_t{index} << chunk_bits;
    const std::uint64_t left = size > start ? size - start : 0;
    return static_cast<std::uint32_t>(left < chunkSize() ? left : chunkSize());
  }
  bool operator==(const Plan&) const = default;
};
using SharedPlan = std::shared_ptr<const Plan>;

// Where a name lives: the top 16 bits of hash64(mount name, 0, path). Golden vectors hold it.
Slot slotOfPath(std::string_view mount, std::string_view path);

ObjectKey objectKey(Bytes secret, std::string_view mount, std::string_view path, std::string_view version,
                    std::uint64_t size, std::uint32_t chunk_bits);
ChunkId chunkId(const ObjectKey& key, std::uint32_t index);
// Of chunk `index` of an object: the plan's first slot for chunk 0, the top 16 bits of its id for every other.
Slot slotOfChunk(const ObjectKey& key, Slot first_slot, std::uint32_t index);

// A range inside one chunk.
struct ChunkRange {
  std::uint32_t chunk = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  auto operator<=>(const ChunkRange&) const = default;
};

}  // namespace forebay::core
