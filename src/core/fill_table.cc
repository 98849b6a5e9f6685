#include "core/fill_table.h"

namespace forebay::core {

std::vector<RunRange> FillTable::missing(const Chunk& chunk, RunRange runs, const RunSet& present,
                                         std::uint32_t chunk_runs, bool wide) {
  const auto there = [&](std::uint32_t run) { return present.has(run) || chunk.coming.contains(run); };
  std::vector<RunRange> gaps;
  for (std::uint32_t run = runs.first; run < runs.end; ++run) {
    if (there(run)) continue;
    if (!gaps.empty() && gaps.back().end == run)
      gaps.back().end = run + 1;
    else
      gaps.push_back({run, run + 1});
  }
  if ((wide || runs.size() * 4 >= chunk_runs) && !gaps.empty() && gaps.back().end == runs.end)
    while (gaps.back().end < chunk_runs && !there(gaps.back().end)) ++gaps.back().end;
  return gaps;
}

FillTable::Outcome FillTable::wanted(WaiterId waiter, ChunkId chunk_id, RunRange runs, const RunSet& present,
                                     std::uint32_t chunk_runs, bool wide) {
  Outcome out;
  Chunk& chunk = chunks_[chunk_id];
  const auto gaps = missing(chunk, runs, present, chunk_runs, wide);
  // Not `size + gaps > max`: a request with more gaps than that would be refused for ever, by an idle node too.
  if (waiters_.size() >= limits_.max_waiters || (!gaps.empty() && fetches_.size() >= limits_.max_fetches)) {
    out.refused.push_back(waiter);
    dropIfIdle(chunk_id);
    return out;
  }
  for (RunRange gap : gaps) {
    const FetchId fetch = next_fetch_++;
    fetches_[fetch] = {chunk_id, gap};
    for (std::uint32_t run = gap.first; run < gap.end; ++run) chunk.coming[run] = fetch;
    out.starts.push_back({fetch, chunk_id, gap});
  }
  chunk.waiters.insert(waiter);
  Waiter& state = waiters_[waiter] = {chunk_id, runs, present};
  advance(waiter, state, out);
  dropIfIdle(chunk_id);
  return out;
}

std::vector<FetchId> FillTable::bringing(const ChunkId& id, RunRange runs, const RunSet& present) const {
  const auto known = chunks_.find(id);
  if (known == chunks_.end()) return {};
  std::vector<FetchId> fetches;
  for (std::uint32_t run = runs.first; run < runs.end; ++run) {
    if (present.has(run)) continue;
    const auto coming = known->second.coming.find(run);
    if (coming == known->second.coming.end()) return {};
    if (fetches.empty() || fetches.back() != coming->second) fetches.push_back(coming->second);
  }
  return fetches;
}

FillTable::Outcome FillTable::arrived(FetchId id, std::uint32_t upto) {
  Outcome out;
  auto known = fetches_.find(id);
  if (known == fetches_.end()) return out;
  Fetch& fetch = known->second;
  const RunRange news{fetch.runs.first, std::min(upto, fetch.runs.end)};
  if (news.empty()) return out;
  const ChunkId chunk_id = fetch.chunk;
  Chunk& chunk = chunks_[chunk_id];
  for (std::uint32_t run = news.first; run < news.end; ++run) chunk.coming.erase(run);
  fetch.runs.first = news.end;
  if (fetch.runs.empty()) fetches_.erase(known);
  const std::vector<WaiterId> waiting(chunk.waiters.begin(), chunk.waiters.end());
  for (WaiterId waiter : waiting) {
    Waiter& state = waiters_[waiter];
    state.there.add(news);
    advance(waiter, state, out);
  }
  dropIfIdle(chunk_id);
  return out;
}

FillTable::Outcome FillTable::failed(FetchId id) {
  Outcome out;
  auto known = fetches_.find(id);
  if (known == fetches_.end()) return out;
  const Fetch fetch = known->second;
  fetches_.erase(known);
  Chunk& chunk = chunks_[fetch.chunk];
  for (std::uint32_t run = fetch.runs.first; run < fetch.runs.end; ++run) chunk.coming.erase(run);
  out.refused = whoNeeds(fetch);
  for (WaiterId waiter : out.refused) forget(waiter);
  dropIfIdle(fetch.chunk);
  return out;
}

std::vector<FillTable::Ready> FillTable::waiting(FetchId id) const {
  std::vector<Ready> all;
  auto known = fetches_.find(id);
  if (known == fetches_.end()) return all;
  for (WaiterId waiter : whoNeeds(known->second)) all.push_back({waiter, waiters_.at(waiter).runs.first});
  return all;
}

bool FillTable::Waiter::needs(RunRange range) const {
  for (std::uint32_t run = std::max(range.first, runs.first); run < std::min(range.end, runs.end); ++run)
    if (!there.has(run)) return true;
  return false;
}

std::vector<WaiterId> FillTable::whoNeeds(const Fetch& fetch) const {
  std::vector<WaiterId> all;
  for (WaiterId waiter : chunks_.at(fetch.chunk).waiters)
    if (waiters_.at(waiter).needs(fetch.runs)) all.push_back(waiter);
  return all;
}

void FillTable::left(WaiterId waiter) {
  auto known = waiters_.find(waiter);
  if (known == waiters_.end()) return;
  const ChunkId chunk = known->second.chunk;
  forget(waiter);
  dropIfIdle(chunk);
}

// Serves what is contiguous from the waiter's first unserved run.
void FillTable::advance(WaiterId id, Waiter& waiter, Outcome& out) {
  std::uint32_t upto = waiter.runs.first;
  while (upto < waiter.runs.end && waiter.there.has(upto)) ++upto;
  if (upto == waiter.runs.first) return;
  waiter.runs.first = upto;
  out.ready.push_back({id, upto});
  if (waiter.runs.empty()) forget(id);
}

void FillTable::forget(WaiterId id) {
  auto known = waiters_.find(id);
  chunks_[known->second.chunk].waiters.erase(id);
  waiters_.erase(known);
}

void FillTable::dropIfIdle(ChunkId id) {
  auto known = chunks_.find(id);
  if (known != chunks_.end() && known->second.coming.empty() && known->second.waiters.empty()) chunks_.erase(known);
}

}  // namespace forebay::core
