#include "frontend/fuse/remembered_names.h"

#include <gtest/gtest.h>

namespace forebay::fuse {
namespace {

const TimePoint kNow = TimePoint{} + 1000s;

Inode file(std::string path, std::string version = "v") {
  return {
      .path = std::move(path), .directory = false, .version = std::move(version), .size = 5, .mtime_ns = 1, .plan = {}};
}

TEST(RememberedNames, knowsANameUntilItsTimeIsOver) {
  RememberedNames names(kMiB);
  EXPECT_FALSE(names.find("a", kNow));
  names.remember(file("a"), kNow + 5s);
  const auto known = names.find("a", kNow + 2s);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->inode.version, "v");
  EXPECT_EQ(known->left, 3s);
  names.remember(file("a", "w"), kNow + 9s);
  EXPECT_EQ(names.find("a", kNow + 8s)->inode.version, "w");
  EXPECT_EQ(names.size(), 1U);
  EXPECT_FALSE(names.find("a", kNow + 9s));
  EXPECT_EQ(names.bytes(), 0U);
}

TEST(RememberedNames, forgetsAPathAndWhatIsBelow) {
  RememberedNames names(kMiB);
  for (const char* path : {"d", "d/a", "d/e/b", "d!", "da", "x"}) names.remember(file(path), kNow + 1s);
  names.forgetBelow("d");
  for (const char* gone : {"d", "d/a", "d/e/b"}) EXPECT_FALSE(names.find(gone, kNow)) << gone;
  for (const char* here : {"d!", "da", "x"}) EXPECT_TRUE(names.find(here, kNow)) << here;
  names.forget("x");
  EXPECT_FALSE(names.find("x", kNow));
  names.forgetBelow("");
  EXPECT_EQ(names.size(), 0U);
  EXPECT_EQ(names.bytes(), 0U);
}

TEST(RememberedNames, staysWithinItsBytes) {
  RememberedNames names(20'000);
  for (int i = 0; i < 1'000; ++i) {
    names.remember(file("f" + std::to_string(i)), kNow + 1s);
    ASSERT_LE(names.bytes(), 20'000U);
    ASSERT_TRUE(names.find("f0", kNow)) << "asked for all the time";
  }
  EXPECT_GT(names.size(), 10U);
  EXPECT_FALSE(names.find("f1", kNow));
}

}  // namespace
}  // namespace forebay::fuse
