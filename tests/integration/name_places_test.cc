// Batches by name, beside a node that holds the objects: their bytes are copied from where the names' answers say.
#include <forebay/forebay.h>

#include "cell_fixture.h"

namespace forebay {
namespace {

struct Failure : forebay_error {
  Failure() : forebay_error{} { size = sizeof(forebay_error); }
};

struct Part {
  std::uint64_t offset = 0, length = UINT64_MAX;
};

class NamePlacesTest : public CellTest {
 protected:
  void SetUp() override {
    CellTest::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "only root's node has a tmpfs for sure";
  }
  void TearDown() override {
    forebay_disconnect(library_);
    CellTest::TearDown();
  }
  void writeAll(const std::vector<std::size_t>& sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      names_.push_back("d/f" + std::to_string(i));
      texts_.push_back(randomText(sizes[i], i));
      write("f" + std::to_string(i), texts_.back());
    }
  }
  void connect(std::uint32_t flags = 0) {
    forebay_options options = {};
    options.size = sizeof options;
    options.flags = flags;
    const std::string address = "unix:" + nodes[0].socket;
    options.node = address.c_str();
    ASSERT_EQ(forebay_connect(&options, &library_, &error_), FOREBAY_OK) << error_.message;
  }
  // That part of all objects, each into two pieces.
  std::vector<std::string> read(const Part& part) {
    std::vector<std::string> got;
    std::vector<forebay_piece> pieces;
    std::vector<forebay_range> ranges(names_.size());
    got.reserve(names_.size());
    pieces.reserve(2 * names_.size());
    for (std::size_t i = 0; i < names_.size(); ++i) {
      got.emplace_back(texts_[i].size() + 1, '?');
      const std::size_t half = got[i].size() / 3;
      pieces.push_back({.base = got[i].data(), .length = half});
      pieces.push_back({.base = got[i].data() + half, .length = got[i].size() - half});
      ranges[i] = {};
      ranges[i].size = sizeof ranges[i];
      ranges[i].name = names_[i].c_str();
      ranges[i].offset = part.offset;
      ranges[i].length = std::min<std::uint64_t>(part.length, got[i].size());
      ranges[i].pieces = &pieces[2 * i];
      ranges[i].piece_count = 2;
    }
    EXPECT_EQ(forebay_read_batch(library_, ranges.data(), ranges.size(), nullptr, &error_), FOREBAY_OK)
        << error_.message;
    for (std::size_t i = 0; i < names_.size(); ++i) got[i].resize(ranges[i].got);
    return got;
  }
  void expectRight(const Part& part = {}) {
    const auto got = read(part);
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const std::size_t from = std::min<std::size_t>(part.offset, texts_[i].size());
      EXPECT_TRUE(got[i] == texts_[i].substr(from, part.length)) << names_[i];
    }
  }
  std::uint64_t saidWhere() {
    return nodes[0].node->metrics().counter("forebay_sent_with_plans_total", "", {{"mount", "d"}}).value();
  }

  Failure error_;
  forebay_client* library_ = nullptr;
  std::vector<std::string> names_, texts_;
};

TEST_F(NamePlacesTest, whatIsThereInOneRunIsCopiedAsItsNameIsAnswered) {
  writeAll({0, 1, 4'095, 4'096, 65'536, 200'000, 262'144, 262'145, 700'000, 3'000'000});
  startCell(1);
  connect();
  expectRight();  // from the origin
  expectRight();  // and the slabs are known now
  const std::uint64_t before = saidWhere();
  for (int i = 0; i < 3; ++i) expectRight();
  EXPECT_EQ(saidWhere() - before, 3 * 6U);
  const std::uint64_t whole = saidWhere();
  expectRight({.offset = 1});
  expectRight({.length = 4'095});
  EXPECT_EQ(saidWhere() - whole, 2U) << "parts of objects are read, whole ones of at most that length aren't";
}

TEST_F(NamePlacesTest, aClientWithoutTheSlabsReads) {
  writeAll({1, 4'096, 65'536});
  startCell(1);
  connect(FOREBAY_NO_SHARED_MEMORY);
  for (int i = 0; i < 3; ++i) expectRight();
  EXPECT_EQ(saidWhere(), 0U);
}

TEST_F(NamePlacesTest, manyNamesGoInSeveralQuestions) {
  writeAll(std::vector<std::size_t>(1'000, 5'000));
  startCell(1);
  connect();
  expectRight();
  const std::uint64_t before = saidWhere();
  expectRight();
  EXPECT_EQ(saidWhere() - before, 1'000U);
}

TEST_F(NamePlacesTest, bytesAreRightWhileTheyLeave) {
  writeAll(std::vector<std::size_t>(200, 60'000));
  startCell(1);
  connect();
  std::atomic<bool> over = false;
  std::thread evicting([&] {
    while (!over) {
      const auto reply = client::wait<wire::pb::EvictReply>(
          [&](auto done) { nodes[0].client->evict("d", std::vector<std::string>{""}, deadline(), std::move(done)); });
      EXPECT_TRUE(reply);
      std::this_thread::sleep_for(2ms);
    }
  });
  for (int i = 0; i < 30; ++i) expectRight();
  over = true;
  evicting.join();
}

}  // namespace
}  // namespace forebay
