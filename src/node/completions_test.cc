#include "node/completions.h"

#include "node/node_fixture.h"

namespace forebay::node {
namespace {

class CompletionsTest : public NodeFixture {
 protected:
  CompletionsTest() {
    loop.in([&] {
      completions = std::make_unique<Completions>(Completions::Deps{
          .reactor = loop.reactor(), .self = self, .cell = *cell, .arena = *arena, .chunks = *chunks});
    });
  }
  void takeDown() override { completions.reset(); }

  void addObject(const std::string& path, std::size_t size) {
    loop.in([&] { origin->objects[path] = {.content = randomText(size, 7)}; });
  }
  bool worth(const std::string& path, Duration within) {
    bool answer = false;
    loop.in([&] { answer = completions->worth(*planOf(path), within); });
    return answer;
  }
  void bring(const std::string& path, Duration within, int* done) {
    loop.in([&] {
      completions->bring(planOf(path), within, [this, done](const Status& how) {
        brought = how;
        ++*done;
      });
      EXPECT_EQ(*done, 0) << "never inside the call";
    });
  }
  std::uint64_t held(const std::string& path) {
    std::uint64_t sum = 0;
    loop.in([&] {
      for (const std::uint64_t bytes : arena->held(planOf(path)->key)) sum += bytes;
    });
    return sum;
  }
  // `done` is written in the loop.
  bool reaches(const int& done, int wanted) {
    return loop.until([&] { return done == wanted; });
  }

  std::unique_ptr<Completions> completions;
  Status brought;  // the last one that was told
};

TEST_F(CompletionsTest, bringWhatIsMissingAndSayWhenItIsHere) {
  addObject("o", 5'000'000);
  int done = 0;
  EXPECT_TRUE(worth("o", 100ms));
  bring("o", 20s, &done);
  ASSERT_TRUE(reaches(done, 1));
  EXPECT_EQ(held("o"), 5'000'000U);
  loop.in([&] {
    EXPECT_EQ(origin->bytes, 5'000'000U);
    EXPECT_EQ(completions->running(), 0U);
  });
  int again = 0;
  bring("o", 20s, &again);
  ASSERT_TRUE(reaches(again, 1));
  loop.in([&] { EXPECT_EQ(origin->bytes, 5'000'000U) << "what is here isn't asked for again"; });
}

TEST_F(CompletionsTest, areNotWorthItWhereTheyWouldTakeLonger) {
  addObject("small", 5'000'000);
  addObject("large", 30'000'000);
  addObject("hopeless", 60'000'000);
  EXPECT_TRUE(worth("small", 100ms)) << "64 MiB/s is the guess";
  EXPECT_FALSE(worth("small", 50ms));
  EXPECT_FALSE(worth("large", 100ms));
  EXPECT_TRUE(worth("large", 10s));
  EXPECT_FALSE(worth("hopeless", 3600s)) << "larger than the arena";
}

TEST_F(CompletionsTest, learnHowFastBytesCome) {
  addObject("slow", 5'000'000);
  addObject("next", 5'000'000);
  loop.in([&] { origin->hold(); });
  int done = 0;
  bring("slow", 20s, &done);
  ASSERT_TRUE(loop.until([&] { return origin->held() > 0; }));
  std::this_thread::sleep_for(200ms);
  loop.in([&] { origin->letGo(); });
  ASSERT_TRUE(reaches(done, 1));
  EXPECT_FALSE(worth("next", 100ms)) << "as much took 200 ms";
  EXPECT_TRUE(worth("slow", 0ms)) << "it is here";
}

TEST_F(CompletionsTest, countWhatOtherOpensWaitFor) {
  addObject("one", 5'000'000);
  addObject("other", 5'000'000);
  loop.in([&] { origin->hold(); });
  int done = 0;
  bring("one", 20s, &done);
  EXPECT_FALSE(worth("other", 100ms)) << "it comes after that";
  EXPECT_TRUE(worth("one", 100ms)) << "this one comes anyhow";
  loop.in([&] { origin->letGo(); });
  ASSERT_TRUE(reaches(done, 1));
}

TEST_F(CompletionsTest, bringAnObjectOnceForAllWhoOpenIt) {
  addObject("o", 5'000'000);
  loop.in([&] { origin->hold(); });
  int done = 0;
  for (int i = 0; i < 3; ++i) loop.in([&] { completions->bring(planOf("o"), 20s, [&](const Status&) { ++done; }); });
  loop.in([&] {
    EXPECT_EQ(completions->running(), 1U);
    origin->letGo();
  });
  ASSERT_TRUE(reaches(done, 3));
  loop.in([&] { EXPECT_EQ(origin->bytes, 5'000'000U); });
}

TEST_F(CompletionsTest, goOnWhenTheTimeIsOver) {
  addObject("o", 20'000'000);
  loop.in([&] { origin->hold(); });
  int done = 0;
  bring("o", 30ms, &done);
  ASSERT_TRUE(reaches(done, 1));
  EXPECT_EQ(held("o"), 0U);
  loop.in([&] { origin->letGo(); });
  EXPECT_TRUE(loop.until([&] { return completions->running() == 0; }));
  EXPECT_EQ(held("o"), 20'000'000U);
  EXPECT_EQ(done, 1) << "told once";
}

TEST_F(CompletionsTest, endAtTheFirstError) {
  addObject("o", 5'000'000);
  loop.in([&] { origin->down = Error{Code::Unavailable, "no answer", 0}; });
  int done = 0;
  const auto begun = std::chrono::steady_clock::now();
  bring("o", 20s, &done);
  ASSERT_TRUE(reaches(done, 1));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  ASSERT_FALSE(brought);
  EXPECT_EQ(brought.error().code, Code::Unavailable) << brought.error().text();
  EXPECT_TRUE(loop.until([&] { return completions->running() == 0; }));
  EXPECT_TRUE(worth("o", 100ms)) << "the next open may try";
}

TEST_F(CompletionsTest, restWhereTheArenaHasNoRoom) {
  addObject("o", kArena - 1'000'000);  // its index takes the rest, and what passes through has a share
  addObject("small", 2'000'000);
  EXPECT_TRUE(worth("small", 10s));
  int done = 0;
  bring("o", 20s, &done);
  ASSERT_TRUE(reaches(done, 1));
  EXPECT_LT(held("o"), kArena - 1'000'000);
  EXPECT_FALSE(worth("small", 10s));
}

TEST_F(CompletionsTest, areLeftWhereTheNodeEnds) {
  addObject("o", 5'000'000);
  loop.in([&] { origin->hold(); });
  int done = 0;
  bring("o", 20s, &done);
  ASSERT_TRUE(loop.until([&] { return origin->held() > 0; }));
  loop.in([&] { completions.reset(); });
  loop.in([&] { origin->letGo(); });
  EXPECT_TRUE(loop.until([&] { return cell->fetches() == 0; }));
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace forebay::node
