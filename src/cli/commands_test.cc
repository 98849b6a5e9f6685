#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_codes.h"
#include "cli/fake_cell.h"
#include "cli/progress.h"

namespace forebay::cli {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class Commands : public testing::Test {
 protected:
  Commands() {
    cell.objects = {{"data/a", "hello"},
                    {"data/sub/x", "xx"},
                    {"data/sub/deep/y", "yyy"},
                    {"data/z", ""},
                    {std::string("data/odd\x1b[2J\xff"), "!"}};
  }
  // Runs a command and returns its exit code; what it printed is in `output`.
  template <class Run>
  int run(Run command, bool json = false) {
    output.out.clear();
    output.err.clear();
    Terminal terminal(output.options(json));
    return command(terminal);
  }
  int ls(LsOptions options, bool json = false) {
    return run([&](Terminal& t) { return runLs(cell, t, options); }, json);
  }
  int cat(CatOptions options) {
    return run([&](Terminal& t) { return runCat(cell, t, options); });
  }
  int load(LoadOptions options) {
    return run([&](Terminal& t) { return runLoad(cell, t, options); });
  }

  FakeCell cell;
  Output output;
};

TEST_F(Commands, lsShowsADirectoryOverItsPagesAndMarksDirectories) {
  EXPECT_EQ(ls({.names = {"data"}}), kExitOk);
  EXPECT_EQ(output.out, "a\nodd\\x1b[2J\\xff\nsub/\nz\n") << "a name can't move the cursor";
}

TEST_F(Commands, lsToleratesSlashesAroundAName) {
  EXPECT_EQ(ls({.names = {"/data/sub/"}}), kExitOk);
  EXPECT_EQ(output.out, "deep/\nx\n");
}

TEST_F(Commands, lsGoesDownAndSaysWhereTheNamesAre) {
  EXPECT_EQ(ls({.names = {"data/sub", "data/z"}, .recursive = true}), kExitOk);
  EXPECT_EQ(output.out, "data/sub/deep/\ndata/sub/deep/y\ndata/sub/x\ndata/z\n");
}

TEST_F(Commands, lsInJsonHasExactNumbersAndExactNames) {
  EXPECT_EQ(ls({.names = {"data"}}, true), kExitOk);
  EXPECT_THAT(output.out,
              StartsWith("[\n{\"size\":5,\"mtime_ns\":0,\"version\":\"v1\",\"directory\":false,\"name\":\"a\"},\n"));
  EXPECT_THAT(output.out, HasSubstr(R"("name":"odd\u001b[2J\ufffd","name_hex":"6f64641b5b324aff")"));
  EXPECT_THAT(output.out, EndsWith("\n]\n"));
}

TEST_F(Commands, lsOfNothingIsAnEmptyArrayAndAnError) {
  EXPECT_EQ(ls({.names = {"data/none"}}, true), kExitNotFound);
  EXPECT_EQ(output.out, "[]\n");
  EXPECT_EQ(output.err, "forebay: data/none: no such object\n");
}

TEST_F(Commands, lsGoesOnAfterADirectoryThatFailsAndReturnsItsCode) {
  cell.broken["data/sub/deep"] = {Code::Unavailable, "no answer"};
  EXPECT_EQ(ls({.names = {"data"}, .recursive = true}), kExitUnavailable);
  EXPECT_THAT(output.out, EndsWith("sub/x\nz\n"));
  EXPECT_EQ(output.err, "forebay: list data/sub/deep: no answer\n");
}

TEST_F(Commands, lsWithoutNamesShowsTheMounts) {
  auto* mount = cell.status_reply.add_nodes()->add_mounts();
  mount->set_name("data");
  mount->set_url("az://acct/data");
  EXPECT_EQ(ls({}), kExitOk);
  EXPECT_THAT(output.out, AllOf(HasSubstr("MOUNT"), HasSubstr("az://acct/data")));
}

TEST_F(Commands, lsStopsInSilenceWhenItsReaderLeaves) {
  for (int i = 0; i < 5000; ++i) cell.objects["data/many/" + std::string(30, 'n') + std::to_string(i)] = "";
  cell.page = 100;
  output.out_error = EPIPE;
  EXPECT_NE(ls({.names = {"data/many"}}), kExitOk);
  EXPECT_THAT(output.err, IsEmpty());
}

TEST_F(Commands, aNameThatNamesNothingIsAUsageError) {
  for (const char* name : {"", "/", "az://acct/data"}) {
    EXPECT_EQ(ls({.names = {name}}), kExitUsage) << name;
    EXPECT_THAT(output.err, HasSubstr("write MOUNT/PATH"));
  }
}

TEST_F(Commands, statShowsWhatAnObjectIsButNotItsKey) {
  const auto stat = [&](bool json) {
    return run([&](Terminal& t) { return runStat(cell, t, {.names = {"data/a", "data/sub", "data/none"}}); }, json);
  };
  EXPECT_EQ(stat(false), kExitNotFound);
  EXPECT_THAT(output.out, AllOf(HasSubstr("5 bytes"), HasSubstr("version   v1"), HasSubstr("1 of 1MiB"),
                                HasSubstr("data/sub\n  directory\n")));
  EXPECT_EQ(stat(true), kExitNotFound);
  EXPECT_THAT(output.out, AllOf(HasSubstr(R"("size":5)"), HasSubstr(R"("directory":true)"), Not(HasSubstr("key"))));
}

TEST_F(Commands, catPrintsObjectsOneAfterTheOther) {
  EXPECT_EQ(cat({.names = {"data/a", "data/z", "data/sub/x"}}), kExitOk);
  EXPECT_EQ(output.out, "helloxx");
}

TEST_F(Commands, catPrintsLargeObjectsInOrderAndRangesOfThem) {
  std::string content;
  for (int i = 0; content.size() < 20'000'000; ++i) content += std::to_string(i);
  cell.objects["data/large"] = content;
  EXPECT_EQ(cat({.names = {"data/large"}}), kExitOk);
  EXPECT_TRUE(output.out == content);
  EXPECT_EQ(cat({.names = {"data/large"}, .offset = 4'194'300, .length = 10}), kExitOk);
  EXPECT_EQ(output.out, content.substr(4'194'300, 10));
  EXPECT_EQ(cat({.names = {"data/large"}, .offset = content.size() - 3, .length = 10}), kExitOk);
  EXPECT_EQ(output.out, content.substr(content.size() - 3));
  EXPECT_EQ(cat({.names = {"data/large"}, .offset = content.size() + 1, .length = {}}), kExitOk);
  EXPECT_EQ(output.out, "");
}

TEST_F(Commands, catOfAVersionThatWentAwayMidwayIsIncomplete) {
  cell.objects["data/large"] = std::string(8 * kMiB, 'x');
  cell.broken["data/large@4194304"] = {Code::Gone, "version v1 is no longer at the origin"};
  EXPECT_EQ(cat({.names = {"data/large"}}), kExitIncomplete);
  EXPECT_EQ(output.out.size(), 4'194'304U);
  EXPECT_THAT(output.err, HasSubstr("data/large: version v1 is no longer"));
}

TEST_F(Commands, loadBringsEverythingBelowAName) {
  cell.objects["data/large"] = std::string(10 * kMiB + 1, 'x');
  EXPECT_EQ(load({.names = {"data"}, .in_flight = 8}), kExitOk);
  EXPECT_EQ(cell.loaded["data/large"], 10 * kMiB + 1);
  EXPECT_EQ(cell.loaded["data/sub/deep/y"], 3U);
  EXPECT_THAT(output.out, AllOf(HasSubstr(R"("event":"done")"), HasSubstr(R"("objects":6,"total_objects":6)"),
                                HasSubstr(R"("bytes":10485772,"total_bytes":10485772)")));
}

TEST_F(Commands, loadResolvesInBatches) {
  for (int i = 0; i < 1000; ++i) cell.objects["data/many/" + std::to_string(i)] = "x";
  cell.page = 1000;
  EXPECT_EQ(load({.names = {"data/many"}, .in_flight = 1}), kExitOk);
  EXPECT_EQ(cell.loaded.size(), 1000U);
  EXPECT_LE(cell.resolve_calls, 1 + 1000U);
}

TEST_F(Commands, loadNamesWhatFailedAndLoadsTheRest) {
  cell.objects["data/large"] = std::string(3 * kMiB, 'x');
  cell.broken["data/large@1048576"] = {Code::Unavailable, "origin: no answer"};
  cell.broken["data/a"] = {Code::PermissionDenied, "refused"};
  EXPECT_EQ(load({.names = {"data"}, .in_flight = 4}), kExitIncomplete);
  EXPECT_THAT(output.err, AllOf(HasSubstr("data/large: origin: no answer"), HasSubstr("data/a: refused")));
  EXPECT_THAT(output.out, AllOf(HasSubstr(R"({"event":"failure","name":"data/a","code":"PermissionDenied")"),
                                HasSubstr(R"("event":"failed")"), HasSubstr(R"("failures":2,"failed_objects":2)")));
  EXPECT_EQ(cell.loaded["data/sub/x"], 2U);
}

TEST_F(Commands, loadOfOneNameThatIsNotThereSaysSoInItsCode) {
  EXPECT_EQ(load({.names = {"data/none"}}), kExitNotFound);
  cell.broken["data/sub"] = {Code::Unauthenticated, "the key was refused"};
  EXPECT_EQ(load({.names = {"data/sub"}}), kExitPermission);
}

TEST_F(Commands, loadOfCopiesCountsThemAll) {
  cell.objects["data/large"] = std::string(3 * kMiB, 'x');
  EXPECT_EQ(load({.names = {"data/large"}, .copies = 2}), kExitOk);
  EXPECT_EQ(cell.loaded["data/large"], 6 * kMiB);
  EXPECT_THAT(output.out, HasSubstr(R"("bytes":6291456,"total_bytes":6291456)"));
  EXPECT_EQ(load({.names = {"data/large"}, .copies = 0}), kExitOk);
  EXPECT_EQ(cell.loaded["data/large"], 9 * kMiB);
}

TEST_F(Commands, loadDoesWithoutANodeThatNeverAnswers) {
  cell.silent_nodes[7] = "n7";
  EXPECT_EQ(load({.names = {"data/a"}, .copies = 3}), kExitOk);
  EXPECT_THAT(output.err, HasSubstr("node n7: no answer: other nodes hold its part"));
  EXPECT_EQ(load({.names = {"data/a"}, .copies = 0}), kExitIncomplete);
  EXPECT_THAT(output.err, HasSubstr("node n7: no answer: it has not got what the others have"));
}

TEST_F(Commands, loadOfADirectoryThatCannotBeListedIsIncomplete) {
  cell.broken["data/sub/deep"] = {Code::Unavailable, "no answer"};
  EXPECT_EQ(load({.names = {"data/sub"}}), kExitIncomplete);
  EXPECT_THAT(output.err, HasSubstr("data/sub/deep/: no answer"));
}

TEST_F(Commands, whereShowsOwnersHoldersAndWhoDidNotAnswer) {
  cell.objects["data/large"] = std::string(2 * kMiB, 'x');
  EXPECT_EQ(run([&](Terminal& t) { return runWhere(cell, t, {.names = {"data/large"}}); }), kExitOk);
  EXPECT_THAT(output.out,
              AllOf(HasSubstr("1 of 2 chunks are in the cell"), HasSubstr("a, b (0.1%)"), HasSubstr("nobody")));
  EXPECT_THAT(output.err, HasSubstr("no answer from c"));
  EXPECT_EQ(run([&](Terminal& t) { return runWhere(cell, t, {.names = {"data/large"}}); }, true), kExitOk);
  EXPECT_THAT(output.out,
              HasSubstr(R"("slot":7,"bytes":1048576,"owners":["a","b"],"holders":[{"node":"a","bytes":1048576})"));
}

TEST_F(Commands, whereSaysWhenThereAreMoreChunksThanItShows) {
  cell.objects["data/large"] = std::string(3 * kMiB, 'x');
  cell.most_where_chunks = 2;
  EXPECT_EQ(run([&](Terminal& t) { return runWhere(cell, t, {.names = {"data/large"}}); }), kExitOk);
  EXPECT_THAT(output.err, HasSubstr("data/large: only its first 2 of 3 chunks are shown"));
  EXPECT_EQ(run([&](Terminal& t) { return runWhere(cell, t, {.names = {"data/large"}}); }, true), kExitOk);
  EXPECT_THAT(output.out, HasSubstr(R"("chunks_total":3)"));
}

TEST_F(Commands, statusSumsMountsOverNodesAndShowsWhoIsSilent) {
  for (const char* name : {"n1", "n2"}) {
    auto* node = cell.status_reply.add_nodes();
    node->set_name(name);
    node->set_reachable(true);
    node->add_notes("one fault domain only");
    auto* mount = node->add_mounts();
    mount->set_name("data");
    mount->set_bytes_served(512);
    mount->set_hits(3);
    mount->set_misses(1);
    mount->set_peer_bytes(100);
    mount->set_direct_bytes(100);
  }
  cell.status_reply.mutable_nodes(0)->mutable_mounts(0)->set_whole_objects("mapped");
  cell.status_reply.mutable_nodes(0)->mutable_mounts(0)->set_whole_objects_why("the mount was told not to");
  cell.status_reply.mutable_nodes(0)->mutable_mounts(0)->set_transport("io_uring");
  cell.status_reply.mutable_nodes(1)->mutable_mounts(0)->set_transport("plain");
  cell.status_reply.mutable_nodes(1)->mutable_mounts(0)->set_transport_why("this kernel has none");
  auto& pinning = *cell.status_reply.mutable_nodes(0)->add_pinning();
  pinning.set_pid(4711);
  pinning.set_name("library:4711");
  pinning.set_bytes(3 * kMiB);
  pinning.set_pins(5);
  pinning.set_oldest_ms(61'234);
  cell.status_reply.mutable_nodes(0)->set_pinned_bytes(4 * kMiB);
  cell.status_reply.mutable_nodes(0)->set_pinned_cap(8 * kMiB);
  cell.status_reply.add_nodes()->set_name("n3");
  EXPECT_EQ(run([&](Terminal& t) { return runStatus(cell, t, {}); }), kExitOk);
  EXPECT_THAT(
      output.out,
      AllOf(HasSubstr("no answer"), HasSubstr("1.00 KiB"), HasSubstr("75.0%"), HasSubstr("n2: one fault domain only"),
            HasSubstr("n1: mounts of data read whole objects through the mount's process, from a "
                      "mapping: the mount was told not to\n"),
            HasSubstr("n1: mounts of data speak with the kernel over io_uring\n"),
            HasSubstr("n2: mounts of data speak with the kernel over /dev/fuse alone, not io_uring: "
                      "this kernel has none\n"),
            HasSubstr("n1: clients hold 4.00 MiB of 8.00 MiB that they may hold in view\n"),
            HasSubstr("n1: process 4711 (library:4711, not connected) has 3.00 MiB in 5 views, the oldest for 61 s\n"),
            Not(HasSubstr("n2: mounts of data read"))));
  EXPECT_EQ(run([&](Terminal& t) { return runStatus(cell, t, {}); }, true), kExitOk);
  EXPECT_THAT(output.out,
              AllOf(StartsWith(R"({"nodes":[{"name":"n1")"), HasSubstr(R"("hit_ratio":0.75)"),
                    HasSubstr(R"("whole_objects":"mapped","whole_objects_why":"the mount was told not to")"),
                    HasSubstr(R"("transport":"io_uring","transport_why":"")"),
                    HasSubstr(R"("pinning":[{"pid":4711,"name":"library:4711","bytes":3145728,"views":5)"),
                    HasSubstr(R"("name":"n3","address":"","reachable":false)")));
}

}  // namespace
}  // namespace forebay::cli
