// Slabs that clients read in place, as the arena gives them away.
#include "store/arena_fixture.h"
#include "store/slab.h"

namespace forebay::store {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture

class ArenaShareTest : public ArenaTest {
 protected:
  std::optional<View> view(Arena& arena, const Plan& plan) {
    return arena.view(now_, plan.key, 0, 0, static_cast<std::uint32_t>(plan.size));
  }
};

TEST_P(ArenaShareTest, placesTellWhenTheirBytesLeft) {
  auto arena = ARENA_OR_SKIP(16 * kMiB);
  const Plan plan = planOf(1, 100'000, 20);
  ASSERT_TRUE(loadChunk(*arena, plan, 0));
  auto seen = view(*arena, plan);
  ASSERT_TRUE(seen);
  const auto place = arena->placeOf(seen->pieces()[0]);
  if (!GetParam().tmpfs) {
    EXPECT_FALSE(place);
    EXPECT_EQ(arena->slabId(), 0U);
    const auto file = arena->exportSlab();
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Code::Unsupported);
    return;
  }
  const auto file = arena->exportSlab();
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->id, arena->slabId());
  ASSERT_TRUE(place);
  const auto generation = [&] {
    std::uint32_t value = 0;
    const auto at = file->page_bytes + place->offset / kUnit * sizeof value;
    EXPECT_EQ(::pread(file->file.get(), &value, sizeof value, static_cast<off_t>(at)), ssize_t{sizeof value});
    return value;
  };
  EXPECT_EQ(generation(), place->generation);
  std::vector<std::byte> bytes(plan.size), expected(plan.size);
  ASSERT_EQ(::pread(file->file.get(), bytes.data(), bytes.size(), static_cast<off_t>(place->offset)), ssize_t{100'000});
  writeExpected(plan, 0, expected);
  EXPECT_EQ(bytes, expected);
  arena->forget(plan.key);
  EXPECT_EQ(generation(), place->generation) << "it is being read";
  seen.reset();
  EXPECT_NE(generation(), place->generation);
  EXPECT_LE(arena->measuredBytes(), arena->capacityBytes());
}

TEST_P(ArenaShareTest, clientsPinAtMostTheirShareAndGiveItBack) {
  auto arena = ARENA_OR_SKIP(33 * kMiB);
  std::vector<std::shared_ptr<const void>> pins;
  std::vector<Plan> plans;
  for (std::uint64_t id = 0; id < 20; ++id) {
    plans.push_back(planOf(id, kMiB, 20));
    ASSERT_TRUE(loadChunk(*arena, plans.back(), 0));
    auto pin = arena->pinForClient(*view(*arena, plans.back()));
    ASSERT_EQ(pin.has_value(), id < 8) << "a quarter of 33 MiB";
    if (pin) pins.push_back(std::move(*pin));
  }
  EXPECT_EQ(arena->stats().client_pinned_bytes, 8 * kMiB);
  auto again = arena->pinForClient(*view(*arena, plans[0]));
  EXPECT_TRUE(again) << "what is held once costs nothing more";
  EXPECT_EQ(arena->stats().client_pinned_bytes, 8 * kMiB);
  pressOut(*arena, 100, 140);
  for (std::size_t id = 0; id < 8; ++id) expectRight(plans[id], 0, 0, *view(*arena, plans[id]));
  arena->forget(plans[0].key);
  pins.clear();
  EXPECT_EQ(arena->stats().client_pinned_bytes, kMiB) << "the second pin of the first";
  again = fail(Code::Cancelled, "");
  EXPECT_EQ(arena->stats().client_pinned_bytes, 0U);
  EXPECT_EQ(arena->stats().pinned_bytes, 0U);
  pressOut(*arena, 200, 240);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArenaShareTest, ::testing::Values(Kind{"Tmpfs", true}, Kind{"Slabs", false}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace forebay::store
