// A cell of nodes in one process, with a real client: bytes are right, filled once, and survive the loss of nodes.
#include "cell_fixture.h"

namespace forebay {
namespace {

TEST_F(CellTest, oneNodeServesADirectory) {
  const std::string big = randomText(20'000'001, 1);
  write("big", big);
  write("a b/\xc3\xa4%", "small");
  write("empty", "");
  startCell(1);
  EXPECT_EQ(*cat(0, "big"), big);
  EXPECT_EQ(*cat(0, "a b/\xc3\xa4%"), "small");
  EXPECT_EQ(*cat(0, "empty"), "");
  EXPECT_TRUE(stat(0, "a b")->directory);
  EXPECT_EQ(stat(0, "nothing").error().code, Code::NotFound);
  EXPECT_EQ(cellStatus().origin_bytes(), big.size() + 5);
  const auto page = list(0, "");
  ASSERT_TRUE(page) << page.error().text();
  ASSERT_EQ(page->entries.size(), 3U);
  EXPECT_EQ(page->entries[1].name, "big");
  EXPECT_EQ(page->entries[1].size, big.size());
  EXPECT_EQ(list(0, "none").error().code, Code::NotFound);
}

TEST_F(CellTest, rangesOfEveryAlignmentAreRight) {
  const std::string text = randomText(3'333'333, 2);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  const auto plan = stat(0, "f")->plan;
  EXPECT_EQ(plan.chunkSize(), kMiB);
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t offset = random.below(text.size() + 100);
    const std::size_t length = random.below(i % 2 == 0 ? 5'000 : 2'500'000);
    const std::string expected = offset < text.size() ? text.substr(offset, length) : "";
    const auto got = read(0, plan, offset, length);
    ASSERT_TRUE(got) << got.error().text();
    ASSERT_EQ(*got == expected, true) << offset << "+" << length;
  }
}

TEST_F(CellTest, manyReadersOverThreeNodesCostTheOriginEachByteOnce) {
  const std::string text = randomText(50'000'000, 4);
  write("shard", text);
  startCell(3);
  const auto plan = stat(0, "shard")->plan;
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 12; ++r)
    readers.emplace_back([&, r] {
      const auto got = read(static_cast<std::size_t>(r % 3), plan, 0, text.size());
      if (!got || *got != text) {
        ++wrong;
        if (!got) ADD_FAILURE() << got.error().text();
      }
    });
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  const auto status = cellStatus();
  EXPECT_EQ(status.origin_bytes(), text.size());
  EXPECT_EQ(status.direct_bytes(), status.peer_bytes());
  EXPECT_GT(status.peer_bytes(), text.size());
}

TEST_F(CellTest, aListingsPlansCostNoRequestPerName) {
  for (int i = 0; i < 300; ++i) write("many/f" + std::to_string(i), "text " + std::to_string(i));
  startCell(3);
  std::size_t names = 0;
  std::string cursor;
  do {
    const auto page = list(1, "many", cursor, {.max = 100, .raw = false});
    ASSERT_TRUE(page) << page.error().text();
    names += page->entries.size();
    cursor = page->next_cursor;
  } while (!cursor.empty());
  EXPECT_EQ(names, 300U);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(*cat(1, "many/f" + std::to_string(i)), "text " + std::to_string(i));
  EXPECT_EQ(cellStatus().origin_heads(), 0U);
  EXPECT_EQ(cellStatus().origin_gets(), 300U);
}

TEST_F(CellTest, readersGoOnWhenNodesDie) {
  const std::string text = randomText(60'000'000, 5);
  write("shard", text);
  startCell(4, "chunk_size = \"1MiB\"\n");
  const auto plan = stat(0, "shard")->plan;
  std::atomic<int> rounds{0};
  std::thread reader([&] {
    Random random(6);
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t offset = random.below(text.size());
      const std::size_t length = std::min<std::size_t>(3'000'000, text.size() - offset);
      const auto got = read(0, plan, offset, length);
      if (!got)
        ADD_FAILURE() << got.error().text();
      else
        EXPECT_TRUE(*got == text.substr(offset, length));
      ++rounds;
    }
  });
  while (rounds < 10) std::this_thread::yield();
  stopNode(2);
  while (rounds < 20) std::this_thread::yield();
  stopNode(1);
  stopNode(3);
  reader.join();
  EXPECT_EQ(rounds, 60);
}

TEST_F(CellTest, aChangedObjectIsGoneForOldPlansAndNewForNewOnes) {
  const std::string before = randomText(5'000'000, 7), after = randomText(6'000'000, 8);
  write("f", before);
  startCell(2, "consistency = \"open\"\nchunk_size = \"1MiB\"\n");
  const auto old = stat(0, "f")->plan;
  ASSERT_EQ(*read(0, old, 0, kMiB), before.substr(0, kMiB));
  write("f", after);
  EXPECT_EQ(*read(0, old, 0, kMiB), before.substr(0, kMiB));  // cached: the old version, whole
  const auto gone = read(0, old, 4 * kMiB, 1000);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::Gone);
  const auto fresh = stat(0, "f", {.object_only = false, .revalidate = true});
  ASSERT_TRUE(fresh);
  EXPECT_NE(fresh->plan.version, old.version);
  EXPECT_TRUE(*read(1, fresh->plan, 0, after.size()) == after);
}

TEST_F(CellTest, anObjectLargerThanTheArenaIsReadWhole) {
  const std::string text = randomText(300'000'000, 9);
  write("large", text);
  startCell(1);
  const auto plan = stat(0, "large")->plan;
  for (std::uint64_t at = 0; at < text.size(); at += 10'000'000) {
    const auto got = read(0, plan, at, 10'000'000);
    ASSERT_TRUE(got) << at << ": " << got.error().text();
    ASSERT_TRUE(*got == text.substr(at, 10'000'000)) << at;
  }
}

TEST_F(CellTest, aMountIsAddedOnceHoweverManyAskForIt) {
  startCell(1);
  write("sub/f", "text");
  node::MountConfig mount;
  mount.name = "added";
  mount.url = *origin::parseUrl("file://" + (dir / "data/sub").string());
  std::vector<std::thread> commands;
  for (int i = 0; i < 4; ++i)
    commands.emplace_back([&] {
      const auto name = client::wait<std::string>(
          [&](auto done) { nodes[0].client->addMount(node::toRequest(mount), deadline(), std::move(done)); });
      EXPECT_TRUE(name) << name.error().text();
    });
  for (auto& command : commands) command.join();
  const auto f = client::wait<Attributes>(
      [&](auto done) { nodes[0].client->resolve("added", "f", {}, deadline(), std::move(done)); });
  ASSERT_TRUE(f) << f.error().text();
  EXPECT_EQ(*read(0, f->plan, 0, 10), "text");
}

TEST_F(CellTest, aMountWhoseOriginDoesntAnswerGoesAgainAndCanBeMadeAnew) {
  startCell(1);
  write("sub/f", "text");
  node::MountConfig mount;
  mount.name = "added";
  mount.url = *origin::parseUrl("s3://bucket");
  mount.origin.endpoint = "http://127.0.0.1:1";
  mount.origin.region = "test";
  mount.origin.anonymous = true;
  const auto add = [&] {
    return client::wait<std::string>(
        [&](auto done) { nodes[0].client->addMount(node::toRequest(mount), deadline(), std::move(done)); });
  };
  ASSERT_FALSE(add());
  const auto resolve = [&] {
    return client::wait<Attributes>(
        [&](auto done) { nodes[0].client->resolve("added", "f", {}, deadline(), std::move(done)); });
  };
  EXPECT_EQ(resolve().error().code, Code::NotFound);
  mount.url = *origin::parseUrl("file://" + (dir / "data/sub").string());
  const auto name = add();
  ASSERT_TRUE(name) << name.error().text();
  EXPECT_TRUE(resolve());
}

TEST_F(CellTest, whatIsntThereIsNotFoundOnEveryNode) {
  startCell(3);
  for (int round = 0; round < 2; ++round)
    for (std::size_t i = 0; i < 3; ++i)
      for (const char* path : {"none", "no/ne", "f"}) EXPECT_EQ(stat(i, path).error().code, Code::NotFound);
  EXPECT_LT(cellStatus().origin_heads(), 18U);  // believed, here and of an owner
}

TEST_F(CellTest, aForgedPlanIsRefused) {
  write("f", "text");
  startCell(1);
  auto plan = stat(0, "f")->plan;
  plan.path = "../secret";
  EXPECT_EQ(read(0, plan, 0, 4).error().code, Code::PermissionDenied);
}

}  // namespace
}  // namespace forebay
