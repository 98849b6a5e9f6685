#include "io/reactor.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "io/test_loop.h"

namespace forebay::io {
namespace {

// The loop isn't woken for what it posts to itself, so it must not wait before it has looked.
TEST(Reactor, runsWhatItsTasksPostWithoutAnythingElseHappening) {
  const auto reactor = std::move(*Reactor::create());
  int left = 1'000;
  std::function<void()> again = [&] {
    if (--left > 0) return reactor->post([&] { again(); });
    reactor->stop();
  };
  reactor->post([&] { again(); });
  reactor->run();
  EXPECT_EQ(left, 0);
}

TEST(Reactor, runsWhatATimerPosts) {
  const auto reactor = std::move(*Reactor::create());
  bool ran = false;
  reactor->after(1ms, [&] {
    reactor->post([&] {
      ran = true;
      reactor->stop();
    });
  });
  reactor->run();
  EXPECT_TRUE(ran);
}

TEST(Reactor, runsWhatOthersPostWhileItPostsToItself) {
  constexpr int kTasks = 20'000;
  TestLoop loop;
  std::vector<int> order;
  int own = 0;
  for (int i = 0; i < kTasks; ++i) {
    loop.reactor().post([&, i] {
      order.push_back(i);
      loop.reactor().post([&] { ++own; });
    });
  }
  EXPECT_TRUE(loop.until([&] { return own == kTasks; })) << "a task was forgotten";
  EXPECT_EQ(order.size(), static_cast<std::size_t>(kTasks));
  EXPECT_TRUE(std::ranges::is_sorted(order)) << "posted by one thread, run in another order";
}

}  // namespace
}  // namespace forebay::io
