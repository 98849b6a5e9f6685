#include "cli/getter.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hasher.h"
#include "base/random.h"
#include "cli/exit_codes.h"
#include "cli/fake_cell.h"

namespace forebay::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::string randomText(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

TEST(LocalPath, isBelowTheDirectoryOrAnError) {
  EXPECT_EQ(*localPath("/d", "a/b c/\xff"), "/d/a/b c/\xff");
  for (const char* bad : {"", "/a", "a//b", "a/", ".", "..", "a/../../etc", "x.forebay-part"})
    EXPECT_EQ(localPath("/d", bad).error().code, Code::InvalidArgument) << bad;
  EXPECT_FALSE(localPath("/d", std::string("a\0b", 3)));
  EXPECT_FALSE(localPath("/d", std::string(256, 'n')));
  EXPECT_TRUE(localPath("/d", std::string(255, 'n')));
}

class Get : public testing::Test {
 protected:
  Get() {
    std::string pattern = (fs::temp_directory_path() / "forebay-get-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir = pattern;
    cell.objects = {{"data/big", randomText(9'000'001, 1)},
                    {"data/sub/x", "xx"},
                    {"data/sub/deep/y", "yyy"},
                    {"data/sub/empty", ""}};
  }
  ~Get() override { fs::remove_all(dir); }

  int get(const std::string& source, const std::string& to, GetOptions options = {}) {
    output.out.clear();
    output.err.clear();
    Terminal terminal(output.options());
    options.source = source;
    options.destination = (dir / to).string();
    return runGet(cell, terminal, options);
  }
  int getAll(const std::string& source, const std::string& to) { return get(source, to, recursive()); }
  static GetOptions recursive() { return {.source = {}, .destination = {}, .recursive = true}; }
  std::string content(const std::string& name) const {
    std::ifstream in(dir / name, std::ios::binary);
    EXPECT_TRUE(in) << name;
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> files() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(dir))
      if (!entry.is_directory()) all.push_back(fs::relative(entry.path(), dir).string());
    return all;
  }

  FakeCell cell;
  Output output;
  fs::path dir;
};

TEST_F(Get, bringsAnObjectIntoAFileOrADirectory) {
  EXPECT_EQ(get("data/big", "here"), kExitOk) << output.err;
  EXPECT_EQ(content("here") == cell.objects["data/big"], true);
  fs::create_directory(dir / "d");
  EXPECT_EQ(get("data/sub/x", "d"), kExitOk);
  EXPECT_EQ(content("d/x"), "xx");
  EXPECT_THAT(output.out, HasSubstr(R"({"event":"done","bytes":2,)"));
}

TEST_F(Get, bringsEverythingBelowADirectory) {
  EXPECT_EQ(getAll("data/sub", "new/place"), kExitOk) << output.err;
  EXPECT_THAT(files(), UnorderedElementsAre("new/place/x", "new/place/deep/y", "new/place/empty"));
  EXPECT_EQ(content("new/place/deep/y"), "yyy");
}

TEST_F(Get, ofADirectoryAsksForTheFlag) {
  EXPECT_EQ(get("data/sub", "x"), kExitUsage);
  EXPECT_THAT(output.err, HasSubstr("-r"));
  EXPECT_EQ(get("data/none", "x"), kExitNotFound);
  EXPECT_EQ(getAll("data/none", "x"), kExitNotFound);
}

TEST_F(Get, aNameThatCantBeHeldIsToldAndTheRestComes) {
  cell.objects["data/sub/../evil"] = "!";
  cell.objects["data/sub/" + std::string(300, 'n')] = "!";
  EXPECT_EQ(getAll("data/sub", "to"), kExitIncomplete);
  EXPECT_THAT(files(), UnorderedElementsAre("to/x", "to/deep/y", "to/empty"));
  EXPECT_THAT(output.err, HasSubstr("data/sub/../evil: a file system can't hold this name"));
  EXPECT_THAT(output.out, HasSubstr(R"("event":"failed")"));
}

TEST_F(Get, whatIsThereIsntBroughtAgainAndWhatDiffersIsntReplaced) {
  EXPECT_EQ(getAll("data", "to"), kExitOk) << output.err;
  EXPECT_EQ(getAll("data", "to"), kExitOk) << output.err;
  EXPECT_THAT(output.out, HasSubstr(R"("bytes":0,)")) << "all was there";
  std::ofstream(dir / "to/sub/x") << "mine";
  EXPECT_EQ(getAll("data", "to"), kExitIncomplete);
  EXPECT_EQ(content("to/sub/x"), "mine");
  EXPECT_THAT(output.err, HasSubstr("--overwrite"));
  auto options = recursive();
  options.overwrite = true;
  EXPECT_EQ(get("data", "to", options), kExitOk);
  EXPECT_EQ(content("to/sub/x"), "xx");
}

TEST_F(Get, aFailureInTheMiddleLeavesWhatCameAndTheNextAttemptGoesOn) {
  cell.broken["data/big@8388608"] = {Code::Unavailable, "no answer", 0};
  EXPECT_EQ(get("data/big", "here"), kExitIncomplete);
  EXPECT_THAT(files(), UnorderedElementsAre("here.forebay-part"));
  cell.broken.clear();
  EXPECT_EQ(get("data/big", "here"), kExitOk) << output.err;
  EXPECT_THAT(output.out, HasSubstr(R"({"event":"resumed","name":"data/big","bytes":8388608)"));
  EXPECT_THAT(output.out, HasSubstr(R"({"event":"done","bytes":611393,"total_bytes":611393)"));
  EXPECT_EQ(content("here") == cell.objects["data/big"], true);
}

TEST_F(Get, anObjectThatChangesAndChangesFailsInTheEnd) {
  cell.broken["data/big@0"] = {Code::Gone, "another version is there", 0};
  EXPECT_NE(get("data/big", "here"), kExitOk);
  EXPECT_THAT(output.out, HasSubstr(R"("event":"restarted")"));
  EXPECT_THAT(output.err, HasSubstr("data/big: another version is there"));
}

// Says MD5s as Azure's listings do.
struct Md5Cell : FakeCell {
  Result<client::DirectoryPage> listOrigin(const ObjectName& directory, const std::string& cursor) override {
    ++asked;
    auto page = TRY(list(directory, cursor, true));
    for (auto& entry : page.entries) {
      const auto known = md5s.find(directory.below(entry.name).text());
      if (known != md5s.end()) entry.md5 = known->second;
    }
    // A directory's place is that of its name with a slash.
    std::ranges::sort(page.entries, {}, [](const auto& entry) { return entry.name + (entry.directory ? "/" : ""); });
    return page;
  }
  std::map<std::string, std::string> md5s;
  int asked = 0;
};

std::string md5Of(std::string_view text) {
  auto hasher = *Hasher::create(Hasher::Kind::Md5);
  hasher.update(text);
  return std::string(textOf(hasher.finish()));
}

TEST_F(Get, whatTheOriginsChecksumContradictsIsntKept) {
  Md5Cell origin;
  origin.objects = cell.objects;
  for (const auto& [name, content] : origin.objects) origin.md5s[name] = md5Of(content);
  origin.md5s["data/sub/deep/y"][0] ^= 1;
  Terminal terminal(output.options());
  auto options = recursive();
  options.source = "data";
  options.destination = (dir / "to").string();
  EXPECT_EQ(runGet(origin, terminal, options), kExitIncomplete);
  EXPECT_THAT(files(), UnorderedElementsAre("to/big", "to/sub/x", "to/sub/empty"));
  EXPECT_THAT(output.err, HasSubstr("data/sub/deep/y: its bytes don't match the MD5"));
}

TEST_F(Get, anOriginWithoutChecksumsIsAskedOnce) {
  Md5Cell origin;
  for (int i = 0; i < 30; ++i) origin.objects["data/" + std::to_string(i % 5) + "/" + std::to_string(i)] = "x";
  OriginChecksums checksums(origin);
  for (const auto& [name, content] : origin.objects) EXPECT_EQ(checksums.md5Of(*ObjectName::parse(name), "v1"), "");
  EXPECT_EQ(origin.asked, 1);
}

TEST_F(Get, checksumsAreThoseOfTheVersionThatIsMeant) {
  Md5Cell origin;
  origin.objects = {{"data/a", "1"}, {"data/a!", "2"}, {"data/a/b", "3"}, {"data/b", "4"}};
  origin.page = 100;
  for (const auto& [name, content] : origin.objects) origin.md5s[name] = content;
  OriginChecksums checksums(origin);
  EXPECT_EQ(checksums.md5Of({.mount = "data", .path = "a!"}, "v1"), "2");
  EXPECT_EQ(checksums.md5Of({.mount = "data", .path = "b"}, "v2"), "");
}

TEST_F(Get, manyObjectsComeOverSeveralBatches) {
  cell.objects.clear();
  cell.page = 100;
  for (int i = 0; i < 500; ++i)
    cell.objects["data/" + std::to_string(i % 9) + "/" + std::to_string(i)] = std::to_string(i);
  EXPECT_EQ(getAll("data", "to"), kExitOk) << output.err;
  EXPECT_EQ(files().size(), 500U);
  EXPECT_EQ(content("to/7/241"), "241");
}

}  // namespace
}  // namespace forebay::cli
