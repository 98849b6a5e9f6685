// What an owner of names remembers of who else knows its answers (plans, pages of listings), so that a hot one is given
// by many instead of by it alone: core/spread.h with limits that fit names.
//
// A page has up to 1 MiB: it is hot as a chunk is, once it was sent twice within the window. A plan costs its owner
// hardly more than naming others does, so it is hot only when very many ask for it. Nobody is named for longer than the
// answer may be used: its time to live goes on wherever it is kept.
//
// An answer's id holds the end of its time. A newer answer to the same question is thus another one, and who knows the
// older one isn't named for it; nor is anybody who was sent what has been forgotten since.
//
// Pure: no clock, no I/O. One thread at a time. Bounded by its limits: a few MiB.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "core/spread.h"
#include "core/types.h"

namespace forebay::core {

enum class NameView : std::uint8_t { Posix, Object, Page };

struct NameSpreadLimits {
  // Names sit in a cache until they are over or it is full: a minute is sooner than most leave it.
  SpreadLimits plans{.max_chunks = 16'384, .hot_fulls = 64, .holds_for = std::chrono::seconds(60)};
  SpreadLimits pages{.max_chunks = 4'096, .hot_fulls = 2, .holds_for = std::chrono::seconds(60)};
};

// Who asks an owner, and what it can do with the answer.
struct NameAsker {
  NodeId node = kNoNode;  // kNoNode: a client, which is asked by nobody
  bool may_ask = false;   // an answer may name others
  bool insist = false;    // one did, and they didn't know it
};

class NameSpread {
 public:
  NameSpread(NameSpreadLimits limits, std::uint64_t seed) : plans_(limits.plans), pages_(limits.pages), random_(seed) {}

  struct Answer {
    NameView view = NameView::Posix;
    MountId mount = 0;
    std::string_view path;
    std::string_view page;              // of its listing: where the page before it ended
    TimePoint until;                    // it may be used
    std::uint32_t part = 1, whole = 1;  // of its names, how many are wanted: clients take pages in parts
  };
  // Whom to name instead of giving this answer; mostly nobody: then the asker gets it, and has it from now on.
  std::vector<NodeId> inMyStead(TimePoint now, const Answer& answer, const NameAsker& asker);

 private:
  static ChunkId idOf(const Answer& answer);

  Spread plans_, pages_;
  Random random_;
};

}  // namespace forebay::core
