// For tests of the arena: objects of known bytes, and arenas of each kind, with a tmpfs and on slabs alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <unistd.h>
#include <vector>

#include "base/checksum.h"
#include "base/hash.h"
#include "io/privileged.h"
#include "store/arena.h"

namespace forebay::store::test {

using core::CacheClass;
using core::Plan;
using core::RunRange;

constexpr core::MountId kMount = 7, kOther = 8;

inline Plan planOf(std::uint64_t id, std::uint64_t size, std::uint32_t chunk_bits = 23, core::MountId mount = kMount) {
  Plan plan;
  plan.mount = mount;
  plan.path = std::to_string(id);
  plan.version = "1";
  plan.key = core::objectKey(bytesOf("secret"), "mount", plan.path, plan.version, size, chunk_bits);
  plan.size = size;
  plan.chunk_bits = chunk_bits;
  return plan;
}

// What an object's bytes are: any granule of any object differs from any other.
inline void writeExpected(const Plan& plan, std::uint64_t offset, MutableBytes into) {
  const std::uint64_t seed = hash64(plan.path);
  for (std::size_t i = 0; i < into.size();) {
    const std::uint64_t word = mix64(seed + offset / 8);
    const std::size_t skip = offset % 8, take = std::min(8 - skip, into.size() - i);
    std::memcpy(into.data() + i, reinterpret_cast<const std::byte*>(&word) + skip, take);
    i += take;
    offset += take;
  }
}

// Fills what was reserved, up to `granules` of it.
inline void fill(const Plan& plan, std::uint32_t chunk, Reservation& reservation, std::uint32_t granules) {
  const std::uint64_t start = (std::uint64_t{chunk} << plan.chunk_bits) + reservation.chunkOffset();
  std::uint32_t offset = reservation.committedBytes();
  const std::uint32_t end = std::min(reservation.size(), granules * core::kGranule);
  while (offset < end) {
    std::vector<std::byte> granule(std::min<std::uint32_t>(core::kGranule, reservation.size() - offset));
    writeExpected(plan, start + offset, granule);
    for (std::size_t done = 0; done < granule.size();) {
      const MutableBytes room = reservation.roomAt(offset + static_cast<std::uint32_t>(done));
      const std::size_t take = std::min(room.size(), granule.size() - done);
      std::copy_n(granule.begin() + static_cast<std::ptrdiff_t>(done), take, room.begin());
      done += take;
    }
    const std::uint32_t crc = crc32c(granule);
    reservation.commit(std::span(&crc, 1));
    offset += static_cast<std::uint32_t>(granule.size());
  }
}

inline void expectRight(const Plan& plan, std::uint32_t chunk, std::uint32_t offset, const View& view) {
  std::uint64_t at = (std::uint64_t{chunk} << plan.chunk_bits) + offset;
  std::size_t bytes = 0;
  for (const Piece& piece : view.pieces()) {
    std::vector<std::byte> expected(piece.bytes.size());
    writeExpected(plan, at, expected);
    ASSERT_TRUE(std::ranges::equal(expected, piece.bytes)) << plan.path << " at " << at;
    std::vector<std::byte> from_file(std::min<std::size_t>(piece.bytes.size(), 64));
    ASSERT_EQ(::pread(piece.fd, from_file.data(), from_file.size(), static_cast<off_t>(piece.file_offset)),
              static_cast<ssize_t>(from_file.size()));
    ASSERT_TRUE(std::ranges::equal(from_file, piece.bytes.first(from_file.size()))) << "what sendfile would send";
    at += piece.bytes.size();
    bytes += piece.bytes.size();
  }
  ASSERT_EQ(bytes, view.size());
}

struct Kind {
  const char* name;
  bool tmpfs;
};
class ArenaTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Arena> make(std::uint64_t capacity, std::uint32_t max_regions = 0,
                              std::function<void()> wants_pages = {}) {
    ArenaOptions options{.capacity_bytes = capacity, .max_object_regions = max_regions};
    options.wants_pages = std::move(wants_pages);
    if (GetParam().tmpfs) {
      auto directory = io::makePrivileged()->memoryDirectory(capacity);
      if (!directory) return nullptr;
      options.directory = std::move(*directory);
    }
    auto arena = Arena::create(std::move(options), metrics_);
    EXPECT_TRUE(arena) << arena.error().text();
    EXPECT_TRUE((*arena)->addMount(kMount, {.cls = CacheClass::Dataset}));
    EXPECT_TRUE((*arena)->addMount(kOther, {.cls = CacheClass::Hot}));
    return std::move(*arena);
  }
  Status load(Arena& arena, const Plan& plan, std::uint32_t chunk, RunRange runs, bool transit = false) {
    Reservation got = TRY(arena.reserve(now_, plan, {.chunk = chunk, .runs = runs, .transit = transit}));
    fill(plan, chunk, got, got.granules());
    return {};
  }
  Status loadChunk(Arena& arena, const Plan& plan, std::uint32_t chunk, bool transit = false) {
    return load(arena, plan, chunk, {0, static_cast<std::uint32_t>(divideUp(plan.chunkLength(chunk), core::kRun))},
                transit);
  }
  Status loadCopy(Arena& arena, const Plan& plan, std::uint32_t chunk) {
    const auto runs = static_cast<std::uint32_t>(divideUp(plan.chunkLength(chunk), core::kRun));
    Reservation got = TRY(arena.reserve(now_, plan, {.chunk = chunk, .runs = {0, runs}, .copy = true}));
    fill(plan, chunk, got, got.granules());
    return {};
  }
  // Other objects come, of a mount that always replaces.
  void pressOut(Arena& arena, std::uint64_t first_id, std::uint64_t end) {
    for (std::uint64_t id = first_id; id < end; ++id) {
      now_ += 2s;
      ASSERT_TRUE(loadChunk(arena, planOf(id, 2 * kMiB, 21, kOther), 0)) << id;
      ASSERT_LE(arena.measuredBytes(), arena.capacityBytes()) << "what others still hold counts";
    }
  }

  Metrics metrics_;
  TimePoint now_ = TimePoint{} + 1000s;
};

#define ARENA_OR_SKIP(...) \
  make(__VA_ARGS__);       \
  if (arena == nullptr) GTEST_SKIP() << "this user may not mount a tmpfs"

}  // namespace forebay::store::test
