// Names in a cell whose nodes die.
#include "cell_fixture.h"

namespace forebay {
namespace {

using NamesInACell = CellTest;

TEST_F(NamesInACell, aThousandOpensGoOnWhenAnOwnerOfNamesDies) {
  constexpr std::size_t kNames = 1'000;
  for (std::size_t i = 0; i < kNames; ++i) write("f" + std::to_string(i), std::string(1 + i, 'x'));
  startCell(3);
  std::atomic<std::size_t> ended = 0, right = 0;
  std::mutex mutex;
  std::string why;
  for (std::size_t i = 0; i < kNames; ++i) {
    nodes[i % 2].client->resolve("d", "f" + std::to_string(i), {.object_only = true}, deadline(),
                                 [&, i](Result<Attributes> found) {
                                   if (found && found->plan.size == 1 + i) ++right;
                                   if (!found) {
                                     const std::lock_guard lock(mutex);
                                     why = found.error().text();
                                   }
                                   ++ended;
                                 });
    if (i == kNames / 2) stopNode(2);
  }
  while (ended < kNames) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(right, kNames) << why;
}

}  // namespace
}  // namespace forebay
