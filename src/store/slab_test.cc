#include "store/slab.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.h"
#include "io/privileged.h"

namespace forebay::store {
namespace {

TEST(SlabAllocator, hasNothingUntilAPageIsAdded) {
  SlabAllocator slab(2);
  EXPECT_FALSE(slab.allocate(1));
  EXPECT_EQ(slab.addPage(), 0U);
  EXPECT_EQ(slab.emptyPage(), 0U);
  EXPECT_EQ(slab.allocate(kUnitsPerPage), (SlabExtent{0, 0, kUnitsPerPage}));
  EXPECT_FALSE(slab.allocate(1));
  EXPECT_EQ(slab.addPage(), 1U);
  EXPECT_FALSE(slab.addPage()) << "there are two";
}

TEST(SlabAllocator, fitsWhereTheLeastRoomIsLeft) {
  SlabAllocator slab(3);
  slab.addPage();
  slab.addPage();
  const auto large = slab.allocate(400);
  const auto small = slab.allocate(100);
  ASSERT_TRUE(large && small);
  EXPECT_EQ(large->page, small->page) << "112 units are left there, 512 in the other";
  EXPECT_NE(slab.allocate(13)->page, large->page);
  EXPECT_EQ(slab.allocate(12)->page, large->page);
}

TEST(SlabAllocator, joinsWhatWasFreed) {
  SlabAllocator slab(1);
  slab.addPage();
  std::vector<SlabExtent> extents;
  for (int i = 0; i < 8; ++i) extents.push_back(*slab.allocate(64));
  for (int i : {1, 3, 2}) slab.free(extents[static_cast<std::size_t>(i)]);
  EXPECT_EQ(slab.allocate(192), (SlabExtent{0, 64, 192}));
}

TEST(SlabAllocator, neverGivesAUnitTwice) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    SlabAllocator slab(6);
    std::map<std::pair<std::uint32_t, std::uint32_t>, SlabExtent> held;  // by page and first unit
    std::uint64_t units = 0;
    for (int i = 0; i < 20'000; ++i) {
      const std::uint64_t dice = random.below(100);
      if (dice < 50) {
        const auto wanted = static_cast<std::uint32_t>(1 + random.below(random.chance(100'000) ? 512 : 40));
        const auto got = slab.allocate(wanted);
        if (!got) {
          if (random.chance(300'000)) slab.addPage();
          continue;
        }
        ASSERT_EQ(got->units, wanted);
        ASSERT_LE(got->first + got->units, kUnitsPerPage);
        auto after = held.lower_bound({got->page, got->first});
        if (after != held.end() && after->first.first == got->page)
          ASSERT_LE(got->first + got->units, after->first.second) << "seed " << seed;
        if (after != held.begin() && std::prev(after)->first.first == got->page)
          ASSERT_LE(std::prev(after)->second.first + std::prev(after)->second.units, got->first) << "seed " << seed;
        held[{got->page, got->first}] = *got;
        units += wanted;
      } else if (dice < 98 && !held.empty()) {
        auto victim = held.lower_bound(
            {static_cast<std::uint32_t>(random.below(6)), static_cast<std::uint32_t>(random.below(512))});
        if (victim == held.end()) victim = held.begin();
        units -= victim->second.units;
        slab.free(victim->second);
        held.erase(victim);
      } else if (const auto empty = slab.emptyPage()) {
        slab.removePage(*empty);
      }
      ASSERT_EQ(slab.freeUnits(), std::uint64_t{slab.populatedPages()} * kUnitsPerPage - units) << "seed " << seed;
    }
  }
}

TEST(SlabRegion, takesMemoryPageByPageAndGivesItBack) {
  auto made = SlabRegion::create(16 * kMiB);
  ASSERT_TRUE(made);
  SlabRegion& slab = **made;
  EXPECT_EQ(slab.blockBytes(), 0U);
  ASSERT_TRUE(slab.populate());
  ASSERT_TRUE(slab.populate());
  EXPECT_EQ(slab.blockBytes(), 2 * kPage);
  const auto extent = slab.allocator().allocate(10);
  std::memset(slab.at(*extent), 7, extent->bytes());
  EXPECT_TRUE(slab.giveBack());
  EXPECT_FALSE(slab.giveBack()) << "the other page is in use";
  EXPECT_EQ(slab.blockBytes(), kPage);
  EXPECT_EQ(slab.bytes(), kPage);
  EXPECT_EQ(*slab.at(*extent), std::byte{7});
  EXPECT_NE(::ftruncate(slab.fd(), kPage), 0) << "sealed: nobody takes pages from under a mapping";
}

std::unique_ptr<SlabRegion> sharedSlab(const io::MemoryDirectory& directory, std::uint64_t bytes) {
  auto made = SlabRegion::create(bytes, directory.directory.get());
  EXPECT_TRUE(made) << made.error().text();
  return made ? std::move(*made) : nullptr;
}

TEST(SharedSlabRegion, isReadByOthersAndWrittenByNobodyElse) {
  const auto directory = io::makePrivileged()->memoryDirectory(32 * kMiB);
  if (!directory) GTEST_SKIP() << directory.error().text();
  const auto slab = sharedSlab(*directory, 16 * kMiB);
  ASSERT_TRUE(slab->populate());
  const auto extent = slab->allocator().allocate(10);
  std::memset(slab->at(*extent), 7, extent->bytes());
  const auto file = slab->openForOthers(directory->read_only.get());
  ASSERT_TRUE(file) << file.error().text();
  char byte = 0;
  ASSERT_EQ(::pread(file->get(), &byte, 1, static_cast<off_t>(slab->offsetOf(slab->at(*extent)))), 1);
  EXPECT_EQ(byte, 7);
  const std::string again = "/proc/self/fd/" + std::to_string(file->get());
  EXPECT_LT(::open(again.c_str(), O_RDWR | O_CLOEXEC), 0) << "through the read-only mount";
  EXPECT_NE(::ftruncate(file->get(), 0), 0);
  EXPECT_EQ(::mmap(nullptr, kPage, PROT_WRITE, MAP_SHARED, file->get(), 0), MAP_FAILED);
  EXPECT_EQ(slab->blockBytes(), slab->bytes() + slab->tableBytes());
  slab->free(*extent);
  EXPECT_TRUE(slab->giveBack()) << "sharing doesn't keep its memory";
  EXPECT_EQ(slab->blockBytes(), slab->tableBytes());
  ASSERT_EQ(::pread(file->get(), &byte, 1, static_cast<off_t>(slab->offsetOf(slab->at(*extent)))), 1);
  EXPECT_EQ(slab->blockBytes(), slab->tableBytes()) << "who reads what was given back takes no memory";
}

TEST(SharedSlabRegion, countsTheGenerationsOfWhatIsFreed) {
  const auto directory = io::makePrivileged()->memoryDirectory(32 * kMiB);
  if (!directory) GTEST_SKIP() << directory.error().text();
  const auto slab = sharedSlab(*directory, 4 * kMiB);
  ASSERT_TRUE(slab->populate());
  ASSERT_TRUE(slab->populate());
  Random random(1);
  std::map<std::uint64_t, std::uint32_t> freed;  // by unit
  for (int i = 0; i < 1'000; ++i) {
    std::vector<SlabExtent> held;
    for (int k = 0; k < 5; ++k)
      if (const auto got = slab->allocator().allocate(static_cast<std::uint32_t>(1 + random.below(200))))
        held.push_back(*got);
    for (const SlabExtent& extent : held) {
      for (std::uint32_t unit = 0; unit < extent.units; ++unit)
        ++freed[std::uint64_t{extent.page} * kUnitsPerPage + extent.first + unit];
      slab->free(extent);
    }
  }
  for (std::uint64_t unit = 0; unit < std::uint64_t{2} * kUnitsPerPage; ++unit)
    ASSERT_EQ(slab->generationAt(unit * kUnit), freed[unit]) << unit;
}

}  // namespace
}  // namespace forebay::store
