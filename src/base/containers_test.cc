#include <gtest/gtest.h>

#include "base/block_pool.h"
#include "base/steady_vector.h"

namespace forebay {
namespace {

TEST(SteadyVector, itsElementsStayAndItsMemoryIsUsedAgain) {
  struct Fixed {
    explicit Fixed(int n, int& all) : number(n), living(all) { ++living; }
    ~Fixed() { --living; }
    Fixed(const Fixed&) = delete;
    Fixed& operator=(const Fixed&) = delete;
    int number;
    int& living;
  };
  int living = 0;
  const Fixed* first = nullptr;
  {
    SteadyVector<Fixed> all;
    for (const std::size_t count : {5U, 3U, 5U}) {
      all.reserve(count);
      for (std::size_t i = 0; i < count; ++i) all.emplace_back(static_cast<int>(i), living);
      EXPECT_EQ(living, static_cast<int>(count));
      EXPECT_EQ(all[count - 1].number, static_cast<int>(count) - 1);
      if (first == nullptr) first = &all[0];
      EXPECT_EQ(&all[0], first);
      EXPECT_EQ(all.capacity(), 5U);
      all.clear();
      EXPECT_EQ(living, 0);
    }
    all.emplace_back(1, living);
  }
  EXPECT_EQ(living, 0);
}

TEST(BlockPool, givesBlocksAgainAndOutlivesItsOwner) {
  using Small = std::array<int, 10>;
  using Large = std::array<int, 100>;
  auto pool = std::make_shared<BlockPool>(1);
  auto first = std::allocate_shared<Small>(PooledIn<Small>(pool));
  const void* const place = first.get();
  first.reset();
  for (int i = 0; i < 3; ++i) {
    const auto large = std::allocate_shared<Large>(PooledIn<Large>(pool));
    (*large)[99] = i;
    first = std::allocate_shared<Small>(PooledIn<Small>(pool));
    EXPECT_EQ(first.get(), place);
    auto second = std::allocate_shared<Small>(PooledIn<Small>(pool));
    EXPECT_NE(second.get(), place);
    first.reset();
    second.reset();  // beyond what is kept
  }
  first = std::allocate_shared<Small>(PooledIn<Small>(pool));
  pool.reset();
  (*first)[9] = 1;
  first.reset();
}

}  // namespace
}  // namespace forebay
