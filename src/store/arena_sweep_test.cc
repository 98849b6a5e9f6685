#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"
#include "store/arena.h"

namespace forebay::store {
namespace {

using core::Plan;
using testing::UnorderedElementsAre;

constexpr core::MountId kMount = 1, kOther = 2;
constexpr std::uint64_t kSize = 100'000;

Plan planOf(const std::string& path, const std::string& version = "1", core::MountId mount = kMount) {
  Plan plan;
  plan.mount = mount;
  plan.path = path;
  plan.version = version;
  plan.size = kSize;
  plan.chunk_bits = 20;
  plan.key = core::objectKey(bytesOf("secret"), std::to_string(mount), path, version, kSize, 20);
  return plan;
}

class Sweeps : public testing::Test {
 protected:
  Sweeps() {
    EXPECT_TRUE(arena_->addMount(kMount, {}));
    EXPECT_TRUE(arena_->addMount(kOther, {}));
  }
  Reservation reserve(const Plan& plan) { return *arena_->reserve(now_, plan, {.chunk = 0, .runs = {0, 1}}); }
  void load(const Plan& plan) {
    Reservation got = reserve(plan);
    std::vector<std::uint32_t> crcs(got.granules());
    got.commit(crcs);
  }
  void loadAll(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) load(planOf(path));
  }
  bool has(const Plan& plan) const { return !arena_->held(plan.key).empty(); }
  std::vector<std::string> left(const std::vector<std::string>& paths) const {
    std::vector<std::string> there;
    for (const std::string& path : paths)
      if (has(planOf(path))) there.push_back(path);
    return there;
  }
  Sweep sweep(const std::string& path, std::size_t step = 1) {
    Sweep sweep{.mount = kMount, .path = path};
    for (int steps = 0; !sweep.done; ++steps) {
      EXPECT_LT(steps, 1000);
      arena_->evict(sweep, step);
    }
    return sweep;
  }

  Metrics metrics_;
  TimePoint now_ = TimePoint{} + 1000s;
  std::unique_ptr<Arena> arena_ =
      *Arena::create({.capacity_bytes = 32 * kMiB, .directory = {}, .eviction = {}}, metrics_);
};

TEST_F(Sweeps, takeWhatIsAtAPathAndBelowItAndNoNeighbour) {
  const std::vector<std::string> all{"a", "a!", "a/1", "a/2/x", "a0", "b", "a.", "/a"};
  loadAll(all);
  load(planOf("a", "1", kOther));
  const Sweep done = sweep("a");
  EXPECT_THAT(left(all), UnorderedElementsAre("a!", "a0", "b", "a.", "/a"));
  EXPECT_TRUE(has(planOf("a", "1", kOther))) << "of another mount";
  EXPECT_EQ(done.objects, 3U);
  EXPECT_GE(done.bytes, 3 * kSize);
  EXPECT_EQ(done.in_use_objects, 0U);
}

TEST_F(Sweeps, takeAllVersionsOfAName) {
  load(planOf("a", "1"));
  load(planOf("a", "2"));
  EXPECT_EQ(sweep("a").objects, 2U);
  EXPECT_EQ(arena_->stats().objects, 0U);
}

TEST_F(Sweeps, takeAllOfAMountWithItsIndex) {
  const std::uint64_t before = arena_->stats().index_bytes;
  std::vector<std::string> all;
  for (int i = 0; i < 50; ++i) all.push_back("dir" + std::to_string(i % 7) + "/" + std::to_string(i));
  loadAll(all);
  EXPECT_EQ(sweep("", 8).objects, 50U);
  EXPECT_EQ(arena_->stats().units, 0U);
  EXPECT_EQ(arena_->stats().index_bytes, before);
  EXPECT_EQ(sweep("").objects, 0U) << "of nothing there is nothing to take";
}

TEST_F(Sweeps, leaveAndCountWhatIsReadOrFilled) {
  loadAll({"read", "idle"});
  const auto view = arena_->view(now_, planOf("read").key, 0, 0, 1000);
  ASSERT_TRUE(view);
  const Reservation filling = reserve(planOf("filled"));
  const Sweep done = sweep("");
  EXPECT_EQ(done.objects, 1U);
  EXPECT_EQ(done.in_use_objects, 2U);
  EXPECT_GE(done.in_use_bytes, 2 * kSize);
  EXPECT_TRUE(has(planOf("read")));
  EXPECT_FALSE(has(planOf("idle")));
  EXPECT_TRUE(filling.wanted());
}

}  // namespace
}  // namespace forebay::store
