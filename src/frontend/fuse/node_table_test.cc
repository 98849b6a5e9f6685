#include "frontend/fuse/node_table.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

namespace forebay::fuse {
namespace {

Inode object(std::string path, std::string version) {
  return {.path = std::move(path), .version = std::move(version), .size = 1};
}
Inode directory(std::string path) {
  return {.path = std::move(path), .directory = true};
}

TEST(NodeTable, theRootIsAlwaysThere) {
  NodeTable table;
  table.forget(FUSE_ROOT_ID, 1000);
  ASSERT_NE(table.find(FUSE_ROOT_ID), nullptr);
  EXPECT_TRUE(table.find(FUSE_ROOT_ID)->directory);
  EXPECT_EQ(table.findDirectory(""), FUSE_ROOT_ID);
}

TEST(NodeTable, aVersionIsANodeAndAnotherVersionAnother) {
  NodeTable table;
  const NodeNumber one = table.look(object("a", "v1"));
  EXPECT_EQ(table.look(object("a", "v1")), one);
  const NodeNumber two = table.look(object("a", "v2"));
  EXPECT_NE(one, two);
  EXPECT_EQ(table.find(one)->version, "v1");
  EXPECT_EQ(table.find(two)->version, "v2");
}

TEST(NodeTable, aNodeGoesWhenAllItsLookupsAndHandlesHave) {
  NodeTable table;
  const NodeNumber node = table.look(object("a", "v1"));
  table.look(object("a", "v1"));
  table.open(node);
  table.forget(node, 1);
  EXPECT_NE(table.find(node), nullptr);
  table.forget(node, 1);
  EXPECT_NE(table.find(node), nullptr) << "a handle holds it";
  table.close(node);
  EXPECT_EQ(table.find(node), nullptr);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_NE(table.look(object("a", "v1")), node) << "numbers are never given twice";
}

TEST(NodeTable, aRenewedNodeHasAnotherAfterIt) {
  NodeTable table;
  const NodeNumber old = table.look(object("a", "v1"));
  table.open(old);
  EXPECT_TRUE(table.renew(old));
  EXPECT_FALSE(table.renew(old)) << "once for each";
  const NodeNumber next = table.look(object("a", "v1"));
  EXPECT_NE(next, old);
  EXPECT_EQ(table.look(object("a", "v1")), next);
  EXPECT_FALSE(table.renew(old)) << "it isn't the latest";
  EXPECT_EQ(inodeNumber(*table.find(old)), inodeNumber(*table.find(next))) << "one file for programs";
  // The plan of one comes and goes without the other.
  table.setPlan(old, std::make_shared<const core::Plan>());
  EXPECT_EQ(table.look(object("a", "v1")), next);
  EXPECT_EQ(table.find(next)->plan, nullptr);
  table.forget(old, 1);
  table.close(old);
  EXPECT_EQ(table.find(old), nullptr);
  EXPECT_EQ(table.look(object("a", "v1")), next) << "the old one's end doesn't touch it";
  table.forget(next, 4);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_FALSE(table.renew(next));
  EXPECT_FALSE(table.renew(FUSE_ROOT_ID));
}

TEST(NodeTable, anOldIncarnationThatIsSupersededMakesTheNextAnswerSuspect) {
  NodeTable table;
  const NodeNumber old = table.look(object("a", "v1"));
  ASSERT_TRUE(table.renew(old));
  table.look(object("a", "v1"));
  table.supersede(old);
  EXPECT_TRUE(table.takeSuperseded(object("a", "v1")));
  EXPECT_FALSE(table.takeSuperseded(object("a", "v1")));
}

TEST(NodeTable, whatTheKernelCannotMeanIsIgnored) {
  NodeTable table;
  table.forget(999, 1);
  table.open(999);
  table.close(999);
  const NodeNumber node = table.look(object("a", "v1"));
  table.close(node);
  EXPECT_NE(table.find(node), nullptr);
  table.forget(node, UINT64_MAX);
  EXPECT_EQ(table.find(node), nullptr);
}

TEST(NodeTable, aListedNodeGetsItsPlanFromALaterLookup) {
  NodeTable table;
  const NodeNumber node = table.look(object("a", "v1"));
  EXPECT_EQ(table.find(node)->plan, nullptr);
  Inode whole = object("a", "v1");
  whole.plan = std::make_shared<const core::Plan>(core::Plan{.path = "a", .version = "v1"});
  EXPECT_EQ(table.look(std::move(whole)), node);
  ASSERT_NE(table.find(node)->plan, nullptr);
  table.forget(node, 2);
  EXPECT_EQ(table.size(), 1U) << "its names were counted right all along";
}

TEST(NodeTable, aListingThatIsWrongAboutASizeGivesAnotherNode) {
  NodeTable table;
  const NodeNumber listed = table.look(object("a", "v1"));
  Inode real = object("a", "v1");
  real.size = 2;
  EXPECT_NE(table.look(std::move(real)), listed);
}

TEST(NodeTable, aSupersededVersionIsToldOnce) {
  NodeTable table;
  const NodeNumber node = table.look(object("a", "v1"));
  EXPECT_FALSE(table.takeSuperseded(object("a", "v1")));
  table.supersede(node);
  EXPECT_FALSE(table.takeSuperseded(object("a", "v2")));
  EXPECT_TRUE(table.takeSuperseded(object("a", "v1")));
  EXPECT_FALSE(table.takeSuperseded(object("a", "v1")));
}

TEST(NodeTable, theOldestUnopenedObjectsAreOfferedForForgetting) {
  NodeTable table;
  table.look(directory("d"));
  std::vector<NodeNumber> nodes;
  for (int i = 0; i < 10; ++i) nodes.push_back(table.look(object("d/" + std::to_string(i), "v")));
  table.open(nodes[1]);
  EXPECT_TRUE(table.pastLimit(12, 100).empty());
  const auto past = table.pastLimit(9, 100);  // 12 nodes
  ASSERT_EQ(past.size(), 3U);
  EXPECT_EQ(past[0]->path, "d/0");
  EXPECT_EQ(past[1]->path, "d/2");
  EXPECT_EQ(past[2]->path, "d/3");
  EXPECT_EQ(table.pastLimit(9, 1)[0]->path, "d/4") << "goes on";
}

TEST(InodeNumber, isOfPathAndVersionAndNeverTheRoots) {
  EXPECT_EQ(inodeNumber("", true, {}), 1U);
  EXPECT_NE(inodeNumber("a", false, "v1"), inodeNumber("a", false, "v2"));
  EXPECT_NE(inodeNumber("ab", false, "c"), inodeNumber("a", false, "bc"));
  EXPECT_NE(inodeNumber("a", true, {}), inodeNumber("a", false, {}));
  for (int i = 0; i < 10'000; ++i) EXPECT_GT(inodeNumber(std::to_string(i), false, "v"), 1U);
}

TEST(Paths, areTakenApartAndPutTogether) {
  EXPECT_EQ(parentOf("a/b/c"), "a/b");
  EXPECT_EQ(parentOf("a"), "");
  EXPECT_EQ(baseName("a/b/c"), "c");
  EXPECT_EQ(baseName("a"), "a");
  EXPECT_EQ(childPath("", "a"), "a");
  EXPECT_EQ(childPath("a/b", "c"), "a/b/c");
}

}  // namespace
}  // namespace forebay::fuse
