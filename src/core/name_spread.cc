#include "core/name_spread.h"

#include <array>
#include <cstring>
#include <string>

#include "base/hash.h"

namespace forebay::core {

ChunkId NameSpread::idOf(const Answer& answer) {
  std::string text(2 * sizeof(std::uint64_t) + 2, '\0');
  text[1] = static_cast<char>(answer.view);
  const std::array<std::uint64_t, 2> numbers = {
      static_cast<std::uint64_t>(answer.until.time_since_epoch().count()),
      std::uint64_t{answer.mount} << 32 | static_cast<std::uint32_t>(answer.path.size())};
  std::memcpy(text.data() + 2, numbers.data(), sizeof numbers);
  text.append(answer.path).append(answer.page);
  const std::uint64_t hi = hash64(text);
  text[0] = 1;
  return {hi, hash64(text)};
}

std::vector<NodeId> NameSpread::inMyStead(TimePoint now, const Answer& answer, const NameAsker& asker) {
  if (!asker.may_ask || answer.until <= now) return {};
  const ChunkId id = idOf(answer);
  const Duration left = answer.until - now;
  Spread& spread = answer.view == NameView::Page ? pages_ : plans_;
  if (asker.insist)
    spread.wrong(id);
  else if (auto others = spread.others(now, id, asker.node, random_); !others.empty()) {
    spread.named(now, id, asker.node, left);
    return others;
  }
  spread.sent(now, {.chunk = id, .to = asker.node, .runs = answer.part, .all_runs = answer.whole, .lives_for = left});
  return {};
}

}  // namespace forebay::core
