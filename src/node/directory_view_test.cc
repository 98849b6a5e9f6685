#include "node/directory_view.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace forebay::node {
namespace {

using origin::ListEntry;
using origin::ListPage;

ListEntry object(std::string name) {
  return {.name = std::move(name), .directory = false, .info = {7, "v", 9}};
}
ListEntry prefix(std::string name) {
  return {.name = std::move(name), .directory = true, .info = {}};
}

std::vector<std::string> shown(const ViewPage& page) {
  std::vector<std::string> all;
  for (const auto* e : page.entries) all.push_back(e->name + (e->directory ? "/" : ""));
  return all;
}
// Of a page that stays as long as its view.
struct View : ViewPage {
  View(ListPage from, ViewCursor cursor, bool mixes) : page(std::move(from)) {
    std::ranges::stable_sort(page.entries, keyBefore);
    static_cast<ViewPage&>(*this) = viewOf(page.entries, page.next, std::move(cursor), mixes);
  }
  ListPage page;
};
using Names = std::vector<std::string>;

TEST(DirectoryView, aCursorFitsItsMessageWhateverIsHeldBack) {
  ListPage page{{}, "next"};
  for (std::size_t length = 1; length <= 250; ++length) page.entries.push_back(object(std::string(length, '!')));
  const View view(page, {}, true);
  EXPECT_LE(view.next.encode().size(), 3'000U);
  EXPECT_FALSE(view.next.held.empty());
  EXPECT_EQ(view.entries.size() + view.next.held.size(), 250U);
}

TEST(DirectoryView, thePrefixWinsOverAnObjectOfItsName) {
  const View page({{object("a"), object("a-1"), prefix("a"), object("b")}, ""}, {}, true);
  EXPECT_EQ(shown(page), (Names{"a-1", "a/", "b"}));
  EXPECT_EQ(page.hidden, Names{"a"});
  EXPECT_TRUE(page.last);
}

TEST(DirectoryView, alsoWhereAPagesPrefixesComeAfterItsObjects) {
  const View page({{object("a"), object("a-1"), object("b"), object("c"), prefix("a"), prefix("b")}, ""}, {}, true);
  EXPECT_EQ(shown(page), (Names{"a-1", "a/", "b/", "c"}));
  EXPECT_EQ(page.hidden, (Names{"a", "b"}));
}

TEST(DirectoryView, alsoWhenTheyAreOnDifferentPages) {
  const View first({{object("a"), object("a-1")}, "more"}, {}, true);
  EXPECT_EQ(shown(first), Names{});
  const auto cursor = ViewCursor::decode(first.next.encode());
  ASSERT_TRUE(cursor);
  EXPECT_EQ(cursor->origin_next, "more");
  const View second({{object("a-2"), prefix("a"), object("c")}, "end"}, *cursor, true);
  EXPECT_EQ(shown(second), (Names{"a-1", "a-2", "a/"}));
  EXPECT_EQ(second.hidden, Names{"a"});
  const View third({{}, ""}, *ViewCursor::decode(second.next.encode()), true);
  EXPECT_EQ(shown(third), Names{"c"});
  EXPECT_EQ(third.entries[0]->info.size, 7U);
  EXPECT_EQ(third.entries[0]->info.version, "v");
}

TEST(DirectoryView, namesThatPosixCantHoldAreHiddenAndTheMarkerIsNoName) {
  const std::string longest(255, 'x'), too_long(256, 'x'), nul("a\0b", 3);
  ListEntry marker = object("");
  marker.info.size = 0;
  const View page({{marker, prefix(".."), prefix("."), prefix(""), object(nul), object(longest), object(too_long)}, ""},
                  {}, true);
  EXPECT_EQ(shown(page), Names{longest});
  EXPECT_EQ(page.hidden, (Names{"..", ".", "", nul, too_long}));
}

TEST(DirectoryView, aMarkerWithBytesOfItsOwnIsAHiddenObject) {
  EXPECT_EQ(View({{object(""), object("a")}, ""}, {}, true).hidden, Names{""});
}

TEST(DirectoryView, aDirectoryOriginsObjectsNeedNotWait) {
  const View page({{object("a")}, "a"}, {}, false);
  EXPECT_EQ(shown(page), Names{"a"});
}

TEST(DirectoryView, aMalformedCursorIsAnError) {
  for (std::string_view text : {"x", "12345678", "\x01\0\0\0\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff"})
    EXPECT_EQ(ViewCursor::decode(text).error().code, Code::InvalidArgument) << text.size();
  EXPECT_EQ(ViewCursor::decode(ViewCursor{}.encode() + "x").error().code, Code::InvalidArgument);
}

TEST(DirectoryView, posixPathsHaveProperComponents) {
  for (const char* path : {"", "a", "a/b c/%", "..a/b.."}) EXPECT_TRUE(posixPath(path)) << path;
  for (const char* path : {"/", "/a", "a/", "a//b", ".", "a/../b"}) EXPECT_FALSE(posixPath(path)) << path;
}

}  // namespace
}  // namespace forebay::node
