#include "node/manifest.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/directory_view.h"

namespace forebay::node {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

ManifestEntry object(std::string path, std::uint64_t size = 3) {
  return {.path = std::move(path), .size = size, .version = "v1", .mtime_ns = 5, .checksum = {}};
}

std::string written(const std::vector<ManifestEntry>& entries) {
  std::string text;
  auto writer = ManifestWriter::begin([&](std::string_view t) { text += t; }, "az://acct/data", "2026-11-21T16:00:00Z");
  for (const auto& entry : entries) EXPECT_TRUE(writer->add(entry)) << entry.path;
  writer->finish();
  return text;
}

std::vector<std::string> keysOf(const origin::ListPage& page) {
  std::vector<std::string> keys;
  for (const auto& entry : page.entries) keys.push_back(keyOf(entry));
  return keys;
}

class ManifestTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "forebay-manifest-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  void TearDown() override { fs::remove_all(directory); }

  std::string put(const std::string& text) {
    const fs::path file = directory / "m";
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
    return file.string();
  }
  std::shared_ptr<const Manifest> load(const std::vector<ManifestEntry>& entries) {
    auto loaded = Manifest::load(put(written(entries)));
    EXPECT_TRUE(loaded) << loaded.error().text();
    return *loaded;
  }
  std::string refusal(const std::string& text) {
    const auto loaded = Manifest::load(put(text));
    return loaded ? "accepted" : loaded.error().text();
  }
  std::vector<std::string> listed(const Manifest& manifest, const std::string& prefix, std::uint32_t max = 1000) {
    std::vector<std::string> keys;
    std::string next;
    do {
      const auto page = manifest.list(prefix, next, max);
      EXPECT_TRUE(page) << page.error().text();
      if (!page) break;
      EXPECT_LE(page->entries.size(), max);
      for (auto& key : keysOf(*page)) keys.push_back(std::move(key));
      next = page->next;
    } while (!next.empty() && keys.size() < 100'000);
    return keys;
  }
  fs::path directory;
};

TEST_F(ManifestTest, whatWasWrittenIsFoundAndNothingElse) {
  const ManifestEntry full{.path = "d/b",
                           .size = 7,
                           .version = "0x8DC\"",
                           .mtime_ns = -1,
                           .checksum = "md5:900150983cd24fb0d6963f7d28e17f72"};
  const auto manifest = load({object("a", 0), object("d/a"), full});
  EXPECT_EQ(manifest->count(), 3U);
  EXPECT_EQ(manifest->bytes(), 10U);
  EXPECT_EQ(manifest->url(), "az://acct/data");
  EXPECT_EQ(manifest->sample()->path, "d/a");
  EXPECT_EQ(**manifest->find("d/b"), full);
  for (const char* absent : {"", "A", "b", "d", "d/", "d/aa", "d/c", "z"})
    EXPECT_EQ(*manifest->find(absent), std::nullopt) << absent;
}

TEST_F(ManifestTest, anyNameCanStandInIt) {
  std::vector<std::string> names = {
      "tab\there", "line\nbreak", "percent%41", "space ", "\xff\xfe", "grün/ü", std::string("nul\0in", 6),
      "dir/",      "//",          "a\x7f"};
  std::ranges::sort(names);
  std::vector<ManifestEntry> entries;
  for (const auto& name : names) entries.push_back(object(name));
  const auto manifest = load(entries);
  for (const auto& name : names) EXPECT_TRUE(manifest->find(name)->has_value()) << name;
}

TEST_F(ManifestTest, aListingIsWhatAnObjectStoreWouldList) {
  const auto manifest = load({object("a"), object("a-1"), object("a/b"), object("a/c/d"), object("a/c/e"),
                              object("a/c0"), object("b/"), object("b//x"), object("b/y")});
  for (const std::uint32_t max : {1U, 2U, 1000U}) {
    EXPECT_THAT(listed(*manifest, "", max), ElementsAre("a", "a-1", "a/", "b/"));
    EXPECT_THAT(listed(*manifest, "a/", max), ElementsAre("b", "c/", "c0"));
    EXPECT_THAT(listed(*manifest, "b/", max), ElementsAre("", "/", "y"));
    EXPECT_THAT(listed(*manifest, "b//", max), ElementsAre("x"));
    EXPECT_THAT(listed(*manifest, "c/", max), ElementsAre());
  }
  EXPECT_FALSE(manifest->list("", "not-a-cursor", 1));
}

TEST_F(ManifestTest, manyNamesTakeLittleMemoryAndAreAllFound) {
  std::vector<ManifestEntry> entries;
  for (int i = 0; i < 50'000; ++i) entries.push_back(object(fmt::format("d{:03}/file-{:07}", i / 500, i)));
  const auto manifest = load(entries);
  EXPECT_LT(manifest->memoryBytes(), 20'000U);  // per block of 16 KiB, not per name
  for (int i = 0; i < 50'000; i += 97) EXPECT_EQ(**manifest->find(entries[i].path), entries[i]);
  EXPECT_EQ(listed(*manifest, "").size(), 100U);
  EXPECT_EQ(listed(*manifest, "d099/", 333).size(), 500U);
}

TEST_F(ManifestTest, anEmptyOneIsOne) {
  const auto manifest = load({});
  EXPECT_EQ(manifest->count(), 0U);
  EXPECT_EQ(manifest->sample(), std::nullopt);
  EXPECT_TRUE(listed(*manifest, "").empty());
}

TEST_F(ManifestTest, aFileThatWasCutOrEditedIsRefusedWithFileLineAndReason) {
  const std::string text = written({object("a"), object("b"), object("c")});
  const std::size_t second = text.find("b\t"), end = text.find("end\t");
  EXPECT_THAT(refusal(text.substr(0, end)), testing::AllOf(HasSubstr("manifest " + directory.string() + "/m, line 5"),
                                                           HasSubstr("without the last line")));
  EXPECT_THAT(refusal(text.substr(0, text.size() - 1)), HasSubstr("line 5: the file ends here"));
  EXPECT_THAT(refusal(text.substr(0, second + 4)), HasSubstr("line 3: the file ends here"));
  EXPECT_THAT(refusal(""), HasSubstr("line 1: the file is empty"));
  EXPECT_THAT(refusal("junk\n"), HasSubstr("line 1: it is no manifest"));
  EXPECT_THAT(refusal(text + text), HasSubstr("line 6: it stands behind the last line"));
  std::string edited = text;
  edited[second + 2] = '4';  // the size
  EXPECT_THAT(refusal(edited), HasSubstr("line 5: its digest is 'sha256:"));
  edited = text;
  edited.erase(second, edited.find('\n', second) + 1 - second);
  EXPECT_THAT(refusal(edited), HasSubstr("line 4: 2 objects are listed, 3 were written"));
  edited = text;
  edited.replace(second, 1, "d");
  EXPECT_THAT(refusal(edited), HasSubstr("line 4: 'c' stands behind 'd'"));
  edited = text;
  edited.replace(second, 1, "b%62");  // another way to write a name
  EXPECT_THAT(refusal(edited), HasSubstr("line 3: a text that isn't percent-encoded"));
  edited = text;
  edited.replace(text.find("\t1\t"), 3, "\t9\t");
  EXPECT_THAT(refusal(edited), HasSubstr("format '9'"));
  EXPECT_THAT(refusal(text.substr(0, second) + std::string(kMaxManifestLine + 1, 'x')),
              HasSubstr("line 3: it is longer"));
}

TEST_F(ManifestTest, aFileThatIsEditedWhileItIsServedGivesAnErrorAndNoOtherAnswer) {
  const auto manifest = load({object("a"), object("b")});
  std::fstream file(manifest->file(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(written({object("a")}).find("a\t3") + 2));
  file.put('4');
  file.close();
  const auto found = manifest->find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::Corrupt);
  EXPECT_THAT(found.error().message, HasSubstr("changed in place"));
  fs::resize_file(manifest->file(), 10);
  EXPECT_FALSE(manifest->find("b"));
}

TEST_F(ManifestTest, theDigestIsOfTheObjectsAlone) {
  std::string one, other;
  auto first = ManifestWriter::begin([&](std::string_view t) { one += t; }, "az://a/b", "monday");
  auto second = ManifestWriter::begin([&](std::string_view t) { other += t; }, "az://a/b", "tuesday");
  ASSERT_TRUE(first->add(object("x")));
  ASSERT_TRUE(second->add(object("x")));
  EXPECT_EQ(first->finish(), second->finish());
  EXPECT_NE(one, other);
}

TEST_F(ManifestTest, whatIsntInOrderIsNotWritten) {
  std::string text;
  auto writer = ManifestWriter::begin([&](std::string_view t) { text += t; }, "az://a/b", "now");
  ASSERT_TRUE(writer->add(object("b")));
  const std::string before = text;
  EXPECT_FALSE(writer->add(object("a")));
  EXPECT_FALSE(writer->add(object("b")));
  EXPECT_FALSE(writer->add(object("")));
  EXPECT_EQ(text, before);
}

TEST_F(ManifestTest, whatIsNoFileIsRefused) {
  EXPECT_EQ(Manifest::load((directory / "none").string()).error().code, Code::NotFound);
  EXPECT_EQ(Manifest::load(directory.string()).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace forebay::node
