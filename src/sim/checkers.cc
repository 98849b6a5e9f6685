#include "sim/checkers.h"

namespace forebay::sim {

void Checkers::gotBytes(const Piece& piece, core::RunRange runs, const std::vector<Token>& tokens) {
  if (tokens.size() != runs.size()) {
    found("{} runs of {} {} chunk {} were asked for, {} came", runs.size(), piece.plan->path, piece.plan->version,
          piece.index, tokens.size());
    return;
  }
  for (std::uint32_t i = 0; i < runs.size(); ++i)
    if (tokens[i] != tokenOf(*piece.plan, piece.index, runs.first + i))
      found("wrong bytes: run {} of chunk {} of {} {}", runs.first + i, piece.index, piece.plan->path,
            piece.plan->version);
}

void Checkers::ended(std::uint64_t request) {
  auto known = open_.find(request);
  if (known == open_.end()) {
    found("request {} ended a second time", request);
    return;
  }
  if (world_.now() > known->second.latest)
    found("request {} of node {} ended {} ms after its deadline", request, known->second.node,
          toMs(world_.now() - known->second.latest));
  open_.erase(known);
}

void Checkers::died(NodeId node) {
  std::erase_if(open_, [&](const auto& entry) { return entry.second.node == node; });
}

void Checkers::pausedUntil(NodeId node, TimePoint until, Duration length) {
  for (auto& [id, request] : open_)
    if (request.node == node) request.latest = std::max(request.latest + length, until + 1ms);
}

void Checkers::expectAllEnded() {
  for (const auto& [id, request] : open_) found("request {} of node {} never ended", id, request.node);
}

Checkers::Sent Checkers::checkSent(const Origin& origin, std::uint32_t most) {
  Sent sent;
  for (const auto& [run, times] : origin.sent()) {
    sent.runs += 1;
    sent.again += times - 1;
    if (times > most)
      found("the origin sent run {} of chunk {:x} {} times; {} at most can be explained", run.second, run.first.hi,
            times, most);
  }
  return sent;
}

}  // namespace forebay::sim
