#include "core/hedging.h"

#include <gtest/gtest.h>

namespace forebay::core {
namespace {

TEST(Hedging, waitsLongerThanAnswersUsuallyTake) {
  Hedging hedging({});
  for (int i = 0; i < 200; ++i) hedging.answered(i % 2 == 0 ? 40ms : 60ms);
  EXPECT_GT(hedging.after(), 60ms);
  EXPECT_LT(hedging.after(), 120ms);
}

TEST(Hedging, staysWithinItsBounds) {
  Hedging hedging({.at_least = 20ms, .at_most = 1s});
  for (int i = 0; i < 200; ++i) hedging.answered(10us);
  EXPECT_EQ(hedging.after(), 20ms);
  for (int i = 0; i < 200; ++i) hedging.answered(5s);
  EXPECT_EQ(hedging.after(), 1s);
}

TEST(Hedging, isAtMostTwoPercentOfAllQuestions) {
  Hedging hedging({});
  int hedges = 0;
  for (int i = 0; i < 10'000; ++i) {
    hedging.asked();
    hedges += hedging.take() ? 1 : 0;
  }
  EXPECT_EQ(hedges, 201);  // the first was there from the start
}

TEST(Hedging, savesUpOnlyAFew) {
  Hedging hedging({.most = 3});
  for (int i = 0; i < 10'000; ++i) hedging.asked();
  int hedges = 0;
  while (hedging.take()) ++hedges;
  EXPECT_EQ(hedges, 3);
}

}  // namespace
}  // namespace forebay::core
