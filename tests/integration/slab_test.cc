// A node's slabs and a client that copies from them, while they are freed and used again.
#include "store/slab.h"

#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <thread>

#include "base/random.h"
#include "client/shared_slab.h"
#include "io/privileged.h"
#include "io/reactor.h"

namespace forebay {
namespace {

class SlabTest : public testing::Test {
 protected:
  void SetUp() override {
    auto directory = io::makePrivileged()->memoryDirectory(32 * kMiB);
    if (!directory) GTEST_SKIP() << directory.error().text();
    directory_ = std::move(*directory);
    slab_ = *store::SlabRegion::create(8 * kMiB, directory_.directory.get());
    shared_ =
        client::SharedSlab::of(*slab_->openForOthers(directory_.read_only.get()), slab_->id(), slab_->pageBytes());
    ASSERT_NE(shared_, nullptr);
  }
  wire::Place placeOf(const store::SlabExtent& extent) const {
    const std::uint64_t offset = slab_->offsetOf(slab_->at(extent));
    return {.offset = offset,
            .length = static_cast<std::uint32_t>(extent.bytes()),
            .generation = slab_->generationAt(offset)};
  }

  io::MemoryDirectory directory_;
  std::unique_ptr<store::SlabRegion> slab_;
  std::shared_ptr<const client::SharedSlab> shared_;
};

TEST_F(SlabTest, aPlaceThatCanNotBeIsRefused) {
  std::vector<std::byte> room(2 * kMiB);
  const MutableBytes into(room);
  const std::uint64_t end = slab_->pageBytes();
  for (const wire::Place& place : {wire::Place{.offset = end, .length = 1}, wire::Place{.offset = end - 1, .length = 2},
                                   wire::Place{.offset = UINT64_MAX, .length = UINT32_MAX}, wire::Place{.length = 0}}) {
    EXPECT_FALSE(shared_->copy(place, {&into, 1})) << place.offset;
    EXPECT_FALSE(shared_->pinned(place)) << place.offset;
  }
  EXPECT_FALSE(shared_->copy({.offset = 0, .length = 4'096, .generation = 1}, {&into, 1})) << "of another time";
  const MutableBytes small = into.first(10);
  EXPECT_FALSE(shared_->copy({.offset = 0, .length = 4'096, .generation = 0}, {&small, 1})) << "more than fits";
  EXPECT_EQ(client::SharedSlab::of(*slab_->openForOthers(directory_.read_only.get()), 1, 2 * end), nullptr)
      << "a file that is shorter";
}

TEST_F(SlabTest, whatIsCopiedWhileItIsFreedIsRightOrRefused) {
  struct Known {
    wire::Place place;
    std::byte byte;  // of all of it
  };
  std::mutex mutex;
  std::vector<Known> known(64);
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> right = 0, refused = 0, wrong = 0;
  std::vector<std::thread> readers;
  for (std::uint64_t t = 1; t <= 2; ++t) {
    readers.emplace_back([&, t] {
      Random random(t);
      std::vector<std::byte> room(store::kPage);
      while (!over) {
        Known asked;
        {
          const std::lock_guard lock(mutex);
          asked = known[random.below(known.size())];
        }
        if (asked.place.length == 0) continue;
        const std::uint64_t half = asked.place.length / 3;  // scattered
        const MutableBytes into[] = {MutableBytes(room).first(half),
                                     MutableBytes(room).subspan(half, asked.place.length - half)};
        if (!shared_->copy(asked.place, into)) {
          ++refused;
          continue;
        }
        const auto bytes = std::span(room).first(asked.place.length);
        const bool good = std::ranges::all_of(bytes, [&](std::byte byte) { return byte == asked.byte; });
        ++(good ? right : wrong);
      }
    });
  }
  Random random(99);
  std::vector<std::optional<store::SlabExtent>> held(known.size());
  const TimePoint end = io::Reactor::now() + 2s;
  for (std::uint32_t round = 0; io::Reactor::now() < end; ++round) {
    const std::size_t i = random.below(held.size());
    if (held[i]) slab_->free(*std::exchange(held[i], std::nullopt));
    if (round % 16 == 0) slab_->giveBack();
    auto extent = slab_->allocator().allocate(static_cast<std::uint32_t>(1 + random.below(30)));
    if (!extent && slab_->populate()) extent = slab_->allocator().allocate(1);
    if (!extent) continue;
    const auto byte = static_cast<std::byte>(round);
    std::memset(slab_->at(*extent), static_cast<int>(byte), extent->bytes());
    held[i] = extent;
    const std::lock_guard lock(mutex);
    known[i] = {.place = placeOf(*extent), .byte = byte};
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(right, 0U);
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace forebay
