#include "cli/part_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace forebay::cli {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kPiece = PartState::kPiece;
constexpr std::uint64_t kSize = 2 * kPiece + 1000;  // three pieces

TEST(PartState, isWhatWasWritten) {
  PartState state = PartState::of(kSize, "\"etag\"");
  state.present[2] = true;
  state.number = 7;
  const auto back = PartState::decode(state.encode());
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->sameObject(state));
  EXPECT_EQ(back->number, 7U);
  EXPECT_THAT(back->present, ElementsAre(false, false, true));
  EXPECT_EQ(back->presentBytes(), 1000U);
}

TEST(PartState, thatIsCutOrChangedInAnyByteIsRefused) {
  const std::vector<std::byte> good = PartState::of(kSize, "v").encode();
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(PartState::decode(Bytes(good).first(i))) << i;
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{1};
    EXPECT_FALSE(PartState::decode(bad)) << i;
  }
}

TEST(PartState, ofAHugeObjectHasFewPieces) {
  const PartState state = PartState::of(50ULL << 40, "v");
  EXPECT_LE(state.pieces(), PartState::kMaxPieces);
  EXPECT_LE(state.copyRoom(), 16 * kKiB);
  EXPECT_TRUE(PartState::decode(state.encode()));
}

class PartFileTest : public testing::Test {
 protected:
  PartFileTest() {
    std::string pattern = (fs::temp_directory_path() / "forebay-part-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir = pattern;
  }
  ~PartFileTest() override { fs::remove_all(dir); }

  PartFile::Wanted wanted(const std::string& version = "v1", std::uint64_t size = kSize) const {
    return {.path = (dir / "file").string(), .size = size, .version = version};
  }
  static std::vector<std::byte> bytesOfPiece(const PartFile& part, std::uint64_t piece, char mark = 'a') {
    return std::vector<std::byte>(part.pieceLength(piece), static_cast<std::byte>(mark + static_cast<char>(piece)));
  }
  static void fill(PartFile& part, std::uint64_t piece, char mark = 'a') {
    ASSERT_TRUE(part.write(part.pieceStart(piece), bytesOfPiece(part, piece, mark)));
    ASSERT_TRUE(part.pieceDone(piece));
  }
  std::string content(const std::string& name = "file") const {
    std::ifstream in(dir / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(dir)) all.push_back(entry.path().filename().string());
    return all;
  }

  fs::path dir;
};

TEST_F(PartFileTest, appearsWhenItIsWhole) {
  auto part = PartFile::open(wanted());
  ASSERT_TRUE(part) << part.error().text();
  EXPECT_EQ((*part)->start(), PartFile::Start::Fresh);
  EXPECT_THAT((*part)->missing(), ElementsAre(0, 1, 2));
  for (const std::uint64_t piece : {2U, 0U, 1U}) fill(**part, piece);
  EXPECT_THAT(names(), ElementsAre("file.forebay-part"));
  ASSERT_TRUE((*part)->finish());
  EXPECT_THAT(names(), ElementsAre("file"));
  EXPECT_EQ(content(), std::string(kPiece, 'a') + std::string(kPiece, 'b') + std::string(1000, 'c'));
}

TEST_F(PartFileTest, isGoneOnWithWhereItEnded) {
  fill(**PartFile::open(wanted()), 1);
  auto part = PartFile::open(wanted());
  ASSERT_TRUE(part) << part.error().text();
  EXPECT_EQ((*part)->start(), PartFile::Start::Resumed);
  EXPECT_EQ((*part)->presentBytes(), kPiece);
  EXPECT_THAT((*part)->missing(), ElementsAre(0, 2));
  fill(**part, 0);
  fill(**part, 2);
  ASSERT_TRUE((*part)->finish());
  EXPECT_EQ(content().substr(kPiece, kPiece), std::string(kPiece, 'b'));
}

TEST_F(PartFileTest, ofAnotherVersionOrSizeBeginsAnew) {
  fill(**PartFile::open(wanted("v1")), 1);
  {
    auto part = PartFile::open(wanted("v2"));
    ASSERT_TRUE(part);
    EXPECT_EQ((*part)->start(), PartFile::Start::Restarted);
    EXPECT_EQ((*part)->missing().size(), 3U);
    fill(**part, 0);
  }
  auto part = PartFile::open(wanted("v2", 5 * kPiece));
  ASSERT_TRUE(part);
  EXPECT_EQ((*part)->start(), PartFile::Start::Restarted);
  EXPECT_EQ((*part)->missing().size(), 5U);
}

TEST_F(PartFileTest, whoseStateIsDamagedGoesOnFromTheOtherCopyOrBeginsAnew) {
  fill(**PartFile::open(wanted()), 0);
  fill(**PartFile::open(wanted()), 1);
  const PartState layout = PartState::of(kSize, "v1");
  const auto damage = [&](std::uint64_t copy) {
    std::fstream file(dir / "file.forebay-part", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(layout.copyAt(copy) + 10));
    file << "xxxx";
  };
  damage(0);
  const std::size_t missing = (*PartFile::open(wanted()))->missing().size();
  EXPECT_TRUE(missing == 1 || missing == 2) << "the newer copy, or the one before";
  damage(0);
  damage(1);
  EXPECT_EQ((*PartFile::open(wanted()))->start(), PartFile::Start::Restarted);
}

TEST_F(PartFileTest, withNothingDoneLeavesNothing) {
  ASSERT_TRUE(PartFile::open(wanted()));
  EXPECT_THAT(names(), testing::IsEmpty());
}

TEST_F(PartFileTest, ofAFileThatIsThereIsRefusedUnlessItMayBeReplaced) {
  std::ofstream(dir / "file") << "mine";
  EXPECT_THAT(PartFile::open(wanted()).error().message, HasSubstr("--overwrite"));
  auto want = wanted("v1", 3);
  want.overwrite = true;
  auto part = PartFile::open(want);
  ASSERT_TRUE(part);
  ASSERT_TRUE((*part)->write(0, bytesOf("new")));
  EXPECT_EQ(content(), "mine") << "until all of it is here";
  ASSERT_TRUE((*part)->finish());
  EXPECT_EQ(content(), "new");
  fs::create_directory(dir / "d");
  want.path = (dir / "d").string();
  EXPECT_THAT(PartFile::open(want).error().message, HasSubstr("directory"));
}

TEST_F(PartFileTest, thatAppearedMeanwhileIsNotReplaced) {
  auto part = PartFile::open(wanted("v1", 3));
  ASSERT_TRUE((*part)->write(0, bytesOf("new")));
  std::ofstream(dir / "file") << "somebody's";
  EXPECT_FALSE((*part)->finish());
  EXPECT_EQ(content(), "somebody's");
}

TEST_F(PartFileTest, belongsToOneAtATime) {
  const auto first = PartFile::open(wanted());
  EXPECT_EQ(PartFile::open(wanted()).error().code, Code::Busy);
}

TEST_F(PartFileTest, hasTheObjectsTimeAndIsKnownByIt) {
  auto want = wanted("v1", 3);
  want.mtime_ns = 1'600'000'000'123'456'789;
  EXPECT_FALSE(PartFile::isThere(want));
  auto part = PartFile::open(want);
  ASSERT_TRUE((*part)->write(0, bytesOf("abc")));
  ASSERT_TRUE((*part)->finish());
  EXPECT_TRUE(PartFile::isThere(want));
  want.size = 4;
  EXPECT_FALSE(PartFile::isThere(want));
}

TEST_F(PartFileTest, ofANameWithoutRoomForTheEndingHasAnotherOne) {
  auto want = wanted("v1", 3);
  want.path = (dir / std::string(255, 'n')).string();
  auto part = PartFile::open(want);
  ASSERT_TRUE(part) << part.error().text();
  ASSERT_TRUE((*part)->write(0, bytesOf("abc")));
  ASSERT_TRUE((*part)->finish());
  EXPECT_THAT(names(), ElementsAre(std::string(255, 'n')));
}

TEST_F(PartFileTest, neverFollowsALinkThatIsThere) {
  std::ofstream(dir / "precious") << "mine";
  fs::create_symlink(dir / "precious", dir / "file.forebay-part");
  EXPECT_FALSE(PartFile::open(wanted()));
  EXPECT_EQ(content("precious"), "mine");
}

}  // namespace
}  // namespace forebay::cli
