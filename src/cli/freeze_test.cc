#include "cli/freeze.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "cli/exit_codes.h"
#include "cli/fake_cell.h"
#include "node/manifest.h"

namespace forebay::cli {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class FreezeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "forebay-freeze-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    auto& mount = *cell.status_reply.add_nodes()->add_mounts();
    mount.set_name("m");
    mount.set_url("file:///data");
  }
  void TearDown() override { fs::remove_all(directory); }

  int freeze(const FreezeOptions& options, bool json = false) {
    Terminal terminal(output.options(json));
    return runFreeze(cell, terminal, options);
  }
  std::vector<std::string> namesIn(const std::string& text) {
    std::vector<std::string> names;
    auto parser = node::ManifestParser::create(
        [&](const node::ManifestEntry& entry, std::string_view, std::uint64_t) { names.push_back(entry.path); });
    Status parsed = parser->take(bytesOf(text));
    if (parsed) parsed = parser->finish();
    EXPECT_TRUE(parsed) << parsed.error().text();
    EXPECT_EQ(parser->url(), "file:///data");
    return names;
  }

  FakeCell cell;
  Output output;
  fs::path directory;
};

TEST_F(FreezeTest, everyObjectIsWrittenInTheOrderOfWholeNames) {
  // Listed by name ("a", then "a-1"), over pages of two: "a-1" and "a.txt" stand before all that is below "a".
  for (const char* name : {"a/b", "a/c/d", "a-1/x", "a-1", "a.txt", "a0", "z"}) cell.objects[std::string("m/") + name];
  ASSERT_EQ(freeze({.mount = "m", .file = {}}), kExitOk) << output.err;
  EXPECT_THAT(namesIn(output.out), ElementsAre("a-1/x", "a.txt", "a/b", "a/c/d", "a0", "z"));
  EXPECT_THAT(output.err, HasSubstr("m: 6 objects"));
}

TEST_F(FreezeTest, aFileAppearsOnlyOnceItIsWhole) {
  cell.objects["m/d/x"] = "text";
  const std::string file = (directory / "manifest").string();
  ASSERT_EQ(freeze({.mount = "m", .file = file}, true), kExitOk) << output.err;
  EXPECT_THAT(output.out, HasSubstr("\"objects\":1,\"bytes\":4,\"digest\":\"sha256:"));
  EXPECT_TRUE(node::Manifest::load(file));
  cell.broken["m/d"] = Error{Code::Unavailable, "the origin is down", 0};
  const std::string other = (directory / "other").string();
  EXPECT_EQ(freeze({.mount = "m", .file = other}), kExitUnavailable);
  EXPECT_THAT(output.err, HasSubstr("list m/d: the origin is down"));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 1);
}

TEST_F(FreezeTest, whatCantBeFrozenIsSaid) {
  EXPECT_EQ(freeze({.mount = "other", .file = {}}), kExitNotFound);
  EXPECT_EQ(freeze({.mount = "m/d", .file = {}}), kExitUsage);
  EXPECT_EQ(freeze({.mount = "m", .file = {}}, true), kExitUsage);
}

}  // namespace
}  // namespace forebay::cli
