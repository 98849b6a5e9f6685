#include "cli/verify.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hasher.h"
#include "cli/exit_codes.h"
#include "cli/fake_cell.h"
#include "cli/sorted_names.h"

namespace forebay::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string md5Of(std::string_view text) {
  auto hasher = Hasher::create(Hasher::Kind::Md5);
  hasher->update(text);
  return std::string(textOf(hasher->finish()));
}

class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "forebay-verify-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    auto& mount = *cell.status_reply.add_nodes()->add_mounts();
    mount.set_name("m");
    mount.set_url("az://account/data");
  }
  void TearDown() override { fs::remove_all(directory); }

  // At the origin, with its MD5 if the origin says it.
  void object(const std::string& name, const std::string& content, bool md5 = true) {
    cell.objects["m/" + name] = content;
    if (md5) cell.origin_md5["m/" + name] = md5Of(content);
  }
  void file(const std::string& name, const std::string& content) const {
    fs::create_directories((directory / name).parent_path());
    std::ofstream(directory / name, std::ios::binary) << content;
  }
  int verify(VerifyOptions options, bool json = false) {
    output = {};
    Terminal terminal(output.options(json));
    options.in_flight = 2;
    return runVerify(cell, terminal, options);
  }
  int verifyCopy(bool size_only = false) {
    return verify({.what = directory.string(), .against = "m", .size_only = size_only});
  }

  FakeCell cell;
  Output output;
  fs::path directory;
};

TEST_F(VerifyTest, aCopyThatIsRightIsSaidToBeAndWhatIsntKnownIsCounted) {
  for (const char* name : {"a/b", "a-1", "a.txt", "z"}) {
    object(name, std::string("content of ") + name);
    file(name, std::string("content of ") + name);
  }
  object("bare", "text", false);
  file("bare", "text");
  EXPECT_EQ(verifyCopy(), kExitOk) << output.out;
  EXPECT_THAT(output.out, HasSubstr("5 objects at the origin: 4 have its checksum, 1 were compared by size only"));
  EXPECT_EQ(verifyCopy(true), kExitOk);
  EXPECT_THAT(output.out, HasSubstr("0 have its checksum, 5 were compared by size only (0 B read)"));
}

TEST_F(VerifyTest, eachDifferenceIsNamed) {
  object("gone", "1");
  object("longer", "12");
  object("other", "right");
  object("same", "s");
  object("unknown", "right", false);
  file("longer", "123");
  file("other", "wrong");
  file("same", "s");
  file("stray/x", "");
  file("unknown", "wrong");  // no checksum: nobody can tell
  EXPECT_EQ(verifyCopy(), kExitFailure);
  EXPECT_THAT(output.out, AllOf(HasSubstr("missing  gone\n"), HasSubstr("extra    stray/x\n"),
                                HasSubstr("differs  longer: 3 bytes, the origin has 2\n"),
                                HasSubstr("differs  other: its bytes have the MD5 "), Not(HasSubstr("same\n")),
                                HasSubstr("5 objects at the origin: 1 have its checksum, 1 were compared by size only, "
                                          "1 missing, 1 extra, 2 differ")));
}

TEST_F(VerifyTest, whatCantBeReadIsNotCalledRight) {
  object("a", "1");
  object("d/x", "1");
  file("a", "1");
  fs::create_directories(directory / "real");
  fs::create_directory_symlink(directory / "real", directory / "link");
  fs::create_symlink(directory / "nowhere", directory / "d-broken");
  file("d/x", "1");
  EXPECT_EQ(verifyCopy(), kExitIncomplete);
  EXPECT_THAT(output.out, AllOf(HasSubstr("failed   link: a link to a directory isn't followed"),
                                HasSubstr("failed   d-broken: look at it: No such file"), HasSubstr("2 couldn't be")));
}

TEST_F(VerifyTest, whatTheCellServesIsComparedWithWhatTheOriginHas) {
  object("a", "right");
  object("b", "x");
  cell.origin_objects = cell.objects;
  cell.objects["m/a"] = "wrong";
  cell.origin_objects->emplace("m/new", "n");
  EXPECT_EQ(verify({.what = "m", .against = {}}), kExitFailure);
  EXPECT_THAT(output.out, AllOf(HasSubstr("missing  new"), HasSubstr("differs  a: its bytes"), Not(HasSubstr(" b\n"))));
}

TEST_F(VerifyTest, programsGetALineForEachAndOneAtTheEnd) {
  object("a", "1");
  EXPECT_EQ(verify({.what = directory.string(), .against = "m"}, true), kExitFailure);
  EXPECT_THAT(output.out, HasSubstr("{\"event\":\"missing\",\"name\":\"a\"}\n"));
  EXPECT_THAT(output.out, HasSubstr("{\"event\":\"different\",\"objects\":1,\"checksummed\":0,\"size_only\":0,"
                                    "\"missing\":1,\"extra\":0,\"differs\":0,\"failed\":0,\"bytes\":0,"
                                    "\"complete\":true}\n"));
}

TEST_F(VerifyTest, aListingThatFailsIsNoVerdict) {
  object("a", "1");
  object("d/x", "1");
  file("a", "1");
  file("d/x", "1");
  cell.broken["m/d"] = Error{Code::Unavailable, "the origin is down", 0};
  EXPECT_EQ(verifyCopy(), kExitUnavailable);
  EXPECT_THAT(output.err, HasSubstr("list m/d: the origin is down; what comes behind it wasn't compared"));
}

TEST_F(VerifyTest, etagsOfS3ThatAreMd5AreCompared) {
  cell.status_reply.mutable_nodes(0)->mutable_mounts(0)->set_url("s3://data");
  object("a", "x", false);
  CellNames origin(cell, {.mount = "m", .path = {}}, CellNames::Of::Origin, true);
  EXPECT_EQ((*origin.next())->md5, "");  // "v1" is none
}

TEST_F(VerifyTest, whatMakesNoSenseIsSaid) {
  EXPECT_EQ(verify({.what = directory.string(), .against = {}}), kExitUsage);
  EXPECT_THAT(output.err, HasSubstr("--against"));
  EXPECT_EQ(verify({.what = "other", .against = {}}), kExitNotFound);
  EXPECT_EQ(verify({.what = (directory / "none").string(), .against = "m"}), kExitNotFound);
}

TEST_F(VerifyTest, aLocalDirectoryComesInTheOrderOfWholePaths) {
  for (const char* name : {"a/b", "a-1/x", "a.txt", "a0", "b"}) file(name, "");
  LocalNames names(directory.string());
  std::vector<std::string> paths;
  while (auto object = *names.next()) paths.push_back(object->path);
  EXPECT_THAT(paths, ElementsAre("a-1/x", "a.txt", "a/b", "a0", "b"));
}

}  // namespace
}  // namespace forebay::cli
