// For tests of the chunk server: one node of a small cell, and what it says to do, in words.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include "core/chunk_server.h"
#include "core/test_cell.h"

namespace forebay::core::test {

using Words = std::vector<std::string>;

constexpr ChunkId kChunk{.hi = 7, .lo = 1};
constexpr std::uint32_t kRuns = 32;

// What must be done, in words: "serve 1 upto 4", "refuse 1 Moved Unavailable", "origin 1 [0,4)", "origin 1 [0,4)
// passing" (not this node's to keep), "ask a for 1 [0,4) try 1 relay", "stop 1 try 1", "map 2 from a".
inline std::string show(const ServerAction& action) {
  static constexpr const char* kWhy[] = {"Miss", "Moved", "Ask", "Busy", "Gone", "Failed"};
  return std::visit(Overloaded{
                        [](const Serve& a) { return fmt::format("serve {} upto {}", a.waiter, a.upto); },
                        [](const Refuse& a) {
                          std::string peers;
                          for (NodeId peer : a.peers) peers += nameOf(peer);
                          return fmt::format("refuse {} {} {}", a.waiter, kWhy[static_cast<int>(a.why)],
                                             a.peers.empty() ? codeName(a.error.code) : peers);
                        },
                        [](const FetchFromOrigin& a) {
                          return fmt::format("origin {} [{},{}){}", a.fetch, a.runs.first, a.runs.end,
                                             a.keep ? "" : " passing");
                        },
                        [](const FetchFromPeer& a) {
                          return fmt::format("ask {} for {} [{},{}) try {}{}{}{}{}{}{}", nameOf(a.node), a.fetch,
                                             a.runs.first, a.runs.end, a.attempt, a.relay ? " relay" : "",
                                             a.fallback ? " fallback" : "", a.no_fill ? " holder" : "",
                                             a.insist ? " insist" : "", a.keep ? " keep" : "", a.hedge ? " hedge" : "");
                        },
                        [](const CopyTo& a) { return fmt::format("copy to {}", nameOf(a.node)); },
                        [](const StopPeer& a) { return fmt::format("stop {} try {}", a.fetch, a.attempt); },
                        [](const WantMap& a) { return fmt::format("map {} from {}", a.version, nameOf(a.node)); },
                    },
                    action);
}

// A node of the cell a, b, c, d, and a slot that a, b and c own; under `newer_` b, c and d own it.
class ChunkServerTest : public testing::Test {
 protected:
  void be(NodeId self) { server_.emplace(self, older_, limits_, 5); }
  Words on(const ServerEvent& event) {
    Words words;
    for (const auto& action : server_->step(now_, event)) words.push_back(show(action));
    return words;
  }
  // Time passes up to the next timer, which must be due after `in`.
  Words tick(Duration in) {
    EXPECT_EQ(toMs(server_->wakeAt() - now_), toMs(in));
    now_ = server_->wakeAt();
    return on(Tick{});
  }
  Words passUntilTick() {
    now_ = server_->wakeAt();
    return on(Tick{});
  }
  Want want(WaiterId waiter, RunRange runs = {0, 4}, ChunkId chunk = kChunk) const {
    return {.waiter = waiter, .chunk = chunk, .slot = slot_, .chunk_runs = kRuns, .runs = runs, .map_version = 1};
  }
  Want fromPeer(WaiterId waiter, NodeId asker, RunRange runs = {0, 4}) const {
    Want e = want(waiter, runs);
    e.asker = asker;
    return e;
  }
  Want fallback(WaiterId waiter, ChunkId chunk = kChunk) const {
    Want e = want(waiter, {0, 4}, chunk);
    e.asker = kD;
    e.fallback = true;
    return e;
  }
  Want attached(WaiterId waiter, RunRange runs = {0, 4}, ChunkId chunk = kChunk) const {
    Want e = want(waiter, runs, chunk);
    e.must_answer = true;
    return e;
  }
  // Of a mount that has so many copies of each chunk.
  static Want copied(Want e, std::uint32_t copies) {
    e.copies = copies;
    return e;
  }
  void expectIdle() {
    EXPECT_EQ(server_->waiters(), 0U);
    EXPECT_EQ(server_->fetches(), 0U);
    EXPECT_EQ(server_->fallbackFills(), 0U);
    EXPECT_EQ(server_->wakeAt(), kNever);
  }

  std::shared_ptr<const SlotMap> older_ = cell(1, "abcd"), newer_ = cell(2, "bcd");
  Slot slot_ = slotOwned({{older_, "abc"}, {newer_, "bcd"}});
  ServerLimits limits_;
  TimePoint now_ = TimePoint{} + 1s;
  std::optional<ChunkServer> server_;
};

}  // namespace forebay::core::test
