#include "node/loads.h"

#include "node/node_fixture.h"

namespace forebay::node {
namespace {

using testing::HasSubstr;

class LoadsTest : public NodeFixture {
 protected:
  LoadsTest() {
    loop.in([&] {
      loads = std::make_unique<Loads>(Loads::Deps{.reactor = loop.reactor(),
                                                  .self = self,
                                                  .cell = *cell,
                                                  .arena = *arena,
                                                  .chunks = *chunks,
                                                  .forget_after = 100ms});
    });
  }
  void takeDown() override { loads.reset(); }

  void addObject(const std::string& path, std::size_t size) {
    loop.in([&] { origin->objects[path] = {.content = randomText(size, 7)}; });
  }
  // Waits for the answer.
  std::vector<LoadedPart> goOn(const std::vector<std::string>& paths, Duration patience = 20s, bool anew = false) {
    std::optional<std::vector<LoadedPart>> answer;
    loop.in([&] {
      std::vector<SharedPlan> plans;
      for (const auto& path : paths) plans.push_back(planOf(path));
      const auto asked = loads->goOn(plans, {.copies = 1, .anew = anew}, io::Reactor::now() + patience,
                                     [&](std::vector<LoadedPart> parts) { answer = std::move(parts); });
      ASSERT_TRUE(asked);
      ASSERT_FALSE(answer) << "never inside the call";
    });
    EXPECT_TRUE(loop.until([&] { return answer.has_value(); }));
    return answer.value_or(std::vector<LoadedPart>());
  }
  std::uint64_t held(const std::string& path) {
    std::uint64_t sum = 0;
    loop.in([&] {
      for (const std::uint64_t bytes : arena->held(planOf(path)->key)) sum += bytes;
    });
    return sum;
  }

  std::unique_ptr<Loads> loads;
};

TEST_F(LoadsTest, bringEachObjectWhole) {
  addObject("large", 10'000'000);
  addObject("small", 10);
  addObject("empty", 0);
  const auto parts = goOn({"large", "small", "empty"});
  ASSERT_EQ(parts.size(), 3U);
  for (const auto& part : parts) EXPECT_TRUE(part.over && !part.error);
  EXPECT_EQ(parts[0].bytes, 10'000'000U);
  EXPECT_EQ(parts[1].bytes, 10U);
  EXPECT_EQ(parts[2].bytes, 0U);
  EXPECT_EQ(held("large"), 10'000'000U);
  loop.in([&] { EXPECT_EQ(origin->bytes, 10'000'010U); });
}

TEST_F(LoadsTest, askTheOriginForNothingThatIsHere) {
  addObject("o", 5'000'000);
  std::ignore = goOn({"o"});
  const auto again = goOn({"o"});
  EXPECT_EQ(again[0].bytes, 5'000'000U);
  loop.in([&] { EXPECT_EQ(origin->bytes, 5'000'000U); });
}

TEST_F(LoadsTest, bringAgainWhatLeftWhenAskedAnew) {
  addObject("o", 5'000'000);
  std::ignore = goOn({"o"});
  loop.in([&] { arena->forget(planOf("o")->key); });
  EXPECT_TRUE(goOn({"o"})[0].over) << "as far as whoever asked before is concerned";
  EXPECT_EQ(held("o"), 0U);
  EXPECT_EQ(goOn({"o"}, 20s, true)[0].bytes, 5'000'000U);
  EXPECT_EQ(held("o"), 5'000'000U);
}

TEST_F(LoadsTest, sayHowFarTheyAreWhenTimeIsUp) {
  addObject("o", 5'000'000);
  loop.in([&] { origin->hold(); });
  const auto early = goOn({"o"}, 50ms);
  EXPECT_FALSE(early[0].over);
  EXPECT_EQ(early[0].bytes, 0U);
  loop.in([&] { origin->letGo(); });
  EXPECT_EQ(goOn({"o"})[0].bytes, 5'000'000U);
}

TEST_F(LoadsTest, thatNobodyAsksAboutBeginNothingMore) {
  addObject("o", 20'000'000);
  loop.in([&] { origin->hold(); });
  std::ignore = goOn({"o"}, 0ms);
  int gets = 0;
  loop.in([&] { gets = origin->gets; });
  EXPECT_GT(gets, 0);
  EXPECT_LT(gets, 20);
  std::this_thread::sleep_for(300ms);
  loop.in([&] { origin->letGo(); });
  EXPECT_TRUE(loop.until([&] { return cell->fetches() == 0; }));
  loop.in([&] { EXPECT_EQ(origin->gets, gets); });
  // Whoever asks again goes on from there.
  EXPECT_EQ(goOn({"o"})[0].bytes, 20'000'000U);
  loop.in([&] { EXPECT_EQ(origin->bytes, 20'000'000U); });
}

TEST_F(LoadsTest, tryAgainWhatMayWorkLater) {
  addObject("o", 3'000'000);
  loop.in([&] { origin->down = Error{Code::Unavailable, "no answer", 0}; });
  EXPECT_FALSE(goOn({"o"}, 100ms)[0].over);
  loop.in([&] { origin->down.reset(); });
  const auto parts = goOn({"o"});
  EXPECT_EQ(parts[0].bytes, 3'000'000U);
  EXPECT_FALSE(parts[0].error) << parts[0].error->message;
}

TEST_F(LoadsTest, giveUpWhatIsGone) {
  addObject("o", 30'000'000);
  addObject("other", 100);
  SharedPlan plan;
  loop.in([&] {
    plan = planOf("o");
    origin->objects["o"].version = "v2";
  });
  std::optional<std::vector<LoadedPart>> answer;
  loop.in([&] {
    const SharedPlan plans[] = {plan, planOf("other")};
    ASSERT_TRUE(loads->goOn(plans, {}, io::Reactor::now() + 20s,
                            [&](std::vector<LoadedPart> parts) { answer = std::move(parts); }));
  });
  ASSERT_TRUE(loop.until([&] { return answer.has_value(); }));
  ASSERT_TRUE((*answer)[0].error);
  EXPECT_EQ((*answer)[0].error->code, Code::Gone);
  EXPECT_EQ((*answer)[1].bytes, 100U);
  EXPECT_FALSE((*answer)[1].error);
}

TEST_F(LoadsTest, ofMoreThanThereIsRoomForSaySo) {
  addObject("o", 60'000'000);
  const auto parts = goOn({"o"}, 60s);
  EXPECT_TRUE(parts[0].over);
  EXPECT_GT(parts[0].bytes, kArena / 2);
  EXPECT_LE(parts[0].bytes, held("o"));
  ASSERT_TRUE(parts[0].error);
  EXPECT_THAT(parts[0].error->message, HasSubstr("no room"));
}

}  // namespace
}  // namespace forebay::node
