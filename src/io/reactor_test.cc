#include "io/reactor.h"

#include <algorithm>
#include <future>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <vector>

#include "io/descriptor.h"
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

// Each of them may take a while: what others wait to hear mustn't wait for all.
TEST(Reactor, letsTimersAndTasksInBetweenManyReadyDescriptors) {
  constexpr int kReady = 100;
  const auto reactor = std::move(*Reactor::create());
  std::vector<Descriptor> ready;
  int seen = 0, seen_before_timer = 0, seen_before_task = 0;
  reactor->after(Duration{0}, [&] { seen_before_timer = seen; });
  for (int i = 0; i < kReady; ++i) {
    ready.emplace_back(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    const int fd = ready.back().get();
    const Status watched = reactor->watch(fd, EPOLLIN, [&, fd](std::uint32_t) {
      if (seen == 0) reactor->post([&] { seen_before_task = seen; });
      if (++seen == kReady) reactor->stop();
      reactor->unwatch(fd);
    });
    ASSERT_TRUE(watched);
  }
  reactor->run();
  EXPECT_EQ(seen, kReady);
  EXPECT_GT(seen_before_task, 0);
  EXPECT_LE(seen_before_task, kReady / 4);
  EXPECT_LE(seen_before_timer, kReady / 4);
}

// A loop in a thread of its own, and what a guest does with it.
class ReactorGuestTest : public testing::Test {
 protected:
  ~ReactorGuestTest() override {
    reactor_->stop();
    thread_.join();
  }
  // The loop's own thread goes aside, or has lost the chance by the time that this thread looks.
  bool enter() {
    for (int i = 0; i < 1'000; ++i) {
      std::promise<void> stepped;
      reactor_->post([&] {
        reactor_->stepAside();
        stepped.set_value();
      });
      stepped.get_future().wait();
      const TimePoint until = Reactor::now() + Reactor::kAside;
      while (Reactor::now() < until)
        if (reactor_->enter()) return true;
    }
    return false;
  }
  std::thread::id ownThread() {
    std::promise<std::thread::id> id;
    reactor_->post([&] { id.set_value(std::this_thread::get_id()); });
    return id.get_future().get();
  }
  std::unique_ptr<Reactor> reactor_ = std::move(*Reactor::create());
  std::thread thread_{[this] { reactor_->run(); }};
};

TEST_F(ReactorGuestTest, aLoopThatWasNotLeftAloneIsNotEntered) {
  ownThread();  // it runs
  EXPECT_FALSE(reactor_->enter());
}

TEST_F(ReactorGuestTest, aGuestIsTheLoopUntilItLeaves) {
  ASSERT_TRUE(enter());
  EXPECT_TRUE(reactor_->inLoop());
  bool ran = false, timer = false;
  reactor_->post([&] {
    ran = reactor_->inLoop();
    reactor_->after(1ms, [&] { timer = reactor_->inLoop(); });
  });
  reactor_->drive([&] { return timer; });
  EXPECT_TRUE(ran);
  EXPECT_TRUE(timer);
  reactor_->leave(true);
  EXPECT_FALSE(reactor_->inLoop());
  EXPECT_EQ(ownThread(), thread_.get_id());
}

TEST_F(ReactorGuestTest, whatOthersPostEndsTheVisitAndRunsInTheLoopsOwnThread) {
  ASSERT_TRUE(enter());
  std::promise<std::thread::id> id;
  std::thread other([&] { reactor_->post([&] { id.set_value(std::this_thread::get_id()); }); });
  reactor_->drive([] { return false; });
  reactor_->leave(true);
  EXPECT_EQ(id.get_future().get(), thread_.get_id());
  other.join();
}

TEST_F(ReactorGuestTest, onlyOneIsTheLoop) {
  ASSERT_TRUE(enter());
  std::thread other([&] { EXPECT_FALSE(reactor_->enter()); });
  other.join();
  reactor_->leave(true);
}

// What is left undone is the own thread's again at once.
TEST_F(ReactorGuestTest, aGuestThatLeavesWorkBehindCallsTheLoopBack) {
  ASSERT_TRUE(enter());
  std::promise<std::thread::id> id;
  reactor_->after(1ms, [&] { id.set_value(std::this_thread::get_id()); });
  reactor_->leave(false);
  EXPECT_EQ(id.get_future().get(), thread_.get_id());
}

TEST_F(ReactorGuestTest, theLoopEndsWhileItIsAsideAndWhileItHasAGuest) {
  ASSERT_TRUE(enter());
  std::thread stopper([&] { reactor_->stop(); });
  reactor_->drive([] { return false; });
  reactor_->leave(true);
  stopper.join();
}

}  // namespace
}  // namespace forebay::io
