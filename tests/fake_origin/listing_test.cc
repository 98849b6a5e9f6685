#include "fake_origin/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::fake {
namespace {

using testing::ElementsAre;

Objects named(std::initializer_list<const char*> names) {
  Objects objects;
  for (const char* name : names) objects.try_emplace(name);
  return objects;
}

// Everything, page by page; prefixes and objects as they come.
std::vector<std::string> all(const Objects& objects, ListRequest request) {
  std::vector<std::string> names;
  for (int pages = 0; pages < 100; ++pages) {
    const ListResult page = listObjects(objects, request);
    EXPECT_LE(page.items.size(), request.max);
    for (const ListItem& item : page.items) names.push_back(item.name);
    if (!page.next) return names;
    request.start = *page.next;
  }
  ADD_FAILURE() << "a listing without an end";
  return names;
}

TEST(Listing, groupsNamesAtTheDelimiterInAnyPageSize) {
  const Objects objects = named({"a", "a/", "a/b", "a/c/d", "b//x", "b/y", "c"});
  for (const std::uint64_t max : {1U, 2U, 3U, 100U}) {
    EXPECT_THAT(all(objects, {.prefix = "", .delimiter = "/", .start = "", .max = max}),
                ElementsAre("a", "a/", "b/", "c"));
    EXPECT_THAT(all(objects, {.prefix = "a/", .delimiter = "/", .start = "", .max = max}),
                ElementsAre("a/", "a/b", "a/c/"));
    EXPECT_THAT(all(objects, {.prefix = "b/", .delimiter = "/", .start = "", .max = max}), ElementsAre("b//", "b/y"));
    EXPECT_THAT(all(objects, {.prefix = "", .delimiter = "", .start = "", .max = max}),
                ElementsAre("a", "a/", "a/b", "a/c/d", "b//x", "b/y", "c"));
  }
}

TEST(Listing, aPrefixThatNobodyHasGivesNothing) {
  EXPECT_THAT(all(named({"a", "b"}), {.prefix = "x", .delimiter = "/", .start = "", .max = 9}), ElementsAre());
}

TEST(Listing, theNameAfterAPrefixIsRightAtTheLastByteToo) {
  EXPECT_EQ(afterPrefix("a/"), "a0");
  EXPECT_EQ(afterPrefix("a\xff"), "b");
  EXPECT_EQ(afterPrefix("\xff\xff"), "");
}

TEST(Marker, survivesTheTripAndNothingElseIsOne) {
  const auto marker = decodeMarker(encodeMarker({.start = "a+/\xc3\xbc", .after_empty = true}));
  ASSERT_TRUE(marker.has_value());
  EXPECT_EQ(marker->start, "a+/\xc3\xbc");
  EXPECT_TRUE(marker->after_empty);
  EXPECT_FALSE(decodeMarker("some/name").has_value());
  EXPECT_FALSE(decodeMarker("").has_value());
}

}  // namespace
}  // namespace forebay::fake
