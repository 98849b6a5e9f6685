// Seeds: each test below runs the simulated cell from seeds and expects that its checkers find nothing.
//
//   FOREBAY_SIM_SEED   the first seed of Sim.manySeeds (default 1)
//   FOREBAY_SIM_RUNS   how many seeds from there (default 200); thousands for a soak
//   FOREBAY_SIM_PRINT  print each run's line with its hash, also where all is well
//
// The hash of all runs is printed last: equal under every compiler and level of optimisation, or the core decided by
// something that no standard fixes.
#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

#include "base/hash.h"
#include "sim/scenario.h"

namespace forebay::sim {
namespace {

std::uint64_t fromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void expectWell(const Report& report, const Trouble& trouble) {
  EXPECT_TRUE(report.findings.empty()) << "with " << trouble.text() << "\n" << report.text();
}

TEST(Sim, manySeeds) {
  const std::uint64_t first = fromEnvironment("FOREBAY_SIM_SEED", 1), runs = fromEnvironment("FOREBAY_SIM_RUNS", 200);
  std::uint64_t reads = 0, failed = 0, sent = 0, again = 0, events = 0, hash = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const Trouble trouble = Trouble::of(seed);
    const Report report = run(seed, trouble);
    if (std::getenv("FOREBAY_SIM_PRINT") != nullptr || runs == 1)
      fmt::print("{}\n  with {}\n", report.text(), trouble.text());
    expectWell(report, trouble);
    reads += report.reads;
    failed += report.failed_reads;
    sent += report.runs_sent;
    again += report.sent_again;
    events += report.events;
    hash = mix64(hash ^ report.hash);
  }
  fmt::print(
      "seeds {} to {}: {} events, {} reads of which {} failed, {} runs from the origin and {} again, hash {:016x}\n",
      first, first + runs - 1, events, reads, failed, sent, again, hash);
}

TEST(Sim, theSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 200; seed += 10) {
    const Report once = run(seed, Trouble::of(seed)), again = run(seed, Trouble::of(seed));
    EXPECT_EQ(once.hash, again.hash) << seed;
    EXPECT_EQ(once.events, again.events) << seed;
    EXPECT_NE(once.hash, run(seed + 1, Trouble::of(seed)).hash) << seed;
  }
}

TEST(Sim, withoutTroubleTheOriginSendsEachRunOnceAndEveryReadSucceeds) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Report report = run(seed, Trouble::none());
    expectWell(report, Trouble::none());
    EXPECT_EQ(report.sent_again, 0U) << seed;
    EXPECT_EQ(report.failed_reads, 0U) << seed;
    EXPECT_GT(report.runs_sent, 0U) << seed;
  }
}

// Found in review: readers took an owner whose origin was slow for lost, and each alternate fetched the same again.
TEST(Sim, aSlowOriginIsAskedOnceAllTheSame) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Trouble trouble{.slow_origin = true};
    const Report report = run(seed, trouble);
    expectWell(report, trouble);
    EXPECT_EQ(report.sent_again, 0U) << seed;
  }
}

// A request with more gaps than a node may fetch at once was told Busy for ever, also by an idle node.
TEST(Sim, aRequestWithManyGapsIsNotBusyForEver) {
  const Trouble slow{.slow_origin = true, .small_arenas = true, .few_fetches = true};
  expectWell(run(2221, slow), slow);
  const Trouble lossy{.slow_network = true,
                      .loss = true,
                      .spoiled_bytes = true,
                      .pauses = true,
                      .slow_origin = true,
                      .few_fetches = true};
  expectWell(run(2463, lossy), lossy);
}

}  // namespace
}  // namespace forebay::sim
