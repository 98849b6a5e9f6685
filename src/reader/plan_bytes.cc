#include "reader/plan_bytes.h"

#include <fmt/format.h>

#include "wire/messages.h"

namespace forebay::reader {

Status PlanBytes::room(const wire::FrameHeader& header, Bytes body, io::BulkTarget& target) {
  lost();
  const auto reply = TRY(wire::parse<wire::pb::ResolveReply>(body));
  if (wire::planBytes(reply) != header.bulk_length)
    return fail(Code::Corrupt, fmt::format("plans of {} bytes of objects, with {} of bulk", wire::planBytes(reply),
                                           header.bulk_length));
  verifier_.start(reply);
  placed_.assign(static_cast<std::size_t>(reply.items_size()), false);
  for (std::size_t i = 0; i < placed_.size(); ++i) {
    const wire::pb::Resolved& item = reply.items(static_cast<int>(i));
    if (item.bytes() == 0) continue;
    placed_[i] = place(i, item, target);
    if (!placed_[i]) target.drop(item.bytes());
  }
  return {};
}

// What had no room was received over other such bytes: nothing is known of it.
bool PlanBytes::intact() const {
  for (std::size_t i = 0; i < placed_.size(); ++i)
    if (damaged(i)) return false;
  return true;
}

}  // namespace forebay::reader
