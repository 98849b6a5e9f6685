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

TEST_F(NamesInACell, aLargeDirectorysPagesAreGivenByThoseWhoHaveThem) {
  constexpr std::size_t kNodes = 8, kNames = 11'000, kPages = 3;
  for (std::size_t i = 0; i < kNames; ++i) write("many/" + std::to_string(100'000 + i), "");
  startCell(kNodes);
  const auto names_at = [&](std::size_t node) {
    std::vector<std::string> names;
    std::string cursor;
    do {
      const auto page = list(node, "many", cursor);
      EXPECT_TRUE(page) << page.error().text();
      if (!page) break;
      for (const auto& entry : page->entries) names.push_back(entry.name);
      cursor = page->next_cursor;
    } while (!cursor.empty());
    return names;
  };
  std::vector<std::vector<std::string>> seen(kNodes - 1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i + 1 < kNodes; ++i) threads.emplace_back([&, i] { seen[i] = names_at(i); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen[0].size(), kNames);
  for (const auto& names : seen) EXPECT_TRUE(names == seen[0]);
  EXPECT_EQ(cellStatus().origin_lists(), kPages);
  // The owner is one of them or the last node: at least five ask it for each page, and two of them are sent it.
  EXPECT_GE(counted("forebay_name_asks_total"), 4 * kPages);
  EXPECT_GE(counted("forebay_name_in_stead_total"), 3 * kPages);

  // Nodes that have left aren't missed, whoever they were.
  for (const std::size_t gone : {0, 1, 2}) stopNode(gone);
  EXPECT_TRUE(names_at(kNodes - 1) == seen[0]);
}

}  // namespace
}  // namespace forebay
