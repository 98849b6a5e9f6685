#include "core/readahead.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "base/random.h"

namespace forebay::core {
namespace {

constexpr std::uint64_t kGiB = 1024 * kMiB;

Plan planOf(std::uint64_t size, std::uint32_t chunk_bits = kDefaultChunkBits) {
  Plan plan;
  plan.size = size;
  plan.chunk_bits = chunk_bits;
  return plan;
}

// A reader's node as far as it matters here: what readahead says and what reads need is fetched; what of it was read.
class Reader {
 public:
  explicit Reader(Plan plan, ReadaheadLimits limits = {}) : plan_(std::move(plan)), readahead_(limits) {}

  // True: all of it was there already.
  bool read(std::uint64_t offset, std::uint64_t length) {
    ahead_.clear();
    wide_ = readahead_.read(plan_, offset, length, ahead_);
    bool hit = true;
    const std::uint64_t end = std::min(offset + length, plan_.size);
    for (std::uint64_t run = offset / kRun; run * kRun < end; ++run) {
      hit = fetched_.contains(run) && hit;
      fetched_.insert(run);
      const std::uint64_t chunk_end = ((run * kRun >> plan_.chunk_bits) + 1) << plan_.chunk_bits;
      if (wide_)
        for (std::uint64_t r = run; r * kRun < std::min(chunk_end, plan_.size); ++r) fetched_.insert(r);
    }
    for (const RunsAhead& a : ahead_) {
      EXPECT_LT(a.chunk, plan_.chunks());
      EXPECT_LE(a.runs.end * std::uint64_t{kRun}, divideUp(plan_.chunkLength(a.chunk), kRun) * kRun);
      EXPECT_FALSE(a.runs.empty());
      for (std::uint64_t r = a.runs.first; r < a.runs.end; ++r)
        fetched_.insert((std::uint64_t{a.chunk} << plan_.chunk_bits) / kRun + r);
    }
    hits_ += hit ? 1 : 0;
    return hit;
  }
  bool silent() const { return ahead_.empty() && !wide_; }
  bool wide() const { return wide_; }
  std::string said() const {
    std::string text;
    for (const RunsAhead& a : ahead_) text += fmt::format("{}[{},{}) ", a.chunk, a.runs.first, a.runs.end);
    return text;
  }
  std::uint64_t fetchedBytes() const { return fetched_.size() * kRun; }
  int hits() const { return hits_; }
  const Readahead& readahead() const { return readahead_; }

 private:
  Plan plan_;
  Readahead readahead_;
  std::vector<RunsAhead> ahead_;
  std::set<std::uint64_t> fetched_;
  bool wide_ = false;
  int hits_ = 0;
};

TEST(Readahead, aScanHasWholeChunksSoonAndIsNeverWaitedForAfterThat) {
  Reader reader(planOf(kGiB));
  std::uint64_t wide_at = 0;
  int misses_later = 0;
  for (std::uint64_t at = 0; at < 256 * kMiB; at += 128 * kKiB) {
    const bool hit = reader.read(at, 128 * kKiB);
    if (reader.wide() && wide_at == 0) wide_at = at;
    if (at >= kMiB && !hit) ++misses_later;
  }
  EXPECT_LT(wide_at, 4 * kMiB);
  EXPECT_EQ(misses_later, 0);
  EXPECT_LE(reader.fetchedBytes(), (256 + 40) * kMiB) << "the window is bounded";
}

TEST(Readahead, nothingIsSaidForTheFirstReads) {
  Reader reader(planOf(kGiB));
  reader.read(0, 128 * kKiB);
  EXPECT_TRUE(reader.silent());
  reader.read(128 * kKiB, 128 * kKiB);
  EXPECT_TRUE(reader.silent());
  reader.read(256 * kKiB, 128 * kKiB);
  EXPECT_EQ(reader.said(), "0[1,5) ") << "twice what was read";
  reader.read(384 * kKiB, 128 * kKiB);
  EXPECT_TRUE(reader.silent()) << "each run once";
}

TEST(Readahead, theKernelsOwnReadaheadArrivesInAnyOrder) {
  // 12 requests of 128 KiB on their way at once, by four threads: each dozen arrives shuffled.
  Random random(7);
  Reader reader(planOf(kGiB));
  int misses_later = 0;
  for (std::uint64_t dozen = 0; dozen < 100; ++dozen) {
    std::vector<std::uint64_t> order(12);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random.below(i + 1)]);
    for (std::uint64_t i : order)
      if (!reader.read((dozen * 12 + i) * 128 * kKiB, 128 * kKiB) && dozen > 2) ++misses_later;
  }
  EXPECT_EQ(misses_later, 0);
  EXPECT_TRUE(reader.wide());
}

TEST(Readahead, aReversedReaderFindsWhatLiesBeforeIt) {
  Reader reader(planOf(256 * kMiB));
  int misses_later = 0;
  for (std::uint64_t at = 256 * kMiB; at > 128 * kMiB;) {
    at -= 128 * kKiB;
    if (!reader.read(at, 128 * kKiB) && at < 255 * kMiB) ++misses_later;
    EXPECT_FALSE(reader.wide()) << "what lies after the read was read already";
  }
  EXPECT_EQ(misses_later, 0);
  EXPECT_LE(reader.fetchedBytes(), (128 + 40) * kMiB);
}

TEST(Readahead, aReversedReaderReachesTheStart) {
  Reader reader(planOf(10 * kMiB));
  for (std::uint64_t at = 10 * kMiB; at > 0;) {
    at -= 256 * kKiB;
    reader.read(at, 256 * kKiB);
  }
  EXPECT_EQ(reader.fetchedBytes(), 10 * kMiB);
}

TEST(Readahead, aStridedReaderGetsItsNextRunsAndNoWholeChunks) {
  Reader reader(planOf(kGiB));
  for (std::uint64_t i = 0; i < 200; ++i) {
    const bool hit = reader.read(i * 5 * kMiB, 64 * kKiB);
    EXPECT_FALSE(reader.wide());
    if (i >= 4) EXPECT_TRUE(hit) << i;
  }
  EXPECT_LE(reader.fetchedBytes(), (200 + 16) * kRun);
}

TEST(Readahead, aStrideMayGoBackwards) {
  Reader reader(planOf(kGiB));
  for (std::uint64_t i = 200; i-- > 0;) reader.read(i * 5 * kMiB, 64 * kKiB);
  EXPECT_GE(reader.hits(), 195);
  EXPECT_LE(reader.fetchedBytes(), 200 * kRun) << "nothing lies before the start";
}

TEST(Readahead, stridesOfSeveralReadersAreToldApart) {
  Reader reader(planOf(4 * kGiB));
  for (std::uint64_t i = 0; i < 100; ++i)
    for (std::uint64_t who = 0; who < 4; ++who) reader.read(who * kGiB + who * 12345 + i * (3 + who) * kMiB, 4096);
  EXPECT_GE(reader.hits(), 4 * 92);
}

TEST(Readahead, randomReadsFetchWhatTheyTouch) {
  Reader reader(planOf(20 * kGiB));
  Random random(42);
  std::uint64_t asked = 0;
  for (int i = 0; i < 4000; ++i) {
    reader.read(random.below(20 * kGiB / (64 * kKiB)) * 64 * kKiB, 64 * kKiB);
    asked += 64 * kKiB;
  }
  EXPECT_LE(reader.fetchedBytes() * 100, asked * 416);
}

TEST(Readahead, randomReadsOfASmallObjectAreNotTakenForScansOften) {
  Reader reader(planOf(kGiB));
  Random random(42);
  std::uint64_t asked = 0;
  for (int i = 0; i < 1000; ++i) {
    reader.read(random.below(kGiB / (64 * kKiB)) * 64 * kKiB, 64 * kKiB);
    asked += 64 * kKiB;
  }
  EXPECT_LE(reader.fetchedBytes() * 100, asked * 450);
}

TEST(Readahead, eightProcessesReadOneFileAtDifferentPlaces) {
  Reader reader(planOf(8 * kGiB));
  int misses_later = 0;
  for (std::uint64_t at = 0; at < 64 * kMiB; at += 128 * kKiB)
    for (std::uint64_t who = 0; who < 8; ++who)
      if (!reader.read(who * kGiB + at, 128 * kKiB) && at >= kMiB) ++misses_later;
  EXPECT_EQ(misses_later, 0);
  EXPECT_LE(reader.fetchedBytes(), 8 * (64 + 40) * kMiB);
}

TEST(Readahead, aScanGoesOnBesideManyRandomReads) {
  Reader reader(planOf(20 * kGiB));
  Random random(3);
  int misses_later = 0;
  for (std::uint64_t at = 0; at < 64 * kMiB; at += 128 * kKiB) {
    if (!reader.read(at, 128 * kKiB) && at >= 2 * kMiB) ++misses_later;
    for (int i = 0; i < 10; ++i) reader.read(kGiB + random.below(18 * kGiB), 4096);
  }
  EXPECT_EQ(misses_later, 0);
}

// The length of the header, the header, then tensors in the order in which the model is built, each in pieces.
TEST(Readahead, aSafetensorsReaderPaysForItsTensorsAndLittleMore) {
  Reader reader(planOf(8 * kGiB));
  reader.read(0, 8);
  EXPECT_TRUE(reader.silent());
  reader.read(8, 60'000);
  EXPECT_TRUE(reader.silent()) << "a header alone is no scan";
  Random random(9);
  std::uint64_t asked = 0, tensors = 0;
  std::set<std::uint64_t> done;
  while (tensors < 40) {
    const std::uint64_t tensor = random.below(120);
    if (!done.insert(tensor).second) continue;
    for (std::uint64_t at = 0; at < 32 * kMiB; at += kMiB) reader.read(60'008 + tensor * 64 * kMiB + at, kMiB);
    asked += 32 * kMiB;
    ++tensors;
  }
  EXPECT_LE(reader.fetchedBytes(), asked * 3 / 2) << "waste makes the windows small";
  EXPECT_GE(reader.hits(), 40 * 32 * 3 / 4);
}

TEST(Readahead, aSecondPassIsAScanLikeTheFirst) {
  Reader reader(planOf(64 * kMiB));
  for (int pass = 0; pass < 2; ++pass) {
    bool wide = false;
    for (std::uint64_t at = 0; at < 64 * kMiB; at += 256 * kKiB) {
      reader.read(at, 256 * kKiB);
      wide = wide || reader.wide();
    }
    EXPECT_TRUE(wide) << pass;
  }
}

TEST(Readahead, readingTheSamePlaceAgainIsNoScan) {
  Reader reader(planOf(kGiB));
  for (int i = 0; i < 100; ++i) {
    reader.read(5 * kMiB, 64 * kKiB);
    EXPECT_TRUE(reader.silent());
  }
}

TEST(Readahead, theEndOfTheObjectIsTheEnd) {
  Reader reader(planOf(9 * kMiB + 5));
  for (std::uint64_t at = 0; at < 9 * kMiB + 5; at += kMiB) reader.read(at, kMiB);
  EXPECT_EQ(reader.fetchedBytes(), 37 * kRun);
  reader.read(9 * kMiB, 100 * kMiB);
  reader.read(50 * kGiB, 1);
  reader.read(0, 0);
  EXPECT_TRUE(reader.silent());
}

TEST(Readahead, whatItRemembersIsBounded) {
  Readahead readahead({.max_objects = 3, .max_streams = 8, .max_all_streams = 20});
  std::vector<RunsAhead> ahead;
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    Plan plan = planOf(20 * kGiB);
    plan.key.bytes[0] = static_cast<std::byte>(random.below(5));
    readahead.read(plan, random.below(20 * kGiB), 4096, ahead);
    ASSERT_LE(readahead.objects(), 3U);
    ASSERT_LE(readahead.streams(), 20U);
  }
}

// Whatever is read, what is said lies in the object (the Reader checks it) and is bounded.
TEST(Readahead, anyReadsAtAllSayRangesInsideTheObject) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const std::uint64_t size = 1 + random.below(64 * kMiB);
    Reader reader(planOf(size, kMinChunkBits + static_cast<std::uint32_t>(random.below(7))));
    std::uint64_t at = 0;
    for (int i = 0; i < 500; ++i) {
      at = random.below(4) == 0 ? random.below(size) : (at + random.below(3) * 100'000) % size;
      reader.read(at, 1 + random.below(300'000));
    }
  }
}

}  // namespace
}  // namespace forebay::core
