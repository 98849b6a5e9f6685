#include "node/slow_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::node {
namespace {

using testing::HasSubstr;

constexpr core::NodeId kPeer = 7;

class SlowReadsTest : public testing::Test {
 protected:
  SlowReadsTest() {
    mount_.name = "data";
    mount_.url = "s3://bucket";
    mount_.metrics = std::make_unique<MountMetrics>(metrics_, "data");
    plan_.path = "a b\n";
    plan_.chunk_bits = 20;
  }
  static TimePoint at(Duration d) { return TimePoint{} + 1000s + d; }
  SlowRead read() {
    return {.mount = mount_, .plan = plan_, .range = {2, 100, 50}, .arrived = at(0s), .ended = at(3s)};
  }
  std::string describe(const SlowRead& read) const { return slow_.describe(read); }

  Metrics metrics_;
  Mount mount_;
  core::Plan plan_;
  SlowReads slow_{1s, [](core::NodeId node) { return "n" + std::to_string(node); }};
};

TEST_F(SlowReadsTest, countFromTheLimitOn) {
  EXPECT_FALSE(slow_.slow(999ms));
  EXPECT_TRUE(slow_.slow(1s));
  const SlowReads off(Duration{0}, {});
  EXPECT_FALSE(off.slow(1000s));
}

TEST_F(SlowReadsTest, nameTheObjectTheRangeAndEachStage) {
  SlowRead slow = read();
  slow.fetched = true;
  slow.trace = {.attempts = 1, .first_asked = at(100ms), .asked = at(100ms), .placed = at(600ms), .first_byte = at(2s)};
  slow.ready = at(2500ms);
  EXPECT_EQ(describe(slow),
            "\"data/a b\\n\": bytes 2097252 to 2097302 took 3.000 s for a client (queued 0.100 s, waiting for room "
            "0.500 s, first byte of the origin s3://bucket 1.400 s, receive 0.500 s, send 0.500 s)");
}

TEST_F(SlowReadsTest, nameThePeersOnBothSides) {
  SlowRead slow = read();
  slow.asker = 3;
  slow.fetched = true;
  slow.trace = {.from = kPeer, .attempts = 3, .first_asked = at(0s), .asked = at(2s), .placed = at(2s)};
  slow.ready = at(3s);
  EXPECT_THAT(describe(slow), HasSubstr("for node n3 (2 earlier attempts 2.000 s, receive 1.000 s)"));
  const Error error{Code::Busy, "no room", 0};
  slow.error = &error;
  slow.ready = {};
  EXPECT_THAT(describe(slow), HasSubstr("and ended with Busy: no room (2 earlier attempts 2.000 s, node n7 1.000 s)"));
}

TEST_F(SlowReadsTest, whatWasThereWasOnlySlowToGoOut) {
  EXPECT_THAT(describe(read()), HasSubstr("(send 3.000 s)"));
}

TEST_F(SlowReadsTest, aFetchThatHadBegunBeforeCostsOnlyWhatIsLeftOfIt) {
  SlowRead slow = read();
  slow.fetched = true;
  slow.trace = {.attempts = 1, .first_asked = at(-5s), .asked = at(-5s), .placed = at(-5s), .first_byte = at(-4s)};
  slow.ready = at(3s);
  EXPECT_THAT(describe(slow), HasSubstr("(receive 3.000 s)"));
}

TEST_F(SlowReadsTest, areAllCountedAndAFewLogged) {
  testing::internal::CaptureStderr();
  for (std::uint32_t i = 0; i < SlowReads::kLines + 5; ++i) slow_.report(read());
  slow_.reportNames(mount_, "x", 12, core::kNoNode, 2s);
  const std::string logged = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(logged.begin(), logged.end(), '\n'), SlowReads::kLines) << logged;
  EXPECT_EQ(mount_.metrics->slow_reads.value(), SlowReads::kLines + 6);
}

}  // namespace
}  // namespace forebay::node
