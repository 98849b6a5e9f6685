// Memory that is kept, or made ready, for objects to come.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "store/arena_fixture.h"
#include "store/slab.h"
#include "store/spares.h"

namespace forebay::store {
namespace {

using core::Plan;
using test::expectRight, test::kOther, test::Kind, test::planOf, test::writeExpected;

class SparesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = io::makePrivileged()->memoryDirectory(256 * kMiB);
    if (!directory) GTEST_SKIP() << directory.error().text();
    directory_ = std::move(*directory);
  }
  // Whole of memory.
  SpareFile file(std::uint64_t size) {
    auto made = SpareFile::create(directory_.directory.get(), std::to_string(next_name_++), size);
    EXPECT_TRUE(made);
    EXPECT_EQ(::fallocate(made->fd(), 0, 0, static_cast<off_t>(size)), 0);
    made->markReady(0, size / kPage);
    return std::move(*made);
  }
  std::uint64_t measured() const {
    struct statfs info{};
    ::fstatfs(directory_.directory.get(), &info);
    return (info.f_blocks - info.f_bfree) * static_cast<std::uint64_t>(info.f_bsize);
  }

  io::MemoryDirectory directory_;
  int next_name_ = 1;
};

TEST_F(SparesTest, aFileKeepsItsWholePagesAndGoesWithItsMemory) {
  {
    SpareFile spare = file(8 * kMiB);
    ASSERT_TRUE(spare.resize(7 * kMiB));
    EXPECT_EQ(spare.bytes(), 6 * kMiB);
    ASSERT_TRUE(spare.resize(20 * kMiB + 5));
    EXPECT_EQ(spare.bytes(), 6 * kMiB);
    const auto parts = std::move(spare).release();
    EXPECT_EQ(parts.ready,
              (std::vector<bool>{true, true, true, false, false, false, false, false, false, false, false}));
    EXPECT_EQ(measured(), 6 * kMiB);
    ::unlinkat(directory_.directory.get(), parts.name.c_str(), 0);
  }
  {
    SpareFile spare = file(8 * kMiB);
    spare.shrinkBy(1);
    EXPECT_EQ(spare.bytes(), 6 * kMiB);
    spare.shrinkBy(3 * kMiB);
    EXPECT_EQ(spare.bytes(), 2 * kMiB);
  }
  EXPECT_EQ(measured(), 0U);
}

TEST_F(SparesTest, takesTheSmallestThatSufficesOrTheLargestBelow) {
  Spares spares;
  for (const std::uint64_t size : {4 * kMiB, 16 * kMiB, 8 * kMiB}) spares.keep(file(size));
  EXPECT_EQ(spares.bytes(), 28 * kMiB);
  EXPECT_FALSE(spares.take(kMiB)) << "all of them are much larger";
  const auto middle = spares.take(7 * kMiB);
  ASSERT_TRUE(middle);
  EXPECT_EQ(middle->size(), 7 * kMiB);
  EXPECT_EQ(middle->bytes(), 6 * kMiB);
  const auto largest = spares.take(40 * kMiB);
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->bytes(), 16 * kMiB);
  EXPECT_EQ(spares.bytes(), 4 * kMiB);
  EXPECT_EQ(measured(), 26 * kMiB);
}

TEST_F(SparesTest, giveBackTheOldestAndNoMoreThanIsAskedFor) {
  Spares spares;
  EXPECT_FALSE(spares.giveBack(1));
  spares.keep(file(8 * kMiB));
  spares.keep(file(4 * kMiB));
  EXPECT_TRUE(spares.giveBack(3 * kMiB));
  EXPECT_EQ(spares.bytes(), 8 * kMiB);
  EXPECT_EQ(measured(), 8 * kMiB);
  EXPECT_TRUE(spares.giveBack(100 * kMiB));
  EXPECT_EQ(spares.bytes(), 0U);
  EXPECT_EQ(measured(), 0U);
}

TEST_F(SparesTest, goBackToTheMachineAfterAWhile) {
  Spares spares;
  spares.keep(file(8 * kMiB));
  for (unsigned i = 0; i < Spares::kAges; ++i) spares.age(2 * kMiB);
  spares.keep(file(4 * kMiB));
  EXPECT_EQ(spares.bytes(), 12 * kMiB);
  spares.age(2 * kMiB);
  EXPECT_EQ(spares.bytes(), 4 * kMiB) << "the young one";
  for (unsigned i = 0; i < Spares::kAges; ++i) spares.age(2 * kMiB);
  EXPECT_EQ(spares.bytes(), 2 * kMiB) << "what is to stay";
  EXPECT_EQ(measured(), 2 * kMiB);
}

TEST_F(SparesTest, areBoundedInNumber) {
  Spares spares;
  const std::uint64_t files = Spares::kMostFiles + 5;
  for (std::uint64_t i = 0; i < files; ++i) spares.keep(file(kPage));
  EXPECT_EQ(spares.bytes(), Spares::kMostFiles * kPage);
  EXPECT_EQ(measured(), spares.bytes());
  EXPECT_TRUE(spares.giveBack(spares.bytes()));
  EXPECT_EQ(measured(), 0U);
}

// ---- in the arena

class ArenaSparesTest : public test::ArenaTest {
 protected:
  void loadAll(Arena& arena, const Plan& plan) {
    for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) ASSERT_TRUE(loadChunk(arena, plan, chunk)) << chunk;
  }
  void expectFileRight(Arena& arena, const Plan& plan) {
    const auto file = arena.exportObject(now_, plan.key);
    ASSERT_TRUE(file) << file.error().text();
    struct stat info{};
    ASSERT_EQ(::fstat(file->get(), &info), 0);
    ASSERT_EQ(static_cast<std::uint64_t>(info.st_size), plan.size);
    std::vector<std::byte> got(plan.size), expected(plan.size);
    ASSERT_EQ(::pread(file->get(), got.data(), got.size(), 0), static_cast<ssize_t>(got.size()));
    writeExpected(plan, 0, expected);
    EXPECT_EQ(got, expected) << plan.path;
  }
  double pages(const char* memory) {
    return static_cast<double>(
        metrics_.counter("forebay_arena_pages_total", "Pages of 2 MiB that objects took.", {{"memory", memory}})
            .value());
  }
  static std::uint64_t makeAll(Arena& arena) {
    std::uint64_t pieces = 0;
    while (auto work = arena.pagesToMakeReady()) {
      EXPECT_FALSE(arena.pagesToMakeReady()) << "one piece at a time";
      work->write();
      arena.madeReady(*work);
      ++pieces;
      EXPECT_LE(arena.measuredBytes(), arena.usedBytes());
    }
    return pieces;
  }
};

TEST_P(ArenaSparesTest, anObjectTakesTheMemoryOfOneThatIsGone) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan first = planOf(1, 16 * kMiB, 21, kOther);
  loadAll(*arena, first);
  expectFileRight(*arena, first);  // what was away, and came home, is used again too
  const std::uint64_t used = arena->usedBytes();
  arena->forget(first.key);
  EXPECT_EQ(arena->stats().spare_bytes, 16 * kMiB);
  EXPECT_EQ(pages("ready"), 0);
  // The same size, smaller with a tail, larger.
  std::uint64_t id = 2;
  for (const std::uint64_t size : {16 * kMiB, 16 * kMiB - 4097, 12 * kMiB + 17, 15 * kMiB, 20 * kMiB + 1}) {
    const Plan next = planOf(id++, size, 21, kOther);
    const double before = pages("ready");
    ASSERT_TRUE(loadChunk(*arena, next, 1));
    EXPECT_EQ(arena->present(next.key, 0).count(), 0U) << "what lies there is another's";
    EXPECT_FALSE(arena->view(now_, next.key, 0, 0, 1));
    for (std::uint32_t chunk = 0; chunk < next.chunks(); ++chunk)
      if (chunk != 1) ASSERT_TRUE(loadChunk(*arena, next, chunk));
    EXPECT_GE(pages("ready") - before, 6) << size;
    EXPECT_EQ(arena->stats().spare_bytes, 0U);
    EXPECT_LE(arena->measuredBytes(), arena->usedBytes());
    expectFileRight(*arena, next);
    arena->forget(next.key);
  }
  EXPECT_LE(arena->usedBytes(), used + 6 * kMiB);
}

TEST_P(ArenaSparesTest, whatOthersHaveIsNobodysSpare) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan first = planOf(1, 16 * kMiB, 21, kOther);
  loadAll(*arena, first);
  const auto file = arena->exportObject(now_, first.key);
  ASSERT_TRUE(file);
  arena->forget(first.key);
  EXPECT_EQ(arena->stats().spare_bytes, 0U);
  loadAll(*arena, planOf(2, 16 * kMiB, 21, kOther));
  std::vector<std::byte> got(first.size), expected(first.size);
  ASSERT_EQ(::pread(file->get(), got.data(), got.size(), 0), static_cast<ssize_t>(got.size()));
  writeExpected(first, 0, expected);
  EXPECT_EQ(got, expected);
}

// A node that has run for a while: what comes as a file takes the memory of what left.
TEST_P(ArenaSparesTest, aFullArenaUsesTheMemoryOfFilesThatLeaveAgain) {
  auto arena = ARENA_OR_SKIP(256 * kMiB);
  constexpr std::uint64_t kObjects = 40, kSize = 16 * kMiB;
  double ready = 0;
  for (std::uint64_t id = 1; id <= kObjects; ++id) {
    const Plan plan = planOf(id, kSize, 23);
    now_ += 10s;  // what leaves hasn't been read for a minute
    for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) {
      ASSERT_TRUE(loadCopy(*arena, plan, chunk)) << id;
      ASSERT_LE(arena->measuredBytes(), arena->capacityBytes());
    }
    expectFileRight(*arena, plan);
    if (id == kObjects / 2) ready = pages("ready");
  }
  EXPECT_EQ(arena->stats().not_admitted, 0U);
  constexpr std::uint64_t kAtLeast = (kObjects / 2) * (kSize / kPage - 2);
  EXPECT_GE(pages("ready") - ready, static_cast<double>(kAtLeast))
      << "all but what the index's room takes, a page at a time";
}

TEST_P(ArenaSparesTest, ofALargeFileOnlyWhatIsWantedLeaves) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan large = planOf(1, 24 * kMiB, 21);
  for (std::uint32_t chunk = 0; chunk < large.chunks(); ++chunk) ASSERT_TRUE(loadCopy(*arena, large, chunk));
  ASSERT_TRUE(arena->exportObject(now_, large.key));
  now_ += 120s;
  for (std::uint64_t id = 2; id < 22; ++id) ASSERT_TRUE(loadChunk(*arena, planOf(id, 2 * kMiB, 21), 0));
  EXPECT_EQ(arena->stats().spare_bytes, 0U);
  std::uint32_t left = 0;
  for (std::uint32_t chunk = 0; chunk < large.chunks(); ++chunk) left += arena->present(large.key, chunk).count() == 0;
  EXPECT_GT(left, 0U);
  EXPECT_LT(left, 6U);
}

TEST_P(ArenaSparesTest, goesBeforeAnythingLeavesForRoom) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan gone = planOf(1, 30 * kMiB, 21);
  loadAll(*arena, gone);
  arena->forget(gone.key);
  const Plan begun = planOf(2, 30 * kMiB, 21);
  ASSERT_TRUE(loadChunk(*arena, begun, 3)) << "takes the memory, and needs one page of it";
  EXPECT_EQ(arena->stats().spare_bytes, 28 * kMiB);
  for (std::uint64_t id = 10; id < 38; ++id) {
    ASSERT_TRUE(loadChunk(*arena, planOf(id, 2 * kMiB, 21), 0)) << id;
    ASSERT_LE(arena->measuredBytes(), arena->capacityBytes());
  }
  EXPECT_EQ(arena->stats().evicted_units, 15U) << "those of the first object, which was forgotten";
  EXPECT_EQ(arena->stats().not_admitted, 0U);
  for (std::uint64_t id = 10; id < 38; ++id) EXPECT_NE(arena->present(planOf(id, 2 * kMiB, 21).key, 0).count(), 0U);
  const auto view = arena->view(now_, begun.key, 3, 0, 2 * kMiB);
  ASSERT_TRUE(view);
  expectRight(begun, 3, 0, *view);
}

TEST_P(ArenaSparesTest, makesPagesReadyForTheNextObject) {
  int wanted = 0;
  auto arena = ARENA_OR_SKIP(256 * kMiB, 0, [&wanted] { ++wanted; });
  EXPECT_FALSE(arena->pagesToMakeReady()) << "nobody has used it";
  const Plan first = planOf(1, 8 * kMiB, 21, kOther), next = planOf(2, 8 * kMiB, 21, kOther);
  loadAll(*arena, first);
  EXPECT_EQ(wanted, 1);
  EXPECT_EQ(makeAll(*arena), 4U) << "a sixteenth of the arena, in pieces of 4 MiB";
  EXPECT_EQ(arena->stats().spare_bytes, 16 * kMiB);
  loadAll(*arena, next);
  EXPECT_EQ(pages("ready"), 4);
  EXPECT_EQ(pages("fresh"), 4);
  expectFileRight(*arena, next);
  EXPECT_EQ(makeAll(*arena), 2U);
  for (unsigned i = 0; i <= Spares::kAges; ++i) arena->ageSpares();
  EXPECT_EQ(arena->stats().spare_bytes, 16 * kMiB) << "what is wanted stays";
}

TEST_P(ArenaSparesTest, makesNoneWhereThereIsLittleRoom) {
  auto arena = ARENA_OR_SKIP(256 * kMiB);
  for (std::uint64_t id = 1; id <= 14; ++id) loadAll(*arena, planOf(id, 16 * kMiB, 21, kOther));
  auto work = arena->pagesToMakeReady();
  EXPECT_FALSE(work) << "30 MiB are free";
  arena->forget(planOf(1, 16 * kMiB, 21, kOther).key);
  EXPECT_FALSE(arena->pagesToMakeReady()) << "there is one already";
}

TEST_P(ArenaSparesTest, givesUpWhatIsBeingMadeWhenRoomIsWanted) {
  auto arena = ARENA_OR_SKIP(256 * kMiB);
  loadAll(*arena, planOf(1, 16 * kMiB, 21, kOther));
  auto work = arena->pagesToMakeReady();
  ASSERT_TRUE(work);
  work->write();
  arena->madeReady(*work);
  work = arena->pagesToMakeReady();
  ASSERT_TRUE(work);
  // A second piece is being written while everything else fills up.
  for (std::uint64_t id = 2; id <= 40; ++id) {
    loadAll(*arena, planOf(id, 8 * kMiB, 21, kOther));
    ASSERT_LE(arena->usedBytes(), arena->capacityBytes());
  }
  work->write();
  ASSERT_LE(arena->measuredBytes(), arena->capacityBytes());
  arena->madeReady(*work);
  EXPECT_FALSE(arena->pagesToMakeReady());
  loadAll(*arena, planOf(41, 8 * kMiB, 21, kOther));
  expectFileRight(*arena, planOf(41, 8 * kMiB, 21, kOther));
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArenaSparesTest, ::testing::Values(Kind{"Tmpfs", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace forebay::store
