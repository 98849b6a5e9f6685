// An arena in which anything happens, from a seed.
#include <cstdlib>
#include <map>
#include <set>

#include "base/random.h"
#include "store/arena_fixture.h"
#include "store/slab.h"

namespace forebay::store {
namespace {

using core::Plan;
using test::expectRight, test::fill, test::Kind, test::kMount, test::kOther, test::planOf;

// Anything in any order, checked against what was committed: bytes are right, nothing shows that wasn't committed,
// what is in use stays, and the kernel never counts more than the cap.
class Chaos {
 public:
  Chaos(Arena& arena, std::uint64_t seed, std::uint64_t capacity) : arena_(arena), random_(seed), capacity_(capacity) {
    for (std::uint64_t id = 0; id < 60; ++id) plans_.push_back(randomPlan(id));
  }
  void step(TimePoint now) {
    const Plan& plan = plans_[random_.below(plans_.size())];
    const std::uint64_t dice = random_.below(106);
    if (dice >= 100) return makeReady();
    if (dice < 45) return reserve(now, plan);
    if (dice < 65) return advance();
    if (dice < 90) return read(now, plan);
    if (dice < 95) return dropView();
    if (dice < 97) {
      arena_.forget(plan.key);
      return;
    }
    if (dice < 98) return arena_.jobEnded(now, plan.mount);
    if (auto file = arena_.exportObject(now, plan.key)) {
      files_.push_back(std::move(*file));
      if (files_.size() > 2) files_.erase(files_.begin());
    }
  }
  void finish() {
    if (making_) makeReady();
    filling_.clear();
    views_.clear();
    files_.clear();
    for (const Plan& plan : plans_) arena_.forget(plan.key);
  }

 private:
  struct Filling {
    const Plan* plan;
    std::uint32_t chunk;
    Reservation reservation;
  };
  struct Held {
    const Plan* plan;
    std::uint32_t chunk, offset;
    View view;
  };
  Plan randomPlan(std::uint64_t id) {
    constexpr std::uint64_t kOdd[] = {0, 1, 4095, 4096, 65'535, 65'536, 262'145, 2 * kMiB - 1, 2 * kMiB, 2 * kMiB + 1};
    std::uint64_t size = random_.below(capacity_ / 4);
    if (id % 3 == 0) size = kOdd[random_.below(std::size(kOdd))];
    if (id % 3 == 1) size = random_.below(300 * kKiB);
    if (id % 20 == 19) size = capacity_ * 2 + random_.below(1000);
    return planOf(id, size, 20 + static_cast<std::uint32_t>(random_.below(7)), id % 2 == 0 ? kMount : kOther);
  }
  // Written in one step, or while other things happen.
  void makeReady() {
    if (!making_) {
      making_ = arena_.pagesToMakeReady();
      if (making_) ++made_ready;
      return;
    }
    making_->write();
    arena_.madeReady(*making_);
    making_.reset();
    arena_.ageSpares();
  }
  std::optional<std::uint32_t> anyChunk(const Plan& plan) {
    if (plan.chunks() == 0) return std::nullopt;
    return static_cast<std::uint32_t>(random_.below(plan.chunks()));
  }
  void reserve(TimePoint now, const Plan& plan) {
    const auto chunk = anyChunk(plan);
    if (!chunk) return;
    const auto runs = static_cast<std::uint32_t>(divideUp(plan.chunkLength(*chunk), core::kRun));
    const auto first = static_cast<std::uint32_t>(random_.below(runs));
    const std::uint32_t most = random_.chance(500'000) ? runs - first : 1;
    auto got = arena_.reserve(now, plan,
                              {.chunk = *chunk,
                               .runs = {first, first + 1 + static_cast<std::uint32_t>(random_.below(most))},
                               .transit = random_.chance(200'000)});
    if (!got) return;
    filling_.push_back({&plan, *chunk, std::move(*got)});
    if (random_.chance(600'000)) complete(filling_.size() - 1);
    if (filling_.size() > 4) complete(random_.below(filling_.size()));
  }
  void complete(std::size_t i) {
    Filling& f = filling_[i];
    fill(*f.plan, f.chunk, f.reservation, f.reservation.granules());
    if (f.reservation.wanted())
      EXPECT_TRUE(arena_.view(TimePoint{}, f.plan->key, f.chunk, f.reservation.chunkOffset(), f.reservation.size()))
          << "what was just filled stays while it is in use";
    filling_.erase(filling_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void advance() {
    if (filling_.empty()) return;
    const std::size_t i = random_.below(filling_.size());
    if (random_.chance(200'000)) {
      filling_.erase(filling_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
    Filling& f = filling_[i];
    fill(*f.plan, f.chunk, f.reservation,
         static_cast<std::uint32_t>(f.reservation.committedGranules() + random_.below(8)));
  }
  void read(TimePoint now, const Plan& plan) {
    const auto chunk = anyChunk(plan);
    if (!chunk) return;
    const core::RunSet present = arena_.present(plan.key, *chunk);
    const std::uint32_t length = plan.chunkLength(*chunk);
    const auto offset = static_cast<std::uint32_t>(random_.below(length));
    const auto bytes =
        static_cast<std::uint32_t>(1 + random_.below(std::min<std::uint64_t>(length - offset, 3 * kMiB)));
    const core::RunRange runs = core::runsOf(offset, bytes);
    bool all = true;
    for (std::uint32_t run = runs.first; run < runs.end; ++run) all = all && present.has(run);
    auto view = arena_.view(now, plan.key, *chunk, offset, bytes);
    ASSERT_EQ(view.has_value(), all);
    if (!view) return;
    expectRight(plan, *chunk, offset, *view);
    if (random_.chance(300'000) && views_.size() < 6) views_.push_back({&plan, *chunk, offset, std::move(*view)});
  }
  void dropView() {
    if (views_.empty()) return;
    expectRight(*views_.front().plan, views_.front().chunk, views_.front().offset, views_.front().view);
    views_.erase(views_.begin());
  }

  Arena& arena_;
  Random random_;
  std::uint64_t capacity_;
  std::vector<Plan> plans_;
  std::vector<Filling> filling_;
  std::vector<Held> views_;
  std::vector<io::Descriptor> files_;
  std::optional<PagesToMakeReady> making_;

 public:
  int made_ready = 0;
};

class ArenaChaosTest : public test::ArenaTest {};

TEST_P(ArenaChaosTest, survivesAnything) {
  const char* from = std::getenv("FOREBAY_SEED");  // for long runs, and to repeat one
  const std::uint64_t first = from == nullptr ? 1 : std::strtoull(from, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + 4; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    const std::uint64_t capacity = (16ULL << (seed % 3)) * kMiB;
    auto arena = ARENA_OR_SKIP(capacity, seed % 2 == 0 ? 0 : 5);
    const std::uint64_t index_before = arena->stats().index_bytes;
    Chaos chaos(*arena, seed, capacity);
    for (int i = 0; i < 1000; ++i) {
      now_ += 200ms;
      chaos.step(now_);
      const ArenaStats stats = arena->stats();
      ASSERT_LE(stats.used, capacity) << "step " << i;
      ASSERT_LE(arena->measuredBytes(), capacity) << "step " << i;
      if (HasFatalFailure()) return;
    }
    chaos.finish();
    EXPECT_EQ(chaos.made_ready > 0, GetParam().tmpfs && capacity >= 32 * kMiB);
    const ArenaStats stats = arena->stats();
    EXPECT_EQ(stats.objects, 0U);
    EXPECT_EQ(stats.units, 0U);
    EXPECT_EQ(stats.regions, 0U);
    EXPECT_EQ(stats.region_bytes, 0U);
    EXPECT_EQ(stats.pinned_bytes, 0U);
    EXPECT_EQ(stats.slab_bytes, stats.slab_free);
    EXPECT_GE(stats.evicted_units, 10U);
    EXPECT_LE(stats.index_bytes, index_before + 64 * kKiB) << "ghosts alone";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArenaChaosTest, ::testing::Values(Kind{"Tmpfs", true}, Kind{"Slabs", false}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace forebay::store
