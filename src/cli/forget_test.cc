#include "cli/forget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_codes.h"
#include "cli/fake_cell.h"
#include "wire/messages.h"

namespace forebay::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Forget : public testing::Test {
 protected:
  template <class Run>
  int run(Run command, bool json = false) {
    Terminal terminal(output.options(json));
    return command(terminal);
  }
  int evict(std::vector<std::string> names, bool json = false) {
    return run([&](Terminal& t) { return runEvict(cell, t, {.names = std::move(names)}); }, json);
  }
  int refresh(std::vector<std::string> names, bool json = false) {
    return run([&](Terminal& t) { return runRefresh(cell, t, {.names = std::move(names)}); }, json);
  }
  void held(const std::string& name, std::uint64_t bytes, std::uint64_t in_use = 0) {
    auto& node = *cell.evict_reply.add_nodes();
    node.set_name(name);
    node.set_bytes(bytes);
    node.set_objects(1);
    node.set_in_use_bytes(in_use);
    node.set_in_use_objects(in_use > 0 ? 1 : 0);
  }
  static void fails(auto& node, const std::string& name, Code code) {
    node.set_name(name);
    *node.mutable_failure() = wire::toMessage({code, "it can't be reached", 0});
  }

  FakeCell cell;
  Output output;
};

TEST_F(Forget, namesOfOneMountGoInOneRequest) {
  EXPECT_EQ(evict({"data/a", "other", "/data/dir/"}), kExitOk);
  EXPECT_THAT(cell.evicted, ElementsAre("data/a", "data/dir", "other/"));
}

TEST_F(Forget, moreThanARequestHoldsAreSeveral) {
  std::vector<std::string> names(wire::kMaxPathsPerForget + 1, "data/x");
  held("a", 10);
  EXPECT_EQ(evict(names, true), kExitOk);
  EXPECT_EQ(cell.evicted.size(), names.size());
  EXPECT_THAT(output.out, HasSubstr(R"("freed_bytes":20)")) << "summed over both";
}

TEST_F(Forget, eachNodesPartIsShownAndWhatStayedIsSaid) {
  held("a", 3 * kMiB);
  held("b", 0, 2 * kMiB);
  EXPECT_EQ(evict({"data"}), kExitOk);
  EXPECT_THAT(output.out, HasSubstr("3.00 MiB"));
  EXPECT_EQ(output.err,
            "forebay: 2.00 MiB of 1 objects are being read or filled and stayed: evict again when that is over\n");
}

TEST_F(Forget, aNodeThatCantBeReachedIsNamedAndMakesItIncomplete) {
  held("a", 5);
  fails(*cell.evict_reply.add_nodes(), "b", Code::Unavailable);
  EXPECT_EQ(evict({"data"}, true), kExitIncomplete);
  EXPECT_EQ(output.err, "forebay: b: it can't be reached\n");
  EXPECT_THAT(output.out, HasSubstr(R"({"node":"b","freed_bytes":null)"));
  EXPECT_THAT(output.out, HasSubstr(R"("state":"Unavailable")"));
}

TEST_F(Forget, refreshSaysHowMuchEachNodeForgot) {
  auto& node = *cell.refresh_reply.add_nodes();
  node.set_name("a");
  node.set_names(7);
  fails(*cell.refresh_reply.add_nodes(), "b", Code::NotFound);
  EXPECT_EQ(refresh({"data/a"}, true), kExitIncomplete);
  EXPECT_THAT(cell.refreshed, ElementsAre("data/a"));
  EXPECT_THAT(output.out, HasSubstr(R"({"node":"a","forgotten":7,"state":"done"})"));
}

TEST_F(Forget, aMountThatIsNotThereAndAUrlAreErrors) {
  cell.broken["none"] = {Code::NotFound, "no such mount", 0};
  EXPECT_EQ(evict({"none/a"}), kExitNotFound);
  EXPECT_EQ(refresh({"s3://bucket/a", "data"}), kExitUsage);
  EXPECT_THAT(cell.refreshed, ElementsAre("data/")) << "the others are done";
}

}  // namespace
}  // namespace forebay::cli
