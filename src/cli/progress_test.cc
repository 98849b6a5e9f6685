#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "cli/fake_cell.h"

namespace forebay::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr TimePoint kStart{};

class ProgressTest : public testing::Test {
 protected:
  std::string line(Duration since_start) { return progressLine(progress.sample(kStart + since_start), 120); }
  Progress progress{kStart};
};

TEST_F(ProgressTest, whileTheListingGoesOnTotalsAreAtLeast) {
  progress.found(10 * kMiB);
  progress.advanced(10 * kMiB);
  progress.objectDone();
  EXPECT_THAT(line(2s), AllOf(HasSubstr(" 99%  10.0 MiB of 10.0 MiB+"), HasSubstr("1/1+ objects"), HasSubstr("listing"),
                              Not(HasSubstr("left"))));
}

TEST_F(ProgressTest, timeLeftFollowsTheRateOfTheLastSeconds) {
  progress.found(1000 * kMiB);
  progress.listed();
  progress.advanced(100 * kMiB);
  EXPECT_THAT(line(2s), HasSubstr("18 s left")) << "50 MiB/s, 900 MiB to go";
  for (int second = 3; second <= 30; ++second) {
    progress.advanced(10 * kMiB);
    (void)progress.sample(kStart + std::chrono::seconds(second));
  }
  const auto sample = progress.sample(kStart + 30s);
  EXPECT_NEAR(sample.rate, 10.0 * kMiB, kMiB);
  EXPECT_NEAR(std::chrono::duration<double>(*sample.time_left).count(), 62, 7);
}

TEST_F(ProgressTest, aStallShowsAndClaimsNoTimeLeft) {
  progress.found(100 * kMiB);
  progress.listed();
  progress.advanced(50 * kMiB);
  for (int second = 1; second <= 30; ++second) (void)progress.sample(kStart + std::chrono::seconds(second));
  EXPECT_THAT(line(31s), AllOf(HasSubstr("stalled"), HasSubstr("0 B/s"), HasSubstr("50%"), Not(HasSubstr("left"))));
}

TEST_F(ProgressTest, nothingIsSaidAboutTheTimeLeftAtTheVeryStart) {
  progress.found(100 * kMiB);
  progress.listed();
  progress.advanced(1);
  EXPECT_FALSE(progress.sample(kStart + 1ms).time_left.has_value());
}

TEST_F(ProgressTest, failuresAreSaidAndNeverCountAsDone) {
  progress.found(50);
  progress.found(50);
  progress.listed();
  progress.advanced(50);
  progress.objectDone();
  progress.failed("m/b", {Code::Unavailable, "no answer"}, 50);
  const auto sample = progress.sample(kStart + 1s);
  EXPECT_FALSE(sample.complete());
  EXPECT_EQ(sample.time_left, Duration{0}) << "nothing more will come";
  EXPECT_THAT(progressLine(sample, 120), AllOf(HasSubstr(" 50%"), HasSubstr("1/2 objects"), HasSubstr("1 failed")));
}

TEST_F(ProgressTest, hundredPercentIsSaidOfEverythingOnly) {
  progress.found(100'000'000);
  progress.listed();
  progress.advanced(99'999'999);
  EXPECT_THAT(line(1s), HasSubstr(" 99%"));
  progress.advanced(1);
  progress.objectDone();
  EXPECT_THAT(line(2s), AllOf(HasSubstr("100%"), HasSubstr("done"), StartsWith("[####################]")));
}

TEST_F(ProgressTest, nothingToLoadIsAllOfIt) {
  progress.listed();
  EXPECT_TRUE(progress.sample(kStart + 1s).complete());
}

TEST_F(ProgressTest, anObjectThatShrankBeforeItWasReadChangesTheTotal) {
  progress.found(100);
  progress.resized(100, 40);
  EXPECT_EQ(progress.sample(kStart + 1s).total_bytes, 40U);
}

TEST_F(ProgressTest, aLineFitsItsTerminal) {
  progress.found(1000 * kMiB);
  progress.failed("x", {Code::Gone, ""}, 1);
  for (unsigned width = 1; width < 130; ++width) {
    EXPECT_LE(progressLine(progress.sample(kStart + 1s), width).size(), width);
  }
}

TEST_F(ProgressTest, failuresAreKeptUpToABoundAndCountedBeyondIt) {
  for (int i = 0; i < 1000; ++i) progress.failed("x", {Code::Gone, ""}, 0);
  EXPECT_EQ(progress.failures().size(), 100U);
  EXPECT_EQ(progress.sample(kStart + 1s).failures, 1000U);
}

TEST_F(ProgressTest, samplingOftenKeepsTheRateOfTheWindow) {
  progress.found(UINT64_MAX / 2);
  progress.listed();
  for (int i = 1; i <= 10'000; ++i) {
    progress.advanced(1000);
    (void)progress.sample(kStart + std::chrono::milliseconds(i));
  }
  EXPECT_NEAR(progress.sample(kStart + 10s).rate, 1e6, 1e4);
}

TEST(ProgressJson, isOneLineWithExactNumbers) {
  ProgressSample sample;
  sample.bytes = 5;
  sample.total_bytes = 10;
  EXPECT_THAT(progressJson(sample, "progress"), AllOf(StartsWith(R"({"event":"progress","bytes":5,"total_bytes":10,)"),
                                                      HasSubstr(R"("time_left_ms":null)"), Not(HasSubstr("\n"))));
}

TEST(ProgressReporter, leavesATerminalsLineEmpty) {
  Output output;
  Terminal terminal(output.options(false, true));
  Progress progress(std::chrono::steady_clock::now());
  ProgressReporter reporter(terminal, progress);
  reporter.stop();
  EXPECT_THAT(output.out, testing::EndsWith("\r\x1b[K"));
}

}  // namespace
}  // namespace forebay::cli
