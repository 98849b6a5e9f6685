#include "node/page_maker.h"

#include <gtest/gtest.h>

#include "base/metrics.h"
#include "io/privileged.h"
#include "io/test_loop.h"

namespace forebay::node {
namespace {

class PageMakerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = io::makePrivileged()->memoryDirectory(128 * kMiB);
    if (!directory) GTEST_SKIP() << directory.error().text();
    store::ArenaOptions options{.capacity_bytes = 128 * kMiB};
    options.directory = std::move(*directory);
    options.wants_pages = [this] {
      if (maker_ != nullptr) maker_->wake();
    };
    arena_ = std::move(*store::Arena::create(std::move(options), metrics_));
    ASSERT_TRUE(arena_->addMount(1, {.cls = core::CacheClass::Hot}));
    loop_.in([&] { maker_ = std::make_unique<PageMaker>(loop_.reactor(), *arena_); });
  }
  void TearDown() override {
    loop_.in([&] {
      maker_.reset();
      arena_.reset();
    });
  }
  void take(std::uint8_t id) {
    core::Plan plan;
    plan.mount = 1;
    plan.size = 4 * kMiB;
    plan.chunk_bits = 22;
    plan.key.bytes[0] = std::byte{id};
    loop_.in([&] { ASSERT_TRUE(arena_->reserve(io::Reactor::now(), plan, {.chunk = 0, .runs = {0, 16}})); });
  }

  Metrics metrics_;
  std::unique_ptr<store::Arena> arena_;
  std::unique_ptr<PageMaker> maker_;
  io::TestLoop loop_;
};

TEST_F(PageMakerTest, makesWhatTheArenaWantsAfterAnObjectCame) {
  EXPECT_EQ(loop_.in([&] { return arena_->stats().spare_bytes; }), 0U);
  take(1);
  EXPECT_TRUE(loop_.until([&] { return arena_->stats().spare_bytes >= 8 * kMiB; })) << "a sixteenth";
  EXPECT_LE(loop_.in([&] { return arena_->measuredBytes(); }), loop_.in([&] { return arena_->usedBytes(); }));
}

TEST_F(PageMakerTest, endsInTheMiddleOfItsWork) {
  take(1);
  loop_.in([&] { maker_.reset(); });
  take(2);
  EXPECT_LE(loop_.in([&] { return arena_->usedBytes(); }), 128 * kMiB);
}

}  // namespace
}  // namespace forebay::node
