#include "cli/object_name.h"

#include <gtest/gtest.h>

namespace forebay::cli {
namespace {

TEST(ObjectName, aSlashAtTheEndIsADirectorysUnlessTheExactNameIsMeant) {
  EXPECT_EQ(ObjectName::parse("data/dir/")->path, "dir");
  EXPECT_EQ(ObjectName::parseExact("data/dir/")->path, "dir/");
  EXPECT_EQ(ObjectName::parse("data/")->path, "");
  EXPECT_EQ(ObjectName::parseExact("/data//odd//")->path, "/odd//");
}

}  // namespace
}  // namespace forebay::cli
