// What must hold in every run, whatever goes wrong in it.
//
//   right bytes        each run that a reader got is that run of its plan's version
//   every request ends by its deadline (and what its own node was paused for), with bytes or an error
//   single flight      how often the origin sent each run; exactly once where nothing went wrong
//   bounds             asks per fetch, fallback fills per node, what an arena holds
//   quiesce            when nothing is asked any more, nothing waits anywhere
//
// A finding is a sentence; the run's seed replays it.
#pragma once

#include <fmt/format.h>
#include <map>
#include <string>
#include <vector>

#include "sim/network.h"
#include "sim/origin.h"
#include "sim/world.h"

namespace forebay::sim {

class Checkers {
 public:
  explicit Checkers(World& world) : world_(world) {}

  template <class... A>
  void found(fmt::format_string<A...> format, A&&... args) {
    if (findings_.size() < 20)  // the first ones tell, the rest follow from them
      findings_.push_back(fmt::format("at {} ms: {}", toMs(world_.now().time_since_epoch()),
                                      fmt::format(format, std::forward<A>(args)...)));
  }
  const std::vector<std::string>& findings() const { return findings_; }

  void gotBytes(const Piece& piece, core::RunRange runs, const std::vector<Token>& tokens);
  // Each request is begun once, and ended once by `latest` unless its node died.
  void begun(std::uint64_t request, NodeId node, TimePoint latest) { open_[request] = {node, latest}; }
  void ended(std::uint64_t request);
  void died(NodeId node);
  void pausedUntil(NodeId node, TimePoint until, Duration length);
  void expectAllEnded();
  // No run was sent more than `most` times. How many runs were sent, and how many of those for the second time or more.
  struct Sent {
    std::uint64_t runs = 0, again = 0;
  };
  Sent checkSent(const Origin& origin, std::uint32_t most);

 private:
  struct Request {
    NodeId node;
    TimePoint latest;
  };
  World& world_;
  std::vector<std::string> findings_;
  std::map<std::uint64_t, Request> open_;
};

}  // namespace forebay::sim
