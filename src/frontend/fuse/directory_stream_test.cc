#include "frontend/fuse/directory_stream.h"

#include <gtest/gtest.h>

namespace forebay::fuse {
namespace {

// A directory of numbered names in pages of `page`, with cursors that are the last name's number.
struct Listing {
  std::uint64_t names = 0;
  std::uint64_t page = 1;
  std::uint64_t asked = 0;

  client::DirectoryPage list(const std::string& cursor) {
    ++asked;
    client::DirectoryPage out;
    const std::uint64_t first = cursor.empty() ? 0 : std::stoull(cursor);
    for (std::uint64_t i = first; i < std::min(first + page, names); ++i)
      out.entries.push_back({.name = std::to_string(i)});
    if (first + page < names) out.next_cursor = std::to_string(first + page);
    return out;
  }
};

// The name at an index, listing what it takes; "" at the end.
std::string nameAt(DirectoryStream& stream, Listing& listing, std::uint64_t index) {
  for (;;) {
    const Place place = stream.seek(index);
    if (std::holds_alternative<EndOfDirectory>(place)) return "";
    if (const auto* page = std::get_if<std::shared_ptr<const Page>>(&place))
      return (*page)->entries[index - (*page)->first].name;
    const auto& want = std::get<WantPage>(place);
    EXPECT_TRUE(stream.arrived(want, listing.list(want.cursor), TimePoint{}));
  }
}

TEST(DirectoryStream, readsOnAndBack) {
  Listing listing{.names = 1000, .page = 30};
  DirectoryStream stream;
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(nameAt(stream, listing, i), std::to_string(i));
  EXPECT_EQ(listing.asked, 34U) << "each page once";
  EXPECT_EQ(nameAt(stream, listing, 1000), "");
  EXPECT_EQ(nameAt(stream, listing, UINT64_MAX), "");
  for (const std::uint64_t i : {999U, 0U, 500U, 29U, 30U}) EXPECT_EQ(nameAt(stream, listing, i), std::to_string(i));
  EXPECT_EQ(listing.asked, 34U + 4U) << "29 is in the page of 0, 30 in the next";
}

TEST(DirectoryStream, anEmptyDirectoryEndsAtOnce) {
  Listing listing{.names = 0, .page = 10};
  DirectoryStream stream;
  EXPECT_EQ(nameAt(stream, listing, 0), "");
}

TEST(DirectoryStream, keepsFewCursorsOfAHugeDirectory) {
  Listing listing{.names = 10'000, .page = 1};
  DirectoryStream stream;
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_EQ(nameAt(stream, listing, i), std::to_string(i));
  EXPECT_EQ(listing.asked, 10'000U);
  for (const std::uint64_t i : {5000U, 7U, 9999U}) EXPECT_EQ(nameAt(stream, listing, i), std::to_string(i));
  EXPECT_LT(listing.asked, 10'000U + 3U * 32U) << "it walks from a cursor nearby: with 1024 kept, within 16 pages";
}

TEST(DirectoryStream, pagesThatAreEmptyAfterHidingAreStepsOnTheWay) {
  DirectoryStream stream;
  ASSERT_TRUE(stream.arrived(WantPage{0, ""}, {.entries = {{.name = ".."}, {.name = ""}}, .next_cursor = "b"}, {}));
  EXPECT_EQ(std::get<WantPage>(stream.seek(0)), (WantPage{0, "b"}));
  const auto hidden = stream.arrived(WantPage{0, "b"}, {.entries = {{.name = "x"}, {.name = "y/z"}}, .hidden = 5}, {});
  ASSERT_TRUE(hidden);
  EXPECT_EQ(*hidden, 6U);
  EXPECT_EQ(std::get<std::shared_ptr<const Page>>(stream.seek(0))->entries.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<EndOfDirectory>(stream.seek(1)));
}

TEST(DirectoryStream, theStartIsFoundAgainThoughTheFirstPagesWereEmpty) {
  DirectoryStream stream;
  ASSERT_TRUE(stream.arrived(WantPage{0, ""}, {.next_cursor = "0"}, {}));
  Listing listing{.names = 3000, .page = 1};
  for (std::uint64_t i = 0; i < 3000; ++i) ASSERT_EQ(nameAt(stream, listing, i), std::to_string(i));
  EXPECT_EQ(nameAt(stream, listing, 0), "0");
}

TEST(DirectoryStream, aListingThatStandsStillIsAnError) {
  DirectoryStream stream;
  ASSERT_TRUE(stream.arrived(WantPage{0, ""}, {.entries = {{.name = "a"}}, .next_cursor = "c"}, {}));
  EXPECT_FALSE(stream.arrived(WantPage{1, "c"}, {.entries = {{.name = "b"}}, .next_cursor = "c"}, {}));
}

TEST(DirectoryStream, whatArrivesAfterRewindingIsIgnored) {
  Listing listing{.names = 10, .page = 5};
  DirectoryStream stream;
  nameAt(stream, listing, 0);
  const auto want = std::get<WantPage>(stream.seek(5));
  stream.rewind();
  ASSERT_TRUE(stream.arrived(want, listing.list(want.cursor), {}));
  EXPECT_EQ(std::get<WantPage>(stream.seek(5)), (WantPage{0, ""}));
}

}  // namespace
}  // namespace forebay::fuse
