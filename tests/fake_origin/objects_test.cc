#include "fake_origin/objects.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace forebay::fake {
namespace {

std::string contentOf(ObjectStore& store, std::uint64_t offset, std::uint64_t length) {
  std::string bytes;
  const auto segments = store.segments("c", "n", *store.find("c", "n"), offset, length);
  for (const Segment& segment : segments.value()) {
    if (segment.text) {
      bytes += segment.text->substr(segment.offset, segment.length);
      continue;
    }
    std::string piece(segment.length, '\0');
    EXPECT_EQ(pread(*segment.file, piece.data(), piece.size(), static_cast<off_t>(segment.offset)),
              static_cast<ssize_t>(piece.size()));
    bytes += piece;
  }
  return bytes;
}

TEST(ObjectStore, generatedContentIsAFunctionOfNameVersionAndOffset) {
  ObjectStore store;
  store.put("c", "n", {.generated_size = 40'000'000, .text = {}, .file = {}}, 0);
  // From the documented formula, computed with Python's hashlib.
  EXPECT_EQ(generatedStart("c", "n", 0), 4126610U);
  EXPECT_EQ(hex(bytesOf(contentOf(store, 0, 8))), "078ae82703699138");
  const std::string whole = contentOf(store, 0, 40'000'000);
  EXPECT_EQ(contentOf(store, 12'345'678, 1000), whole.substr(12'345'678, 1000));
  EXPECT_EQ(contentOf(store, 16'000'000, 5'000'000), whole.substr(16'000'000, 5'000'000));
  EXPECT_EQ(whole.substr(0, 1000), whole.substr(kPatternBytes, 1000));
}

TEST(ObjectStore, aNewVersionHasOtherBytesAndAnotherTagAlsoAfterADelete) {
  ObjectStore store;
  store.put("c", "n", {.generated_size = 100, .text = {}, .file = {}}, 0);
  const std::uint64_t first_tag = store.find("c", "n")->tag;
  const std::string first = contentOf(store, 0, 100);
  ASSERT_TRUE(store.change("c", "n", std::nullopt, 0));
  EXPECT_NE(store.find("c", "n")->tag, first_tag);
  EXPECT_NE(contentOf(store, 0, 100), first);
  ASSERT_TRUE(store.change("c", "n", 7, 0));
  EXPECT_EQ(store.find("c", "n")->size, 7U);
  ASSERT_TRUE(store.erase("c", "n"));
  EXPECT_EQ(store.find("c", "n"), nullptr);
  store.put("c", "n", {.generated_size = 100, .text = {}, .file = {}}, 0);
  EXPECT_NE(store.find("c", "n")->tag, first_tag);
}

}  // namespace
}  // namespace forebay::fake
