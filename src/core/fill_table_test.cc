#include "core/fill_table.h"

#include <gtest/gtest.h>
#include <ostream>
#include <variant>

namespace forebay::core {

void PrintTo(const FillTable::Outcome& o, std::ostream* out) {
  for (const auto& s : o.starts) *out << "start " << s.fetch << " [" << s.runs.first << "," << s.runs.end << ") ";
  for (const auto& r : o.ready) *out << "ready " << r.waiter << " upto " << r.upto << " ";
  for (WaiterId w : o.refused) *out << "refused " << w << " ";
}

namespace {

constexpr ChunkId kChunk{.hi = 7, .lo = 1}, kOther{.hi = 8, .lo = 1};
constexpr std::uint32_t kRuns = 32;  // a chunk of 8 MiB
constexpr WaiterId kFirst = 1, kSecond = 2, kThird = 3;

using Start = FillTable::Start;
using Ready = FillTable::Ready;
using Outcome = FillTable::Outcome;

struct Wanted {
  WaiterId waiter;
  RunRange runs;
  RunSet present = {};
  ChunkId chunk = kChunk;
  bool wide = false;
};
struct Arrived {
  FetchId fetch;
  std::uint32_t upto;
};
struct Failed {
  FetchId fetch;
};
struct Left {
  WaiterId waiter;
};
struct Step {
  std::variant<Wanted, Arrived, Failed, Left> when;
  Outcome then;
};
struct Story {
  const char* name;
  std::vector<Step> steps;
};

RunSet runs(std::initializer_list<RunRange> ranges) {
  RunSet set;
  for (RunRange r : ranges) set.add(r);
  return set;
}

Outcome apply(FillTable& table, const Step& step) {
  return std::visit(
      Overloaded{[&](const Wanted& e) { return table.wanted(e.waiter, e.chunk, e.runs, e.present, kRuns, e.wide); },
                 [&](const Arrived& e) { return table.arrived(e.fetch, e.upto); },
                 [&](const Failed& e) { return table.failed(e.fetch); },
                 [&](const Left& e) {
                   table.left(e.waiter);
                   return Outcome{};
                 }},
      step.when);
}

// {starts, ready, refused}
const Story kStories[] = {
    {"the second reader of a run waits for the first one's fetch",
     {{Wanted{kFirst, {4, 5}}, {{Start{1, kChunk, {4, 5}}}, {}, {}}},
      {Wanted{kSecond, {4, 5}}, {}},
      {Arrived{1, 5}, {{}, {Ready{kFirst, 5}, Ready{kSecond, 5}}, {}}}}},
    {"runs are served while the rest is still on its way, also to a latecomer",
     {{Wanted{kFirst, {0, 4}, {}, kOther}, {{Start{1, kOther, {0, 4}}}, {}, {}}},
      {Arrived{1, 1}, {{}, {Ready{kFirst, 1}}, {}}},
      {Wanted{kSecond, {0, 4}, runs({{0, 1}}), kOther}, {{}, {Ready{kSecond, 1}}, {}}},
      {Arrived{1, 4}, {{}, {Ready{kFirst, 4}, Ready{kSecond, 4}}, {}}}}},
    {"only what is missing is fetched, each gap by itself",
     {{Wanted{kFirst, {2, 8}, runs({{3, 4}, {6, 7}})},
       {{Start{1, kChunk, {2, 3}}, Start{2, kChunk, {4, 6}}, Start{3, kChunk, {7, 8}}}, {}, {}}},
      {Arrived{2, 6}, {}},
      {Arrived{1, 3}, {{}, {Ready{kFirst, 7}}, {}}},
      {Arrived{3, 8}, {{}, {Ready{kFirst, 8}}, {}}}}},
    {"what is there is served at once, and nothing is fetched",
     {{Wanted{kFirst, {3, 5}, runs({{0, 8}})}, {{}, {Ready{kFirst, 5}}, {}}}}},
    {"a small random read fetches the runs that it touches",
     {{Wanted{kFirst, {9, 10}}, {{Start{1, kChunk, {9, 10}}}, {}, {}}}}},
    {"a read beside runs that are there or arriving fetches no more than it touches: its reader may be a random one",
     {{Wanted{kFirst, {4, 5}, runs({{3, 4}})}, {{Start{1, kChunk, {4, 5}}}, {}, {}}},
      {Wanted{kSecond, {5, 6}, runs({{3, 4}})}, {{Start{2, kChunk, {5, 6}}}, {}, {}}},
      {Arrived{1, 5}, {{}, {Ready{kFirst, 5}}, {}}}}},
    {"a scan's read fetches to the chunk's end",
     {{Wanted{kFirst, {4, 5}, {}, kChunk, true}, {{Start{1, kChunk, {4, 32}}}, {}, {}}},
      {Arrived{1, 5}, {{}, {Ready{kFirst, 5}}, {}}},
      {Wanted{kSecond, {5, 6}, runs({{4, 5}}), kChunk, true}, {}}}},
    {"a scan fetches up to the next run that is there or on its way",
     {{Wanted{kFirst, {20, 21}}, {{Start{1, kChunk, {20, 21}}}, {}, {}}},
      {Wanted{kSecond, {0, 8}}, {{Start{2, kChunk, {0, 20}}}, {}, {}}},
      {Wanted{kThird, {21, 22}, runs({{30, 31}}), kChunk, true}, {{Start{3, kChunk, {21, 30}}}, {}, {}}}}},
    {"a read of a quarter of the chunk and more fetches to its end, a smaller one isn't",
     {{Wanted{kFirst, {0, 7}}, {{Start{1, kChunk, {0, 7}}}, {}, {}}},
      {Wanted{kSecond, {0, 8}, {}, kOther}, {{Start{2, kOther, {0, 32}}}, {}, {}}}}},
    {"a failure reaches who still needs a run of that fetch, and the next reader tries again",
     {{Wanted{kFirst, {0, 4}}, {{Start{1, kChunk, {0, 4}}}, {}, {}}},
      {Wanted{kSecond, {0, 1}}, {}},
      {Arrived{1, 1}, {{}, {Ready{kFirst, 1}, Ready{kSecond, 1}}, {}}},
      {Wanted{kSecond, {3, 6}}, {{Start{2, kChunk, {4, 6}}}, {}, {}}},
      {Failed{1}, {{}, {}, {kFirst, kSecond}}},
      {Wanted{kFirst, {1, 2}}, {{Start{3, kChunk, {1, 2}}}, {}, {}}}}},
    {"who has those runs from elsewhere doesn't hear of the failure",
     {{Wanted{kFirst, {0, 2}}, {{Start{1, kChunk, {0, 2}}}, {}, {}}},
      {Wanted{kSecond, {1, 3}, runs({{1, 2}})}, {{Start{2, kChunk, {2, 3}}}, {Ready{kSecond, 2}}, {}}},
      {Failed{1}, {{}, {}, {kFirst}}},
      {Arrived{2, 3}, {{}, {Ready{kSecond, 3}}, {}}}}},
    {"a reader that left hears nothing; its fetch goes on, and others find it",
     {{Wanted{kFirst, {0, 4}}, {{Start{1, kChunk, {0, 4}}}, {}, {}}},
      {Left{kFirst}, {}},
      {Arrived{1, 2}, {}},
      {Wanted{kSecond, {1, 4}, runs({{0, 2}})}, {{}, {Ready{kSecond, 2}}, {}}},
      {Arrived{1, 4}, {{}, {Ready{kSecond, 4}}, {}}}}},
    {"a run that left the arena since it arrived is fetched again",
     {{Wanted{kFirst, {0, 1}}, {{Start{1, kChunk, {0, 1}}}, {}, {}}},
      {Arrived{1, 1}, {{}, {Ready{kFirst, 1}}, {}}},
      {Wanted{kSecond, {0, 1}}, {{Start{2, kChunk, {0, 1}}}, {}, {}}}}},
    {"beyond the fetches a reader is told Busy, and leaves nothing behind",
     {{Wanted{kFirst, {0, 6}, runs({{1, 2}, {3, 4}, {5, 6}})},
       {{Start{1, kChunk, {0, 1}}, Start{2, kChunk, {2, 3}}, Start{3, kChunk, {4, 5}}}, {}, {}}},
      {Wanted{kSecond, {9, 10}}, {{Start{4, kChunk, {9, 10}}}, {}, {}}},
      {Wanted{kThird, {12, 13}}, {{}, {}, {kThird}}},
      {Wanted{kThird, {9, 10}}, {}},
      {Failed{1}, {{}, {}, {kFirst}}},
      {Wanted{kFirst, {12, 13}}, {{Start{5, kChunk, {12, 13}}}, {}, {}}}}},
    {"a request with more gaps than a node fetches at once is let in where there is any room",
     {{Wanted{kFirst, {0, 10}, runs({{1, 2}, {3, 4}, {5, 6}, {7, 8}})},
       {{Start{1, kChunk, {0, 1}}, Start{2, kChunk, {2, 3}}, Start{3, kChunk, {4, 5}}, Start{4, kChunk, {6, 7}},
         Start{5, kChunk, {8, 32}}},
        {},
        {}}},
      {Wanted{kSecond, {0, 1}}, {}},
      {Wanted{kThird, {0, 1}, {}, kOther}, {{}, {}, {kThird}}}}},
    {"beyond the waiters a reader is told Busy",
     {{Wanted{kFirst, {0, 1}}, {{Start{1, kChunk, {0, 1}}}, {}, {}}},
      {Wanted{kSecond, {0, 1}}, {}},
      {Wanted{kThird, {0, 1}}, {}},
      {Wanted{4, {0, 1}}, {{}, {}, {4}}}}},
    {"late and repeated news is no error",
     {{Arrived{1, 4}, {}},
      {Failed{1}, {}},
      {Left{kSecond}, {}},
      {Wanted{kFirst, {0, 2}}, {{Start{1, kChunk, {0, 2}}}, {}, {}}},
      {Arrived{1, 1}, {{}, {Ready{kFirst, 1}}, {}}},
      {Arrived{1, 1}, {}},
      {Arrived{1, 0}, {}},
      {Arrived{1, 4'000'000'000U}, {{}, {Ready{kFirst, 2}}, {}}},
      {Arrived{1, 2}, {}}}},
};

TEST(FillTable, tellsTheseStories) {
  for (const Story& story : kStories) {
    FillTable table({.max_fetches = 4, .max_waiters = 3});
    int line = 0;
    for (const Step& step : story.steps) {
      EXPECT_EQ(apply(table, step), step.then) << story.name << ", step " << line;
      ++line;
    }
  }
}

TEST(FillTable, knowsWhoWaitsForAFetch) {
  FillTable table({});
  (void)table.wanted(kFirst, kChunk, {0, 4}, {}, kRuns);
  (void)table.wanted(kSecond, kChunk, {3, 6}, {}, kRuns);
  (void)table.arrived(1, 2);
  EXPECT_EQ(table.waiting(1), (std::vector{Ready{kFirst, 2}, Ready{kSecond, 3}}));
  EXPECT_EQ(table.waiting(2), (std::vector{Ready{kSecond, 3}}));
  EXPECT_TRUE(table.waiting(3).empty());
  (void)table.arrived(1, 4);
  EXPECT_TRUE(table.waiting(1).empty());
  EXPECT_EQ(table.fetches(), 1U);
  EXPECT_EQ(table.waiters(), 1U);
}

}  // namespace
}  // namespace forebay::core
