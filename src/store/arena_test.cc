#include "store/arena.h"

#include <gmock/gmock.h>
#include <map>
#include <set>
#include <sys/mman.h>

#include "base/random.h"
#include "store/arena_fixture.h"
#include "store/slab.h"

namespace forebay::store {
namespace {

using core::Plan;
using test::expectRight, test::fill, test::Kind, test::kOther, test::planOf, test::writeExpected;

class ArenaTest : public test::ArenaTest {};

// What only object regions do.
class RegionArenaTest : public ArenaTest {};

TEST_P(ArenaTest, aTransitCopyThatIsToStayStays) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan kept = planOf(901, 8 * kMiB, 20), passing = planOf(902, 64 * kMiB, 20);
  ASSERT_TRUE(loadChunk(*arena, kept, 0, true));
  ASSERT_TRUE(loadChunk(*arena, kept, 2));
  ASSERT_TRUE(loadChunk(*arena, kept, 3, true)) << "in the page of an owned one";
  arena->keep(now_, kept.key, 0);
  arena->keep(now_, kept.key, 3);
  arena->keep(now_, kept.key, 5);  // isn't there: nothing happens
  EXPECT_LT(arena->stats().transit_bytes, kMiB);
  for (std::uint32_t chunk = 0; chunk < 40; ++chunk) ASSERT_TRUE(loadChunk(*arena, passing, chunk, true));
  for (std::uint32_t chunk : {0U, 2U, 3U}) EXPECT_EQ(arena->present(kept.key, chunk).count(), 4U) << chunk;
}

TEST_P(ArenaTest, copiesMakeRoomForWhatTheNodeOwns) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan copies = planOf(904, 64 * kMiB, 20), owned = planOf(905, 64 * kMiB, 20);
  for (std::uint32_t chunk = 0; chunk < 44; ++chunk) {
    auto got = arena->reserve(now_, copies, {.chunk = chunk, .runs = {0, 4}, .copy = true});
    ASSERT_TRUE(got) << got.error().text();
    fill(copies, chunk, *got, got->granules());
  }
  const auto bytes_of = [&](const Plan& plan) {
    std::uint64_t sum = 0;
    for (const std::uint64_t bytes : arena->held(plan.key)) sum += bytes;
    return sum;
  };
  EXPECT_EQ(bytes_of(copies), 44 * kMiB);
  arena->keep(now_, copies.key, 1);  // is this node's after all: with the other chunk of its page
  for (std::uint32_t chunk = 0; chunk < 44; ++chunk) ASSERT_TRUE(loadChunk(*arena, owned, chunk)) << chunk;
  EXPECT_EQ(bytes_of(owned), 44 * kMiB);
  EXPECT_EQ(arena->present(copies.key, 1).count(), 4U);
  EXPECT_LT(bytes_of(copies), 20 * kMiB);
}

TEST_P(ArenaTest, anOwnedChunkStaysBesideAPeersInOnePage) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(903, 8 * kMiB, 20), passing = planOf(902, 64 * kMiB, 20);
  ASSERT_TRUE(loadChunk(*arena, plan, 0, true));
  ASSERT_TRUE(loadChunk(*arena, plan, 1));
  for (std::uint32_t chunk = 0; chunk < 40; ++chunk) ASSERT_TRUE(loadChunk(*arena, passing, chunk, true));
  EXPECT_EQ(arena->present(plan.key, 1).count(), 4U);
}

TEST_P(ArenaTest, givesBackWhatWasFilled) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const std::uint64_t sizes[] = {1,        4095,     65536,        65537,        262144,          2 * kMiB - 1,
                                 2 * kMiB, 3 * kMiB, 8 * kMiB - 1, 8 * kMiB + 1, 9 * kMiB + 12345};
  for (std::uint32_t bits : {20U, 21U, 23U, 24U})
    for (std::uint64_t size : sizes) {
      const Plan plan = planOf(size, size, bits);
      for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) {
        const Status loaded = loadChunk(*arena, plan, chunk);
        ASSERT_TRUE(loaded) << loaded.error().text();
      }
      std::uint64_t held = 0;
      for (std::uint64_t bytes : arena->held(plan.key)) held += bytes;
      EXPECT_EQ(held, size);
      for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) {
        auto view = arena->view(now_, plan.key, chunk, 0, plan.chunkLength(chunk));
        ASSERT_TRUE(view);
        expectRight(plan, chunk, 0, *view);
        std::vector<std::byte> first(std::min<std::uint64_t>(core::kGranule, plan.chunkLength(chunk)));
        writeExpected(plan, std::uint64_t{chunk} << bits, first);
        EXPECT_EQ(view->crc(0), crc32c(first));
      }
      EXPECT_LE(arena->measuredBytes(), arena->capacityBytes());
      arena->forget(plan.key);
      EXPECT_FALSE(arena->view(now_, plan.key, 0, 0, 1));
    }
  EXPECT_EQ(arena->stats().objects, 0U);
  EXPECT_EQ(arena->stats().region_bytes, 0U);
  EXPECT_EQ(arena->stats().slab_bytes, arena->stats().slab_free);
}

TEST_P(ArenaTest, showsWholeRunsAsSoonAsTheyAreCommitted) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 8 * kMiB);
  auto got = arena->reserve(now_, plan, {.chunk = 0, .runs = {0, 32}});
  ASSERT_TRUE(got);
  fill(plan, 0, *got, 6);
  EXPECT_EQ(arena->present(plan.key, 0).count(), 1U) << "six granules: one run and a half";
  EXPECT_TRUE(arena->view(now_, plan.key, 0, 0, core::kRun));
  EXPECT_FALSE(arena->view(now_, plan.key, 0, 0, core::kRun + 1));
  fill(plan, 0, *got, 8);
  auto view = arena->view(now_, plan.key, 0, core::kRun - 5, 10);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->granules(), 2U);
  expectRight(plan, 0, core::kRun - 5, *view);
  got->abandon();
  EXPECT_EQ(arena->present(plan.key, 0).count(), 2U) << "what was committed stays";
  EXPECT_TRUE(load(*arena, plan, 0, {2, 32})) << "the rest is missing again";
  EXPECT_EQ(arena->held(plan.key), std::vector<std::uint64_t>{8 * kMiB});
}

TEST_P(ArenaTest, keepsNothingOfAFillThatBroughtNothing) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const std::uint64_t before = arena->stats().index_bytes;
  {
    auto got = arena->reserve(now_, planOf(1, 8 * kMiB), {.chunk = 0, .runs = {0, 32}});
  }
  const ArenaStats stats = arena->stats();
  EXPECT_EQ(stats.units, 0U);
  EXPECT_EQ(stats.regions, 0U);
  EXPECT_EQ(stats.region_bytes, 0U);
  EXPECT_EQ(stats.index_bytes, before);
  EXPECT_EQ(stats.pinned_bytes, 0U);
}

TEST_P(ArenaTest, movesRunsToTheRegionWhenTheirPageIsWhole) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 4 * kMiB + 5);
  for (std::uint32_t run : {7U, 0U, 3U, 1U, 2U, 6U, 5U}) ASSERT_TRUE(load(*arena, plan, 0, {run, run + 1}));
  EXPECT_EQ(arena->stats().region_bytes, 0U) << "a page that isn't whole waits in slabs";
  ASSERT_TRUE(load(*arena, plan, 0, {4, 5}));
  if (GetParam().tmpfs) {
    EXPECT_EQ(arena->stats().region_bytes, 2 * kMiB);
    EXPECT_EQ(arena->stats().slab_bytes, arena->stats().slab_free);
  }
  ASSERT_TRUE(load(*arena, plan, 0, {8, 17}));
  auto view = arena->view(now_, plan.key, 0, 0, 4 * kMiB + 5);
  ASSERT_TRUE(view);
  expectRight(plan, 0, 0, *view);
  if (GetParam().tmpfs) {
    EXPECT_EQ(view->pieces().size(), 1U) << "one file, one piece";
    EXPECT_EQ(arena->stats().region_bytes, 4 * kMiB + kUnit);
  }
}

TEST_P(RegionArenaTest, movesAPageWhenItsLastReaderIsDone) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 2 * kMiB);
  ASSERT_TRUE(load(*arena, plan, 0, {0, 4}));
  auto view = arena->view(now_, plan.key, 0, 0, 100);
  ASSERT_TRUE(load(*arena, plan, 0, {4, 8}));
  EXPECT_EQ(arena->stats().region_bytes, 0U) << "its bytes mustn't move under the reader";
  expectRight(plan, 0, 0, *view);
  view.reset();
  EXPECT_EQ(arena->stats().region_bytes, 2 * kMiB);
  view = arena->view(now_, plan.key, 0, 0, 2 * kMiB);
  expectRight(plan, 0, 0, *view);
}

TEST_P(ArenaTest, saysBusyWhenEverythingIsInUseAndRecovers) {
  auto arena = ARENA_OR_SKIP(32 * kMiB);
  std::vector<Reservation> held;
  std::optional<Error> error;
  for (std::uint64_t id = 0; id < 40 && !error; ++id) {
    auto got = arena->reserve(now_, planOf(id, 2 * kMiB, 21), {.chunk = 0, .runs = {0, 8}});
    if (got)
      held.push_back(std::move(*got));
    else
      error = got.error();
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::Busy);
  EXPECT_GT(error->retry_after_ms, 0U);
  EXPECT_GE(held.size(), 13U);
  EXPECT_LE(arena->measuredBytes(), arena->capacityBytes());
  held.pop_back();
  EXPECT_TRUE(arena->reserve(now_, planOf(100, 2 * kMiB, 21), {.chunk = 0, .runs = {0, 8}}));
}

TEST_P(ArenaTest, datasetLargerThanTheArenaKeepsWhatCameFirst) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 128 * kMiB, 22);
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::uint32_t hits = 0;
    for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) {
      now_ += 1s;
      if (auto view = arena->view(now_, plan.key, chunk, 0, plan.chunkLength(chunk))) {
        expectRight(plan, chunk, 0, *view);
        ++hits;
      } else {
        const Status loaded = loadChunk(*arena, plan, chunk);
        ASSERT_TRUE(loaded) << loaded.error().text();
      }
      ASSERT_LE(arena->measuredBytes(), arena->capacityBytes());
    }
    if (epoch > 0) EXPECT_GE(hits, 13U) << "of 32, with room for 15 and transit copies beside";
  }
  EXPECT_GT(arena->stats().not_admitted, 0U);
}

// Random small reads fetch runs, not chunks; each epoch reads each run once.
TEST_P(ArenaTest, datasetReadInRandomRunsKeepsItsHits) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 128 * kMiB, 22);
  Random random(11);
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::vector<std::uint32_t> order(512);
    for (std::uint32_t i = 0; i < 512; ++i) order[i] = i;
    for (std::uint32_t i = 511; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    int hits = 0;
    for (std::uint32_t n : order) {
      now_ += 1s;
      const std::uint32_t chunk = n / 16, run = n % 16;
      if (arena->view(now_, plan.key, chunk, run * core::kRun, 100)) {
        ++hits;
        continue;
      }
      const Status loaded = load(*arena, plan, chunk, {run, run + 1});
      ASSERT_TRUE(loaded) << loaded.error().text();
    }
    if (epoch > 0) EXPECT_GE(hits, 210) << "of 512, with room for 240";
  }
}

TEST_P(ArenaTest, servesChunksThatAreLargerThanItself) {
  auto arena = ARENA_OR_SKIP(16 * kMiB);
  const Plan plan = planOf(1, 3ULL << 30, 26);
  EXPECT_EQ(loadChunk(*arena, plan, 5).error().code, Code::InvalidArgument) << "64 MiB at once";
  for (std::uint32_t run = 0; run < 256; ++run) {
    const Status loaded = load(*arena, plan, 5, {run, run + 1});
    ASSERT_TRUE(loaded) << loaded.error().text() << ", run " << run;
    auto view = arena->view(now_, plan.key, 5, run * core::kRun, core::kRun);
    ASSERT_TRUE(view);
    expectRight(plan, 5, run * core::kRun, *view);
    ASSERT_LE(arena->measuredBytes(), arena->capacityBytes());
  }
}

TEST_P(ArenaTest, smallObjectsThatLeaveMakeRoomForLargeOnes) {
  auto arena = ARENA_OR_SKIP(32 * kMiB);
  Random random(7);
  for (std::uint64_t id = 0; id < 12'000; ++id) {
    now_ += 1ms;
    ASSERT_TRUE(loadChunk(*arena, planOf(id, 1 + random.below(16 * kKiB), 23, kOther), 0)) << id;
    ASSERT_LE(arena->usedBytes(), arena->capacityBytes());
  }
  EXPECT_LE(arena->measuredBytes(), arena->capacityBytes());
  for (std::uint64_t id = 0; id < 12'000; id += 3) arena->view(now_, planOf(id, 1, 23, kOther).key, 0, 0, 1);
  const std::uint64_t evicted = arena->stats().evicted_bytes;
  now_ += 2s;
  for (std::uint64_t id = 20'000; id < 20'004; ++id) {
    const Status loaded = loadChunk(*arena, planOf(id, 2 * kMiB, 21), 0);
    ASSERT_TRUE(loaded) << loaded.error().text();
  }
  EXPECT_LE(arena->stats().evicted_bytes - evicted, 16 * kMiB) << "scattered holes were put together";
  EXPECT_LE(arena->measuredBytes(), arena->capacityBytes());
}

TEST_P(ArenaTest, forgetsAtOnceAndFreesAfterTheLastUse) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const Plan plan = planOf(1, 4 * kMiB);
  ASSERT_TRUE(load(*arena, plan, 0, {0, 8}));
  auto filling = arena->reserve(now_, plan, {.chunk = 0, .runs = {8, 16}});
  ASSERT_TRUE(filling);
  auto view = arena->view(now_, plan.key, 0, 0, 2 * kMiB);
  ASSERT_TRUE(view);
  arena->forget(plan.key);
  EXPECT_FALSE(arena->view(now_, plan.key, 0, 0, 1));
  EXPECT_FALSE(filling->wanted());
  expectRight(plan, 0, 0, *view);
  fill(plan, 0, *filling, 32);
  EXPECT_FALSE(arena->view(now_, plan.key, 0, 2 * kMiB, 1)) << "late bytes of a forgotten version are for nobody";
  ASSERT_TRUE(loadChunk(*arena, plan, 0)) << "and the same version may come again";
  std::shared_ptr<const void> pin = std::move(*view).keepAlive();
  filling->abandon();
  EXPECT_GT(arena->stats().pinned_bytes, 0U);
  pin.reset();
  EXPECT_EQ(arena->stats().pinned_bytes, 0U);
  arena->forget(plan.key);
  EXPECT_EQ(arena->stats().region_bytes, 0U);
  EXPECT_EQ(arena->stats().slab_bytes, arena->stats().slab_free);
  EXPECT_EQ(arena->stats().regions, 0U);
}

TEST_P(ArenaTest, refusesWhatCantBe) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const auto code = [&](const Plan& plan, ReserveRequest request) {
    auto got = arena->reserve(now_, plan, request);
    return got ? Code::Ok : got.error().code;
  };
  const Plan plan = planOf(1, 8 * kMiB);
  EXPECT_EQ(code(planOf(2, 0), {.chunk = 0, .runs = {0, 1}}), Code::InvalidArgument) << "nothing to reserve";
  EXPECT_EQ(code(plan, {.chunk = 1, .runs = {0, 1}}), Code::InvalidArgument);
  EXPECT_EQ(code(plan, {.chunk = 0, .runs = {0, 33}}), Code::InvalidArgument);
  EXPECT_EQ(code(plan, {.chunk = 0, .runs = {3, 3}}), Code::InvalidArgument);
  EXPECT_EQ(code(plan, {.chunk = UINT32_MAX, .runs = {0, UINT32_MAX}}), Code::InvalidArgument);
  EXPECT_EQ(code(planOf(3, kMiB, 23, 99), {.chunk = 0, .runs = {0, 1}}), Code::InvalidArgument) << "unknown mount";
  EXPECT_EQ(code(planOf(3, kMiB, 12), {.chunk = 0, .runs = {0, 1}}), Code::InvalidArgument);
  ASSERT_TRUE(load(*arena, plan, 0, {4, 6}));
  EXPECT_EQ(code(plan, {.chunk = 0, .runs = {5, 7}}), Code::Internal) << "already there";
  {
    const auto elsewhere = arena->reserve(now_, plan, {.chunk = 0, .runs = {8, 10}});
    ASSERT_TRUE(elsewhere);
    EXPECT_EQ(code(plan, {.chunk = 0, .runs = {9, 11}}), Code::Busy) << "on its way";
  }
  Plan liar = plan;
  liar.size = 9 * kMiB;
  EXPECT_EQ(code(liar, {.chunk = 0, .runs = {0, 1}}), Code::Internal);
  EXPECT_FALSE(arena->view(now_, plan.key, 0, 0, UINT32_MAX));
  EXPECT_FALSE(arena->view(now_, plan.key, UINT32_MAX, UINT32_MAX, 1));
  EXPECT_TRUE(arena->view(now_, plan.key, 0, 0, 0));
  EXPECT_EQ(arena->addMount(5, {.cls = core::CacheClass::Kv}).error().code, Code::Unsupported);
  EXPECT_EQ(arena->stats().pinned_bytes, 0U);
}

TEST_P(ArenaTest, putsObjectsBeyondItsDescriptorsIntoSlabs) {
  auto arena = ARENA_OR_SKIP(64 * kMiB, 2);
  for (std::uint64_t id = 0; id < 8; ++id) {
    const Plan plan = planOf(id, 2 * kMiB);
    ASSERT_TRUE(loadChunk(*arena, plan, 0));
    auto view = arena->view(now_, plan.key, 0, 0, 2 * kMiB);
    ASSERT_TRUE(view);
    expectRight(plan, 0, 0, *view);
  }
  EXPECT_LE(arena->stats().regions, 2U);
}

TEST_P(RegionArenaTest, keepsWhatOthersHaveOpenAndNeverPunchesIt) {
  auto arena = ARENA_OR_SKIP(32 * kMiB);
  const Plan plan = planOf(1, 8 * kMiB, 21, kOther);
  for (std::uint32_t chunk = 0; chunk + 1 < plan.chunks(); ++chunk) ASSERT_TRUE(loadChunk(*arena, plan, chunk));
  EXPECT_EQ(arena->exportObject(now_, plan.key).error().code, Code::NotFound) << "not complete";
  EXPECT_TRUE(arena->mayExport(plan)) << "once it is";
  EXPECT_EQ(arena->mayExport(planOf(2, 18 * kMiB, 21, kOther)).error().code, Code::Busy)
      << "more than half of the arena";
  EXPECT_EQ(arena->mayExport(planOf(3, kMiB, 21, kOther)).error().code, Code::Unsupported)
      << "small ones have no region";
  ASSERT_TRUE(loadChunk(*arena, plan, 3));
  auto file = arena->exportObject(now_, plan.key);
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_LT(::write(file->get(), "x", 1), 0);
  pressOut(*arena, 10, 60);
  EXPECT_EQ(arena->present(plan.key, 0).count(), core::runsOf(0, plan.chunkLength(0)).end) << "in use elsewhere";
  arena->forget(plan.key);
  EXPECT_EQ(arena->present(plan.key, 0).count(), 0U) << "it left, whole";
  EXPECT_EQ(arena->stats().outside_bytes, 8 * kMiB);
  pressOut(*arena, 60, 90);
  std::vector<std::byte> got(8 * kMiB), expected(8 * kMiB);
  ASSERT_EQ(::pread(file->get(), got.data(), got.size(), 0), static_cast<ssize_t>(got.size()));
  writeExpected(plan, 0, expected);
  EXPECT_EQ(got, expected) << "whoever still has it reads its bytes";
  file->reset();
  pressOut(*arena, 90, 120);
  EXPECT_EQ(arena->stats().outside_bytes, 0U);
}

TEST_P(RegionArenaTest, takesBackWhatNobodyHasAnyMore) {
  auto arena = ARENA_OR_SKIP(32 * kMiB);
  const Plan plan = planOf(1, 8 * kMiB, 21, kOther);
  for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) ASSERT_TRUE(loadChunk(*arena, plan, chunk));
  auto file = arena->exportObject(now_, plan.key);
  ASSERT_TRUE(file) << file.error().text();
  void* const mapped = ::mmap(nullptr, 8 * kMiB, PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  file->reset();
  pressOut(*arena, 10, 60);
  EXPECT_EQ(arena->stats().exported_bytes, 8 * kMiB) << "a mapping outlives its file";
  std::vector<std::byte> expected(8 * kMiB);
  writeExpected(plan, 0, expected);
  EXPECT_EQ(std::memcmp(mapped, expected.data(), expected.size()), 0);
  ::munmap(mapped, 8 * kMiB);
  pressOut(*arena, 60, 90);
  EXPECT_EQ(arena->stats().exported_bytes, 0U);
  EXPECT_EQ(arena->stats().outside_bytes, 0U);
  EXPECT_EQ(arena->present(plan.key, 0).count(), 0U) << "it left as others do";
}

// A chunk that is this node's stays where the object that it was given away with was brought in as copies.
TEST_P(RegionArenaTest, keepsWhatItOwnsOfAnObjectThatWasAway) {
  auto arena = ARENA_OR_SKIP(32 * kMiB);
  const Plan plan = planOf(1, 8 * kMiB, 21);
  ASSERT_TRUE(loadChunk(*arena, plan, 0));
  for (std::uint32_t chunk = 1; chunk < plan.chunks(); ++chunk) ASSERT_TRUE(loadCopy(*arena, plan, chunk));
  ASSERT_TRUE(arena->exportObject(now_, plan.key));
  for (std::uint64_t id = 10; id < 22; ++id) {
    now_ += 2s;
    ASSERT_TRUE(loadChunk(*arena, planOf(id, 2 * kMiB, 21), 0)) << id;
  }
  EXPECT_NE(arena->present(plan.key, 0).count(), 0U) << "owned";
  EXPECT_EQ(arena->present(plan.key, 1).count(), 0U) << "a copy";
  EXPECT_EQ(arena->exportObject(now_, plan.key).error().code, Code::NotFound);
}

TEST_P(RegionArenaTest, givesTheShareOfWhatCameHomeToOthers) {
  auto arena = ARENA_OR_SKIP(64 * kMiB);
  const auto key = [](std::uint64_t id) { return planOf(id, 12 * kMiB, 22).key; };
  for (std::uint64_t id = 0; id < 4; ++id) {
    const Plan plan = planOf(id, 12 * kMiB, 22);
    for (std::uint32_t chunk = 0; chunk < plan.chunks(); ++chunk) ASSERT_TRUE(loadChunk(*arena, plan, chunk));
  }
  std::vector<io::Descriptor> files;
  for (std::uint64_t id = 0; id < 2; ++id) {
    auto file = arena->exportObject(now_, key(id));
    ASSERT_TRUE(file) << file.error().text();
    files.push_back(std::move(*file));
  }
  EXPECT_EQ(arena->exportObject(now_, key(2)).error().code, Code::Busy) << "as much is away as may be";
  files.erase(files.begin());
  EXPECT_TRUE(arena->exportObject(now_, key(2)));
}

TEST(Arena, deletesWhatADeadProcessLeftAndSharesWithNobody) {
  auto directory = io::makePrivileged()->memoryDirectory(64 * kMiB);
  if (!directory) GTEST_SKIP() << directory.error().text();
  const int fd = directory->directory.get();
  const io::Descriptor left(::openat(fd, "42", O_RDWR | O_CREAT | O_EXCL, 0600));
  ASSERT_EQ(::fallocate(left.get(), 0, 0, 4 * kMiB), 0);
  const int again = ::dup(fd), again_read_only = ::dup(directory->read_only.get());
  Metrics metrics;
  ArenaOptions options{.capacity_bytes = 64 * kMiB};
  options.directory = std::move(*directory);
  auto arena = Arena::create(std::move(options), metrics);
  ASSERT_TRUE(arena);
  EXPECT_LT(::openat(fd, "42", O_RDONLY), 0);
  ArenaOptions second{.capacity_bytes = 64 * kMiB};
  second.directory = io::MemoryDirectory{io::Descriptor(again), io::Descriptor(again_read_only), "the same"};
  auto refused = Arena::create(std::move(second), metrics);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
}

TEST(Arena, needsRoomToWork) {
  Metrics metrics;
  EXPECT_EQ(Arena::create({.capacity_bytes = 4 * kMiB}, metrics).error().code, Code::InvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArenaTest, ::testing::Values(Kind{"Tmpfs", true}, Kind{"Slabs", false}),
                         [](const auto& info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(Kinds, RegionArenaTest, ::testing::Values(Kind{"Tmpfs", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace forebay::store
