// Batches of small objects in a cell: plan and bytes by one round trip between nodes.
#include <forebay/forebay.h>

#include "cell_fixture.h"

namespace forebay {
namespace {

class SmallObjects : public CellTest {
 protected:
  static constexpr std::size_t kObjects = 1'000;

  static std::string path(std::size_t i) { return "dir/f" + std::to_string(i); }
  static std::string content(std::size_t i) { return randomText(1 + i * 37 % 3'000, i); }
  void writeAll() {
    for (std::size_t i = 0; i < kObjects; ++i) write(path(i), content(i));
  }

  std::vector<Result<Attributes>> resolveAll(std::size_t node, bool revalidate = false) {
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < kObjects; ++i) paths.push_back(path(i));
    auto found = client::wait<client::CellReader::Answers>([&](auto done) {
      nodes[node].client->resolveAll("d", paths,
                                     {.object_only = true, .revalidate = revalidate, .fill_up_to = 64 * kKiB},
                                     deadline(), std::move(done));
    });
    EXPECT_TRUE(found) << found.error().text();
    return found ? std::move(*found) : std::vector<Result<Attributes>>();
  }
  // Whole objects through one node, as one batch; an error's text in place of bytes.
  std::vector<std::string> readAll(std::size_t node, const std::vector<Result<Attributes>>& found) {
    std::vector<std::string> texts;
    std::vector<client::BatchItem> items;
    for (const auto& one : found) texts.push_back(one ? std::string(one->plan.size, '?') : one.error().text());
    std::vector<std::size_t> read;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) continue;
      read.push_back(i);
      items.push_back({.plan = std::make_shared<const core::Plan>(found[i]->plan),
                       .length = texts[i].size(),
                       .into = {std::as_writable_bytes(std::span(texts[i]))}});
    }
    const auto results = client::wait<client::CellReader::BatchResults>(
        [&](auto done) { nodes[node].client->readBatch(std::move(items), false, deadline(), std::move(done)); });
    for (std::size_t i = 0; i < read.size(); ++i)
      if (!(*results)[i]) texts[read[i]] = (*results)[i].error().text();
    return texts;
  }
  wire::pb::MountStatus statusOf(std::size_t node) {
    const auto status = client::wait<wire::pb::StatusReply>(
        [&](auto done) { nodes[node].client->status(false, deadline(), std::move(done)); });
    EXPECT_TRUE(status);
    return status->nodes(0).mounts(0);
  }
  std::uint64_t sentWithPlans(std::size_t node) {
    return nodes[node].node->metrics().counter("forebay_sent_with_plans_total", "", {{"mount", "d"}}).value();
  }
};

TEST_F(SmallObjects, aBatchThatItsOwnersHoldCostsNoReadBetweenNodes) {
  writeAll();
  startCell(3);
  // Brought into the cell through one node, read through another.
  const auto first = readAll(0, resolveAll(0));
  for (std::size_t i = 0; i < first.size(); ++i) ASSERT_EQ(first[i], content(i)) << i;
  EXPECT_EQ(cellStatus().origin_gets(), kObjects);
  const auto before = statusOf(0), other_before = statusOf(2);
  const std::uint64_t sent_before = sentWithPlans(0) + sentWithPlans(2);

  const auto found = resolveAll(1);
  const std::uint64_t bytes_with_plans = statusOf(1).peer_bytes();
  const auto texts = readAll(1, found);
  ASSERT_EQ(texts.size(), kObjects);
  for (std::size_t i = 0; i < kObjects; ++i) ASSERT_EQ(texts[i], content(i)) << i;

  const auto reader = statusOf(1);
  EXPECT_EQ(reader.misses(), 0U) << "so nothing was asked of another node by a READ";
  EXPECT_GT(bytes_with_plans, 0U);
  EXPECT_EQ(reader.peer_bytes(), bytes_with_plans);
  EXPECT_EQ(reader.direct_bytes(), bytes_with_plans);
  const std::uint64_t sent = sentWithPlans(0) + sentWithPlans(2) - sent_before;
  EXPECT_GT(sent, kObjects / 2) << "of the names about a third is the reader's node's own";
  const auto after = statusOf(0), other_after = statusOf(2);
  EXPECT_EQ(after.requests_served() + other_after.requests_served(),
            before.requests_served() + other_before.requests_served() + sent);
  EXPECT_EQ(after.bytes_served() + other_after.bytes_served(),
            before.bytes_served() + other_before.bytes_served() + bytes_with_plans);
  EXPECT_EQ(cellStatus().origin_gets(), kObjects);
}

TEST_F(SmallObjects, oneThatChangesMeanwhileIsEitherVersionWhole) {
  const auto version = [](std::size_t i, int n) {
    return std::string(1'000 + 100 * static_cast<std::size_t>(n) + i, static_cast<char>('a' + n));
  };
  constexpr std::size_t kFew = 50;
  for (std::size_t i = 0; i < kObjects; ++i) write(path(i), i < kFew ? version(i, 0) : content(i));
  startCell(3, "consistency = \"open\"\n");
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (int n = 1; n < 20 && !over; ++n) {
      for (std::size_t i = 0; i < kFew; ++i) {
        write("new", version(i, n));
        fs::rename(dir / "data" / "new", dir / "data" / path(i));
      }
      std::this_thread::sleep_for(20ms);  // so that a look-up, which is tried a few times, meets one of them whole
    }
  });
  int whole = 0, gone = 0;
  for (std::size_t round = 0; round < 6; ++round) {
    const std::size_t node = round % 3;
    const auto texts = readAll(node, resolveAll(node, true));
    for (std::size_t i = 0; i < kFew; ++i) {
      const int n = texts[i].empty() ? 0 : texts[i][0] - 'a';
      if (texts[i].starts_with("Gone"))
        ++gone;  // it left before its bytes were here
      else if (n >= 0 && n < 20 && texts[i] == version(i, n))
        ++whole;
      else
        ADD_FAILURE() << path(i) << ": " << texts[i].substr(0, 80) << " of " << texts[i].size();
    }
    for (std::size_t i = kFew; i < kObjects; ++i) ASSERT_EQ(texts[i], content(i));
  }
  over = true;
  writer.join();
  EXPECT_GT(whole, 0);
  EXPECT_EQ(whole + gone, 6 * static_cast<int>(kFew));
}

// ---- the library, by name

class NamedSmallObjects : public SmallObjects {
 protected:
  void TearDown() override {
    forebay_disconnect(library);
    SmallObjects::TearDown();
  }
  void attach(std::size_t node) {
    const std::string address = "unix:" + nodes[node].socket;
    forebay_options options = {};
    options.size = sizeof options;
    options.node = address.c_str();
    connect(options);
  }
  void connectDirect() {
    const std::string address = "127.0.0.1:" + std::to_string(ports[0]);
    const char* const seeds[] = {address.c_str()};
    forebay_options options = {};
    options.size = sizeof options;
    options.direct = seeds;
    options.direct_count = 1;
    connect(options);
  }
  void connect(forebay_options options) {
    options.connect_timeout_ms = 30'000;
    forebay_error error = {};
    error.size = sizeof error;
    forebay_disconnect(std::exchange(library, nullptr));
    ASSERT_EQ(forebay_connect(&options, &library, &error), FOREBAY_OK) << error.message;
  }
  // Each object from `offset` on, into memory of two pieces and of more than its size.
  void readAndCompare(std::uint64_t offset = 0) {
    std::vector<std::string> names, texts;
    for (std::size_t i = 0; i < kObjects; ++i) {
      names.push_back("d/" + path(i));
      texts.emplace_back(content(i).size() + 1, '?');
    }
    std::vector<std::array<forebay_piece, 2>> pieces(kObjects);
    std::vector<forebay_range> ranges(kObjects);
    for (std::size_t i = 0; i < kObjects; ++i) {
      const std::size_t half = texts[i].size() / 2;
      pieces[i] = {forebay_piece{texts[i].data(), half}, forebay_piece{texts[i].data() + half, texts[i].size() - half}};
      forebay_range& range = ranges[i] = {};
      range.size = sizeof range;
      range.name = names[i].c_str();
      range.offset = offset;
      range.length = i % 2 == 0 ? UINT64_MAX : texts[i].size();
      range.pieces = pieces[i].data();
      range.piece_count = 2;
    }
    forebay_error error = {};
    error.size = sizeof error;
    ASSERT_EQ(forebay_read_batch(library, ranges.data(), kObjects, nullptr, &error), FOREBAY_OK) << error.message;
    for (std::size_t i = 0; i < kObjects; ++i) {
      const std::string all = content(i);
      const std::string expected = all.substr(std::min<std::size_t>(offset, all.size()));
      ASSERT_EQ(ranges[i].got, expected.size()) << i;
      ASSERT_TRUE(texts[i].starts_with(expected)) << i;
    }
  }
  struct Counted {
    std::uint64_t requests = 0, sent_with_plans = 0;
  };
  Counted counted() {
    Counted sum;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      sum.requests += statusOf(i).requests_served();
      sum.sent_with_plans += sentWithPlans(i);
    }
    return sum;
  }

  forebay_client* library = nullptr;
};

TEST_F(NamedSmallObjects, coldOnesCostTheOriginARequestEach) {
  writeAll();
  startCell(3);
  attach(1);
  readAndCompare();
  EXPECT_EQ(cellStatus().origin_gets(), kObjects);
  EXPECT_EQ(cellStatus().origin_heads(), 0U);
  EXPECT_EQ(statusOf(1).misses(), 0U);
  attach(2);
  readAndCompare();
  EXPECT_EQ(statusOf(2).misses(), 0U) << "their bytes came with their plans";
}

TEST_F(NamedSmallObjects, comeToADirectClientWithTheirPlans) {
  writeAll();
  startCell(3);
  connectDirect();
  readAndCompare();
  EXPECT_EQ(cellStatus().origin_gets(), kObjects);
  const Counted cold = counted();
  EXPECT_EQ(cold.sent_with_plans, kObjects);
  EXPECT_EQ(cold.requests, kObjects) << "nothing was asked for in a READ";
  readAndCompare(1);
  const Counted from_inside = counted();
  EXPECT_EQ(from_inside.sent_with_plans, kObjects) << "only whole objects come so";
  EXPECT_GT(from_inside.requests, kObjects);
}

}  // namespace
}  // namespace forebay
