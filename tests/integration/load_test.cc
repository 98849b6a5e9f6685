// Objects brought into a cell before anybody reads them: onto their owners, onto some nodes, onto all.
#include "cell_fixture.h"

namespace forebay {
namespace {

class LoadTest : public CellTest {
 protected:
  Result<wire::pb::LoadReply> step(std::size_t i, std::vector<core::Plan> plans, const client::LoadTarget& target) {
    return client::wait<wire::pb::LoadReply>(
        [&](auto done) { nodes[i].client->load(plans, target, deadline(), std::move(done)); });
  }
  // The last answer, with everything over.
  wire::pb::LoadReply load(std::size_t i, const std::vector<core::Plan>& plans, client::LoadTarget target) {
    wire::pb::LoadReply reply;
    for (int steps = 0; steps < 200; ++steps) {
      auto answer = step(i, plans, target);
      EXPECT_TRUE(answer) << answer.error().text();
      if (!answer) break;
      reply = std::move(*answer);
      if (std::ranges::all_of(reply.items(), [](const auto& item) { return item.over(); })) return reply;
      for (const auto& node : reply.silent()) target.without.push_back(node.id());
      if (reply.silent_size() > 0)
        target.without.erase(std::ranges::unique(target.without).begin(), target.without.end());
    }
    ADD_FAILURE() << "not over";
    return reply;
  }
  // Bytes of the object on each node that runs.
  std::map<std::string, std::uint64_t> heldBy(const std::string& path, std::size_t through = 0) {
    const auto where = client::wait<client::Where>(
        [&](auto done) { nodes[through].client->where("d", path, deadline(), std::move(done)); });
    EXPECT_TRUE(where) << where.error().text();
    std::map<std::string, std::uint64_t> held;
    for (const auto& chunk : where->chunks)
      for (const auto& [node, bytes] : chunk.holders) held[node] += bytes;
    return held;
  }
  static constexpr const char* kSmallChunks = "chunk_size = \"1MiB\"\n";
};

TEST_F(LoadTest, onceCostsTheOriginEachByteOnceAndNoOtherNodeAnything) {
  const std::string text = randomText(20'000'001, 1);
  write("model", text);
  startCell(3, kSmallChunks);
  const core::Plan plan = stat(0, "model")->plan;
  const auto reply = load(0, {plan}, {.copies = 1});
  EXPECT_EQ(reply.items(0).bytes(), text.size());
  EXPECT_EQ(reply.items(0).wanted_bytes(), text.size());
  const auto status = cellStatus();
  EXPECT_EQ(status.origin_bytes(), text.size());
  EXPECT_EQ(status.peer_bytes(), 0U);
  std::uint64_t sum = 0;
  for (const auto& [node, bytes] : heldBy("model")) sum += bytes;
  EXPECT_EQ(sum, text.size());
  EXPECT_EQ(*cat(1, "model"), text);
  EXPECT_EQ(cellStatus().origin_bytes(), text.size());
}

TEST_F(LoadTest, onAllNodesPutsAllOfItOnEachAndAsksTheOriginOnce) {
  const std::string text = randomText(30'000'000, 2);
  write("model", text);
  startCell(4, kSmallChunks);
  const core::Plan plan = stat(2, "model")->plan;
  const auto reply = load(2, {plan}, {.copies = 0});
  EXPECT_EQ(reply.items(0).bytes(), 4 * text.size());
  EXPECT_EQ(cellStatus().origin_bytes(), text.size());
  EXPECT_EQ(cellStatus().peer_bytes(), 3 * text.size());
  for (const char* node : {"n0", "n1", "n2", "n3"}) EXPECT_EQ(heldBy("model")[node], text.size()) << node;
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(*read(i, plan, 0, text.size()), text) << i;
  EXPECT_EQ(cellStatus().peer_bytes(), 3 * text.size()) << "every node reads its own";
  // Again: it is there, and nothing is fetched.
  EXPECT_EQ(load(0, {plan}, {.copies = 0}).items(0).bytes(), 4 * text.size());
  EXPECT_EQ(cellStatus().origin_bytes(), text.size());
}

TEST_F(LoadTest, ofManyObjectsBringsEachOntoAsManyNodesAsAskedFor) {
  std::uint64_t bytes = 0;
  for (int i = 0; i < 100; ++i) {
    write("set/" + std::to_string(i), randomText(1'000 + 997 * static_cast<std::size_t>(i), 100));
    bytes += 1'000 + 997 * static_cast<std::uint64_t>(i);
  }
  startCell(4, kSmallChunks);
  std::vector<core::Plan> plans;
  for (int i = 0; i < 100; ++i) plans.push_back(stat(0, "set/" + std::to_string(i))->plan);
  const auto reply = load(0, plans, {.copies = 2});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(reply.items(i).bytes(), 2 * plans[static_cast<std::size_t>(i)].size) << i;
    EXPECT_EQ(heldBy("set/" + std::to_string(i)).size(), 2U) << i;
  }
  EXPECT_EQ(cellStatus().origin_bytes(), bytes);
}

TEST_F(LoadTest, goesOnWithoutANodeThatDiesInTheMiddle) {
  const std::string text = randomText(60'000'000, 3);
  write("model", text);
  startCell(4, kSmallChunks);
  const core::Plan plan = stat(0, "model")->plan;
  std::ignore = step(0, {plan}, {.copies = 0, .at_once = 1});
  stopNode(3);
  const auto reply = load(0, {plan}, {.copies = 0});
  EXPECT_FALSE(reply.items(0).has_failure());
  EXPECT_EQ(reply.items(0).bytes(), 3 * text.size());
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(*read(i, plan, 0, text.size()), text) << i;
}

TEST_F(LoadTest, saysWhatIsWrongWithAnObject) {
  write("changes", randomText(3'000'000, 5));
  write("stays", "text");
  startCell(2, kSmallChunks);
  core::Plan forged = stat(0, "stays")->plan;
  forged.path = "other";
  const core::Plan changed = stat(0, "changes")->plan;
  write("changes", "now something else");
  const auto reply = load(0, {forged, changed, stat(0, "stays")->plan}, {.copies = 0});
  EXPECT_EQ(wire::fromMessage(reply.items(0).failure()).code, Code::NotFound);
  EXPECT_EQ(wire::fromMessage(reply.items(1).failure()).code, Code::Gone);
  EXPECT_FALSE(reply.items(2).has_failure());
  EXPECT_EQ(reply.items(2).bytes(), 8U);
}

TEST_F(LoadTest, ofMoreThanTheArenaHoldsSaysThatThereIsNoRoom) {
  write("large", randomText(250'000'000, 6));
  startCell(1, kSmallChunks);
  const core::Plan plan = stat(0, "large")->plan;
  const auto reply = load(0, {plan}, {.copies = 1});
  EXPECT_LT(reply.items(0).bytes(), plan.size);
  EXPECT_EQ(wire::fromMessage(reply.items(0).failure()).code, Code::Busy);
  EXPECT_NE(reply.items(0).failure().message().find("no room"), std::string::npos);
}

}  // namespace
}  // namespace forebay
