// Names and bytes that a whole cell is told to forget.
#include "cell_fixture.h"

namespace forebay {
namespace {

// A name's answer is believed for so long that only being told can end it.
constexpr const char* kPatient = "consistency = \"bounded:1d\"\nchunk_size = \"1MiB\"\n";

class ForgetTest : public CellTest {
 protected:
  wire::pb::RefreshReply refresh(std::size_t i, std::vector<std::string> paths) {
    const auto reply = client::wait<wire::pb::RefreshReply>(
        [&](auto done) { nodes[i].client->refresh("d", paths, deadline(), std::move(done)); });
    EXPECT_TRUE(reply) << reply.error().text();
    return reply ? *reply : wire::pb::RefreshReply();
  }
  Result<wire::pb::EvictReply> evict(std::size_t i, std::vector<std::string> paths) {
    return client::wait<wire::pb::EvictReply>(
        [&](auto done) { nodes[i].client->evict("d", paths, deadline(), std::move(done)); });
  }
  static std::string failuresOf(const auto& reply) {
    std::string text;
    for (const auto& node : reply.nodes())
      if (node.has_failure()) text += node.name() + ": " + node.failure().message() + "\n";
    return text;
  }
};

TEST_F(ForgetTest, afterARefreshEveryNodeSeesWhatTheOriginHasNow) {
  write("changes", "old");
  write("dir/goes", "x");
  startCell(3, kPatient);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(*cat(i, "changes"), "old");
    EXPECT_EQ(*cat(i, "dir/goes"), "x");
    EXPECT_EQ(stat(i, "comes").error().code, Code::NotFound);
    EXPECT_EQ(list(i, "dir")->entries.size(), 1U);
  }
  write("changes", "new bytes");
  write("comes", "here");
  fs::remove(dir / "data/dir/goes");
  write("dir/other", "y");
  EXPECT_EQ(*cat(1, "changes"), "old") << "else this shows nothing";
  const auto reply = refresh(1, {"changes", "comes", "dir"});
  EXPECT_EQ(failuresOf(reply), "");
  EXPECT_EQ(reply.nodes_size(), 3);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(*cat(i, "changes"), "new bytes") << i;
    EXPECT_EQ(*cat(i, "comes"), "here") << i;
    EXPECT_EQ(stat(i, "dir/goes").error().code, Code::NotFound) << i;
    EXPECT_EQ(list(i, "dir")->entries[0].name, "other") << i;
  }
}

TEST_F(ForgetTest, aRefreshOfANameDropsThePageThatListsIt) {
  for (const char* name : {"dir/a", "dir/b", "other/a"}) write(name, "old");
  startCell(1, kPatient);
  for (const char* directory : {"dir", "other"}) ASSERT_TRUE(list(0, directory));
  write("dir/a", "newer");
  write("other/a", "newer");
  refresh(0, {"dir/a"});
  EXPECT_EQ(*cat(0, "dir/a"), "newer");
  EXPECT_EQ(list(0, "dir")->entries[0].size, 5U);
  EXPECT_EQ(list(0, "other")->entries[0].size, 3U) << "nobody spoke of that one";
}

TEST_F(ForgetTest, aRefreshOfTheMountForgetsAll) {
  write("a", "old");
  write("x/y", "old");
  startCell(2, kPatient);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(*cat(i, "a"), "old");
    EXPECT_EQ(*cat(i, "x/y"), "old");
  }
  write("a", "newer");
  write("x/y", "newer");
  refresh(0, {""});
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(*cat(i, "a"), "newer");
    EXPECT_EQ(*cat(i, "x/y"), "newer");
  }
}

TEST_F(ForgetTest, whatIsEvictedLeavesEveryNodeAndIsFilledAgain) {
  const std::string big = randomText(5'000'000, 1), small = randomText(100'000, 2);
  write("big", big);
  write("dir/small", small);
  write("kept", small);
  startCell(3, kPatient);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(*cat(i, "big") == big, true);
    EXPECT_EQ(*cat(i, "dir/small") == small, true);
    EXPECT_EQ(*cat(i, "kept") == small, true);
  }
  const std::uint64_t before = cellStatus().origin_bytes();
  EXPECT_EQ(before, big.size() + 2 * small.size());
  const auto reply = evict(2, {"big", "dir"});
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(failuresOf(*reply), "");
  ASSERT_EQ(reply->nodes_size(), 3);
  std::uint64_t freed = 0;
  for (const auto& node : reply->nodes()) freed += node.bytes();
  EXPECT_GE(freed, big.size() + small.size());
  EXPECT_EQ(*cat(0, "kept") == small, true);
  EXPECT_EQ(cellStatus().origin_bytes(), before) << "what wasn't named is still there";
  EXPECT_EQ(*cat(1, "big") == big, true);
  EXPECT_EQ(*cat(1, "dir/small") == small, true);
  EXPECT_EQ(cellStatus().origin_bytes(), before + big.size() + small.size());
}

TEST_F(ForgetTest, aNodeThatIsDownIsNamedAndTheOthersDoTheirPart) {
  write("a", randomText(100'000, 3));
  startCell(3, kPatient);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(cat(i, "a"));
  stopNode(1);
  const auto evicted = evict(0, {"a"});
  ASSERT_TRUE(evicted) << evicted.error().text();
  EXPECT_EQ(failuresOf(*evicted).substr(0, 4), "n1: ");
  EXPECT_EQ(evicted->nodes_size(), 3);
  const auto refreshed = refresh(0, {"a"});
  EXPECT_EQ(failuresOf(refreshed).substr(0, 4), "n1: ");
  EXPECT_EQ(refreshed.nodes_size(), 3);
}

TEST_F(ForgetTest, aMountThatNobodyHasIsNotFound) {
  startCell(1);
  const std::string paths[] = {""};
  const auto reply = client::wait<wire::pb::EvictReply>(
      [&](auto done) { nodes[0].client->evict("none", paths, deadline(), std::move(done)); });
  EXPECT_EQ(reply.error().code, Code::NotFound);
}

}  // namespace
}  // namespace forebay
