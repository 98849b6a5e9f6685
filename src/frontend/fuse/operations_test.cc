#include "frontend/fuse/operations.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace forebay::fuse {
namespace {

constexpr TimePoint kStart{};
const OperationTable::IsDying kDying = [](std::uint32_t) { return true; };
const OperationTable::IsDying kLiving = [](std::uint32_t) { return false; };

Operation* start(OperationTable& table, std::uint64_t unique, TimePoint deadline = kNever - 3600s) {
  Operation* op = table.reserve({.unique = unique, .pid = 77}, deadline, nullptr);
  if (op != nullptr) table.begin(*op);
  return op;
}

TEST(OperationTable, whoClaimsFirstAnswersAndThePlaceIsFreeWhenBothHaveEnded) {
  OperationTable table(1);
  Operation* op = start(table, 5);
  ASSERT_NE(op, nullptr);
  EXPECT_TRUE(table.isWaiting(*op));
  int late = 0;
  table.claimExpired(kNever, [&](Operation& expired) {
    ++late;
    table.answered(expired);
  });
  EXPECT_EQ(late, 1);
  EXPECT_FALSE(table.claim(*op)) << "the callback comes late";
  EXPECT_EQ(table.outstanding(), 1U) << "but its buffer may still be written to";
  EXPECT_EQ(table.reserve({.unique = 6}, kStart, nullptr), nullptr);
  table.calledBack(*op);
  EXPECT_EQ(table.outstanding(), 0U);
  EXPECT_EQ(start(table, 6), op);
  ASSERT_TRUE(table.claim(*op));
  table.answered(*op);
  table.calledBack(*op);
}

TEST(OperationTable, onlyWhatIsPastItsDeadlineExpires) {
  OperationTable table(4);
  Operation* early = start(table, 1, kStart + 10s);
  Operation* later = start(table, 2, kStart + 20s);
  std::vector<Operation*> expired;
  const auto answer = [&](Operation& op) {
    expired.push_back(&op);
    table.answered(op);
  };
  table.claimExpired(kStart + 10s, answer);
  EXPECT_TRUE(expired.empty()) << "the client's own word is waited for";
  table.claimExpired(kStart + 11s, answer);
  EXPECT_EQ(expired, std::vector{early});
  table.calledBack(*early);
  table.claimAll(answer);
  EXPECT_EQ(expired.size(), 2U);
  table.calledBack(*later);
  table.waitForAnswers();
}

TEST(OperationTable, anInterruptEndsWhatADyingProcessWaitsFor) {
  OperationTable table(4);
  Operation* op = start(table, 8);
  int answers = 0;
  const auto answer = [&](Operation& interrupted) {
    ++answers;
    table.answered(interrupted);
  };
  table.claimDying(kDying, answer);
  EXPECT_EQ(answers, 0) << "nobody was interrupted";
  table.interrupt(8, kLiving, answer);
  EXPECT_EQ(answers, 0) << "an alarm clock, perhaps";
  table.claimDying(kLiving, answer);
  EXPECT_EQ(answers, 0);
  table.claimDying(kDying, answer);
  EXPECT_EQ(answers, 1) << "killed later: the kernel doesn't tell again";
  table.calledBack(*op);
}

TEST(OperationTable, anInterruptMayOvertakeItsRequest) {
  OperationTable table(4);
  int answers = 0;
  const auto answer = [&](Operation& interrupted) {
    ++answers;
    table.answered(interrupted);
  };
  table.interrupt(9, kDying, answer);
  table.interrupt(0, kDying, answer);
  Operation* op = start(table, 9);
  table.claimDying(kDying, answer);
  EXPECT_EQ(answers, 1);
  table.calledBack(*op);
}

TEST(OperationTable, waitsForAPlaceAndClosingEndsTheWait) {
  OperationTable table(1);
  Operation* op = start(table, 1);
  std::thread frees([&] {
    table.claim(*op);
    table.answered(*op);
    table.calledBack(*op);
  });
  EXPECT_EQ(start(table, 2), op);
  frees.join();
  std::thread closes([&] { table.close(); });
  EXPECT_EQ(table.reserve({.unique = 3}, std::chrono::steady_clock::now() + 3600s, nullptr), nullptr);
  closes.join();
  table.claim(*op);
  table.answered(*op);
  table.calledBack(*op);
}

TEST(OperationTable, answersAreGivenOnceWhoeverRaces) {
  OperationTable table(8);
  std::atomic<int> answers{0};
  std::atomic<bool> done{false};
  const auto answer = [&](Operation& op) {
    ++answers;
    table.answered(op);
  };
  std::thread expires([&] {
    while (!done) table.claimExpired(kNever, answer);
  });
  std::thread interrupts([&] {
    for (std::uint64_t unique = 1; !done; unique = unique % 20'000 + 1) table.interrupt(unique, kDying, answer);
  });
  for (std::uint64_t unique = 1; unique <= 20'000; ++unique) {
    Operation* op = start(table, unique);
    if (table.claim(*op)) answer(*op);
    table.calledBack(*op);
  }
  done = true;
  expires.join();
  interrupts.join();
  EXPECT_EQ(answers, 20'000);
  EXPECT_EQ(table.outstanding(), 0U);
}

TEST(IsDying, knowsTheLivingAndTheUnknown) {
  EXPECT_FALSE(isDying(static_cast<std::uint32_t>(::getpid())));
  EXPECT_FALSE(isDying(0));
  EXPECT_FALSE(isDying(UINT32_MAX));
}

TEST(BufferPool, isBoundedAndReuses) {
  BufferPool pool(2 * kMiB);
  const TimePoint at_once = kStart;
  Buffer one = pool.acquire(kMiB, at_once);
  Buffer two = pool.acquire(300'000, at_once);
  ASSERT_TRUE(one && two);
  std::byte* memory = two.first(1).data();
  EXPECT_FALSE(pool.acquire(1, at_once)) << "all is in use";
  two.reset();
  Buffer again = pool.acquire(kMiB, at_once);
  EXPECT_EQ(again.first(1).data(), memory);
  again.reset();
  Buffer small = pool.acquire(1, at_once);
  EXPECT_TRUE(small) << "an idle large one makes room";
  EXPECT_EQ(pool.allocated(), kMiB + 16 * kKiB);
}

TEST(BufferPool, waitersGetWhatIsGivenBack) {
  BufferPool pool(kMiB);
  Buffer one = pool.acquire(kMiB, kStart);
  std::thread gives([&] { one.reset(); });
  EXPECT_TRUE(pool.acquire(10, std::chrono::steady_clock::now() + 3600s));
  gives.join();
}

TEST(BufferPool, trimGivesBackWhatWasIdle) {
  BufferPool pool(8 * kMiB);
  {
    Buffer a = pool.acquire(kMiB, kStart), b = pool.acquire(kMiB, kStart);
  }
  pool.trim();
  EXPECT_EQ(pool.allocated(), 2 * kMiB) << "both were needed since the last trim";
  {
    Buffer a = pool.acquire(kMiB, kStart);
  }
  pool.trim();
  EXPECT_EQ(pool.allocated(), kMiB);
  pool.trim();
  EXPECT_EQ(pool.allocated(), 0U);
}

TEST(BufferPool, closingEndsAllWaiting) {
  BufferPool pool(kMiB);
  Buffer one = pool.acquire(kMiB, kStart);
  std::thread closes([&] { pool.close(); });
  EXPECT_FALSE(pool.acquire(1, std::chrono::steady_clock::now() + 3600s));
  closes.join();
}

}  // namespace
}  // namespace forebay::fuse
