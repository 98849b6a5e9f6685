#include "core/eviction.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

#include "base/random.h"

namespace forebay::core {
namespace {

constexpr MountId kData = 1, kOther = 2, kHot = 3;
constexpr std::uint64_t kChunk = 1000;  // bytes; the policy doesn't know what they are

// An arena without memory: what a node does with an Eviction, over equal chunks named by number.
class Cache {
 public:
  explicit Cache(std::uint64_t chunks, EvictionOptions options = {}) : eviction_(with(options, chunks)) {
    capacity_ = chunks * kChunk;
  }
  Eviction& eviction() { return eviction_; }
  TimePoint now() const { return now_; }
  void pass(Duration d) { now_ += d; }
  bool has(MountId mount, std::uint64_t chunk) const { return entries_.contains({mount, chunk}); }

  // True: a hit. A miss is filled, wherever the policy puts it.
  bool read(MountId mount, std::uint64_t chunk, Placement wanted = Placement::Owned) {
    if (auto known = entries_.find({mount, chunk}); known != entries_.end()) {
      eviction_.touch(now_, known->second);
      return true;
    }
    const Eviction::Want want{.mount = mount, .bytes = kChunk, .chunk_bytes = kChunk, .free_bytes = free()};
    const Placement placement = wanted == Placement::Transit ? Placement::Transit : eviction_.place(now_, wanted, want);
    while (auto victim = eviction_.overflow(placement, want)) leave(*victim);
    while (free() < kChunk) {
      auto victim = eviction_.victim(now_, placement, want);
      if (!victim) return false;  // Busy
      leave(*victim);
    }
    const Eviction::Ref ref = eviction_.insert(now_, mount, mix64(chunk * 8 + mount), placement);
    eviction_.charge(ref, kChunk);
    entries_[{mount, chunk}] = ref;
    names_[ref] = {mount, chunk};
    return false;
  }
  Eviction::Ref refOf(MountId mount, std::uint64_t chunk) const { return entries_.at({mount, chunk}); }
  std::uint64_t free() const { return capacity_ - eviction_.bytes(); }
  int left(LeaveReason reason) const { return left_[static_cast<std::size_t>(reason)]; }

 private:
  static EvictionOptions with(EvictionOptions options, std::uint64_t chunks) {
    options.capacity_bytes = chunks * kChunk;
    return options;
  }
  void leave(Eviction::Victim victim) {
    ++left_[static_cast<std::size_t>(victim.reason)];
    entries_.erase(names_.at(victim.ref));
    names_.erase(victim.ref);
    eviction_.charge(victim.ref, -static_cast<std::int64_t>(kChunk));
    eviction_.remove(victim.ref, true);
  }
  Eviction eviction_;
  std::uint64_t capacity_;
  TimePoint now_ = TimePoint{} + 3600s;
  std::map<std::pair<MountId, std::uint64_t>, Eviction::Ref> entries_;
  std::map<Eviction::Ref, std::pair<MountId, std::uint64_t>> names_;
  std::array<int, kLeaveReasons> left_{};
};

// A job's epoch over chunks [first, first + n), one a second.
int epoch(Cache& cache, MountId mount, std::uint64_t first, std::uint64_t n, Random* shuffle) {
  std::vector<std::uint64_t> order(n);
  std::iota(order.begin(), order.end(), first);
  for (std::uint64_t i = n; shuffle != nullptr && i > 1; --i) std::swap(order[i - 1], order[shuffle->below(i)]);
  int hits = 0;
  for (std::uint64_t chunk : order) {
    cache.pass(1s);
    hits += cache.read(mount, chunk) ? 1 : 0;
  }
  return hits;
}

Cache datasetCache(std::uint64_t chunks) {
  Cache cache(chunks);
  EXPECT_TRUE(cache.eviction().addMount(kData, {}));
  EXPECT_TRUE(cache.eviction().addMount(kOther, {}));
  EXPECT_TRUE(cache.eviction().addMount(kHot, {.cls = CacheClass::Hot}));
  return cache;
}

TEST(Classes, knowTheirNamesAndWhatIsNotThereYet) {
  for (std::size_t i = 0; i < kCacheClasses; ++i)
    EXPECT_EQ(parseClass(className(static_cast<CacheClass>(i))), static_cast<CacheClass>(i));
  EXPECT_FALSE(parseClass("lru"));
  Eviction eviction({.capacity_bytes = 1});
  for (CacheClass cls : {CacheClass::Checkpoint, CacheClass::Scratch, CacheClass::Kv})
    EXPECT_EQ(eviction.addMount(1, {.cls = cls}).error().code, Code::Unsupported);
  EXPECT_EQ(eviction.addMount(1, {.weight = 0}).error().code, Code::InvalidArgument);
}

// A cache of half the data: hits per epoch are cache / data, less what transit copies keep for themselves (a quarter
// of their tenth), whatever the order. LRU has 15% shuffled and none in order.
TEST(Dataset, hitsItsShareOfEveryEpochInAnyOrder) {
  for (bool shuffled : {false, true}) {
    Cache cache = datasetCache(1000);
    Random random(1);
    epoch(cache, kData, 0, 2000, shuffled ? &random : nullptr);
    for (int i = 0; i < 7; ++i)
      EXPECT_GE(epoch(cache, kData, 0, 2000, shuffled ? &random : nullptr), 970) << shuffled << ", epoch " << i;
    EXPECT_EQ(cache.left(LeaveReason::Idle), 0);
  }
}

TEST(Dataset, thatFitsStaysWhole) {
  Cache cache = datasetCache(1000);
  Random random(2);
  epoch(cache, kData, 0, 1000, &random);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(epoch(cache, kData, 0, 1000, &random), 1000);
}

// The same mount, another directory: A's chunks leave once they were idle for two of its longest gaps.
TEST(Dataset, afterAnotherRecoversOnceTheFirstOneIsIdle) {
  Cache cache = datasetCache(1000);
  Random random(3);
  for (int i = 0; i < 4; ++i) epoch(cache, kData, 0, 2000, &random);
  std::vector<int> hits;
  for (int i = 0; i < 10; ++i) hits.push_back(epoch(cache, kData, 10'000, 2000, &random));
  EXPECT_LE(hits[0], 50);
  EXPECT_GE(hits[8], 800) << "two of the longest gaps (up to two epochs each), then an epoch to fill";
  EXPECT_GT(cache.left(LeaveReason::Idle), 900);
}

TEST(Dataset, afterAJobEndHintGivesWayAtOnce) {
  Cache cache = datasetCache(1000);
  Random random(4);
  for (int i = 0; i < 3; ++i) epoch(cache, kData, 0, 2000, &random);
  cache.eviction().jobEnded(cache.now(), kData);
  epoch(cache, kData, 10'000, 2000, &random);
  EXPECT_GE(epoch(cache, kData, 10'000, 2000, &random), 950);
  EXPECT_GT(cache.left(LeaveReason::JobEnded), 900);
}

// A first epoch can last for hours: until something was read twice, nothing is idle.
TEST(Dataset, inItsFirstEpochIsntReplacedHoweverLongThatTakes) {
  Cache cache = datasetCache(1000);
  epoch(cache, kData, 0, 2000, nullptr);
  cache.pass(std::chrono::hours(5));
  EXPECT_GE(epoch(cache, kData, 0, 2000, nullptr), 950);
}

// Many small reads of a chunk in a row are one visit: they don't make the mount look as if it re-read each second.
TEST(Dataset, smallReadsOfAChunkAreOneVisit) {
  Cache cache = datasetCache(1000);
  for (int e = 0; e < 4; ++e)
    for (std::uint64_t chunk = 0; chunk < 2000; ++chunk)
      for (int piece = 0; piece < 8; ++piece) {
        cache.pass(100ms);
        cache.read(kData, chunk);
      }
  EXPECT_EQ(cache.left(LeaveReason::Idle), 0);
}

TEST(Shares, aSecondMountTakesItsHalfAndNoMore) {
  Cache cache = datasetCache(1000);
  Random random(5);
  for (int i = 0; i < 2; ++i) epoch(cache, kData, 0, 2000, &random);
  EXPECT_GE(cache.eviction().mountBytes(kData), 950 * kChunk) << "alone it has everything";
  for (int i = 0; i < 3; ++i)
    for (std::uint64_t chunk = 0; chunk < 2000; ++chunk) {
      cache.pass(500ms);
      cache.read(kData, chunk);
      cache.read(kOther, chunk);
    }
  EXPECT_NEAR(static_cast<double>(cache.eviction().mountBytes(kData)) / kChunk, 490, 15);
  EXPECT_NEAR(static_cast<double>(cache.eviction().mountBytes(kOther)) / kChunk, 490, 15);
}

TEST(Shares, goByWeight) {
  Cache cache(1000);
  ASSERT_TRUE(cache.eviction().addMount(kData, {.weight = 3}));
  ASSERT_TRUE(cache.eviction().addMount(kOther, {.weight = 1}));
  for (int i = 0; i < 3; ++i)
    for (std::uint64_t chunk = 0; chunk < 2000; ++chunk) {
      cache.pass(500ms);
      cache.read(kData, chunk);
      cache.read(kOther, chunk);
    }
  EXPECT_NEAR(static_cast<double>(cache.eviction().mountBytes(kData)) / kChunk, 730, 20);
}

TEST(Shares, ofAMountThatNobodyReadsGoToWhoeverNeedsThem) {
  Cache cache = datasetCache(1000);
  epoch(cache, kData, 0, 1000, nullptr);
  cache.pass(std::chrono::hours(1));
  EXPECT_EQ(cache.eviction().mountBytes(kData), 1000 * kChunk) << "idle bytes stay until somebody needs the room";
  for (int i = 0; i < 2; ++i) epoch(cache, kOther, 0, 2000, nullptr);
  EXPECT_LE(cache.eviction().mountBytes(kData), 30 * kChunk);
  EXPECT_GT(cache.left(LeaveReason::Reclaimed), 900);
}

TEST(Hot, keepsWhatIsReadOftenThroughAScan) {
  Cache cache = datasetCache(1000);
  for (int round = 0; round < 4; ++round)
    for (std::uint64_t chunk = 0; chunk < 300; ++chunk) {
      cache.pass(2s);
      cache.read(kHot, chunk);
    }
  epoch(cache, kHot, 10'000, 5000, nullptr);  // a scan of five times the cache
  int kept = 0;
  for (std::uint64_t chunk = 0; chunk < 300; ++chunk) kept += cache.has(kHot, chunk) ? 1 : 0;
  EXPECT_GE(kept, 290);
}

TEST(Hot, readmitsWhatJustLeftToItsMainQueueAndBoundsItsGhosts) {
  Cache cache = datasetCache(1000);
  epoch(cache, kHot, 0, 1500, nullptr);
  EXPECT_FALSE(cache.has(kHot, 0));
  EXPECT_GT(cache.eviction().ghosts(), 0U);
  for (std::uint64_t chunk = 400; chunk < 500; ++chunk) cache.read(kHot, chunk);  // ghosts: straight to main
  epoch(cache, kHot, 20'000, 20'000, nullptr);
  EXPECT_LE(cache.eviction().ghosts(), 1000U);
}

TEST(Transit, isAFifoOfATenth) {
  Cache cache = datasetCache(1000);
  for (std::uint64_t chunk = 0; chunk < 150; ++chunk) cache.read(kData, chunk, Placement::Transit);
  EXPECT_EQ(cache.eviction().transitBytes(), 100 * kChunk);
  EXPECT_FALSE(cache.has(kData, 49));
  EXPECT_TRUE(cache.has(kData, 50));
}

TEST(Transit, takesOnlyALittleFromAFullArena) {
  Cache cache = datasetCache(1000);
  epoch(cache, kData, 0, 1000, nullptr);
  for (std::uint64_t chunk = 5000; chunk < 6000; ++chunk) cache.read(kData, chunk, Placement::Transit);
  EXPECT_EQ(cache.eviction().transitBytes(), 25 * kChunk);
  EXPECT_EQ(cache.eviction().mountBytes(kData), 975 * kChunk);
}

// What was lent and came back isn't lent again while transit copies use it: or every loan would replace a chunk.
TEST(Transit, keepsItsReserveWhileItIsUsed) {
  Cache cache = datasetCache(1000);
  epoch(cache, kData, 0, 1000, nullptr);
  const Eviction::Want want{.mount = kData, .bytes = kChunk, .chunk_bytes = kChunk, .free_bytes = 10 * kChunk};
  EXPECT_TRUE(cache.eviction().mayTake(cache.now(), want)) << "no transit copy was ever seen";
  cache.read(kData, 5000, Placement::Transit);
  EXPECT_FALSE(cache.eviction().mayTake(cache.now(), want));
  cache.pass(std::chrono::hours(1));
  EXPECT_TRUE(cache.eviction().mayTake(cache.now(), want)) << "nor for an hour";
}

TEST(Holds, keepAnEntryWhateverHappens) {
  Cache cache = datasetCache(100);
  for (std::uint64_t chunk = 0; chunk < 100; ++chunk) cache.read(kHot, chunk);
  for (std::uint64_t chunk = 0; chunk < 100; ++chunk) cache.eviction().hold(cache.refOf(kHot, chunk));
  EXPECT_FALSE(cache.read(kHot, 1000)) << "nobody may leave";
  EXPECT_FALSE(cache.has(kHot, 1000));
  cache.eviction().release(cache.refOf(kHot, 42));
  cache.read(kHot, 1001);
  EXPECT_TRUE(cache.has(kHot, 1001));
  EXPECT_FALSE(cache.has(kHot, 42));
}

// Random sequences: sums stay sums, bounds stay bounds.
TEST(Eviction, survivesAnything) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Cache cache = datasetCache(200);
    for (int i = 0; i < 20'000; ++i) {
      cache.pass(Duration(static_cast<std::int64_t>(random.below(3'000'000'000))));
      const MountId mount = 1 + static_cast<MountId>(random.below(3));
      const std::uint64_t chunk = random.below(400);
      cache.read(mount, chunk, static_cast<Placement>(random.below(3)));
      if (random.chance(1000)) cache.eviction().jobEnded(cache.now(), mount);
      if (random.chance(100)) cache.pass(std::chrono::hours(20));
      ASSERT_LE(cache.eviction().transitBytes(), 20 * kChunk) << "seed " << seed;
      ASSERT_LE(cache.eviction().bytes(), 200 * kChunk) << "seed " << seed;
    }
    EXPECT_EQ(cache.eviction().bytes(), cache.eviction().mountBytes(kData) + cache.eviction().mountBytes(kOther) +
                                            cache.eviction().mountBytes(kHot) + cache.eviction().transitBytes());
  }
}

// Copies of what other nodes own: all they take is room that nobody else wants.

TEST(EvictionCopies, leaveBeforeWhatIsOwnedAndForIt) {
  for (const CacheClass cls : {CacheClass::Dataset, CacheClass::Hot}) {
    Cache cache(20);
    ASSERT_TRUE(cache.eviction().addMount(1, {.cls = cls}));
    for (std::uint64_t i = 0; i < 5; ++i) cache.read(1, i);
    for (std::uint64_t i = 100; i < 115; ++i) cache.read(1, i, Placement::Copy);
    EXPECT_EQ(cache.free(), 0U);
    cache.pass(10s);
    EXPECT_TRUE(cache.read(1, 100));
    for (std::uint64_t i = 5; i < 17; ++i) cache.read(1, i);
    for (std::uint64_t i = 0; i < 17; ++i) EXPECT_TRUE(cache.has(1, i)) << i;
    EXPECT_TRUE(cache.has(1, 100)) << "the last one read leaves last";
    EXPECT_EQ(cache.left(LeaveReason::Replaced), 12);
  }
}

TEST(EvictionCopies, nothingLeavesForThemButCopiesThatNobodyReads) {
  Cache cache(10);
  ASSERT_TRUE(cache.eviction().addMount(1, {}));
  for (std::uint64_t i = 0; i < 6; ++i) cache.read(1, i);
  for (std::uint64_t i = 100; i < 104; ++i) cache.read(1, i, Placement::Copy);
  cache.pass(30s);
  cache.read(1, 102);
  cache.read(1, 200, Placement::Copy);
  EXPECT_EQ(cache.eviction().transitBytes(), kChunk) << "in transit";
  cache.pass(40s);
  for (std::uint64_t i = 201; i < 204; ++i) cache.read(1, i, Placement::Copy);
  for (std::uint64_t i = 0; i < 6; ++i) EXPECT_TRUE(cache.has(1, i)) << i;
  EXPECT_TRUE(cache.has(1, 102)) << "read lately";
  EXPECT_FALSE(cache.has(1, 100));
  EXPECT_EQ(cache.left(LeaveReason::Reclaimed), 1) << "lent to them, for what passes";
  EXPECT_EQ(cache.left(LeaveReason::Idle), 2);
}

TEST(EvictionCopies, comeFirstWhereAnotherMountReclaimsItsShare) {
  Cache cache(20);
  ASSERT_TRUE(cache.eviction().addMount(1, {}));
  ASSERT_TRUE(cache.eviction().addMount(2, {}));
  for (std::uint64_t i = 0; i < 10; ++i) cache.read(1, i);
  for (std::uint64_t i = 100; i < 110; ++i) cache.read(1, i, Placement::Copy);
  for (std::uint64_t i = 0; i < 8; ++i) cache.read(2, i);
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_TRUE(cache.has(1, i)) << i;
  EXPECT_EQ(cache.eviction().mountBytes(2), 8 * kChunk);
  EXPECT_EQ(cache.left(LeaveReason::Reclaimed), 8);
}

TEST(EvictionCopies, whatThisNodeOwnsAfterAllIsNoCopyAnyMore) {
  Cache cache(10);
  ASSERT_TRUE(cache.eviction().addMount(1, {}));
  for (std::uint64_t i = 0; i < 10; ++i) cache.read(1, i, Placement::Copy);
  cache.eviction().move(cache.refOf(1, 0), Placement::Owned);
  cache.eviction().move(cache.refOf(1, 1), Placement::Transit);
  EXPECT_EQ(cache.eviction().mountBytes(1), 9 * kChunk);
  for (std::uint64_t i = 20; i < 28; ++i) cache.read(1, i);
  EXPECT_TRUE(cache.has(1, 0));
  EXPECT_EQ(cache.left(LeaveReason::Replaced), 8);
}

}  // namespace
}  // namespace forebay::core
