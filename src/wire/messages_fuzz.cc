// Any bytes as each protobuf body: parsed, validated, and used the way their receivers use them.
#include <algorithm>

#include "wire/many_parts.h"
#include "wire/messages.h"
#include "wire/plan_bytes.h"

namespace {

template <class M>
void tryAs(forebay::Bytes body) {
  const auto message = forebay::wire::parse<M>(body);
  if (!message) return;
  std::vector<std::byte> bytes;
  static_cast<void>(forebay::wire::serialize(*message, bytes));
}

// The message's own bytes, over and over, as the objects that it says come with it.
void receive(const forebay::wire::pb::ResolveReply& reply, forebay::Bytes bytes) {
  forebay::wire::PlanBytesVerifier verifier;
  verifier.start(reply);
  for (std::uint64_t left = forebay::wire::planBytes(reply); left > 0 && !bytes.empty();) {
    const forebay::Bytes now = bytes.first(std::min<std::uint64_t>(left, bytes.size()));
    verifier.feed(now);
    left -= now.size();
  }
  verifier.feed(bytes);  // more than it said
  for (const auto& item : reply.items())
    if (item.placed_bytes() != 0 &&
        (item.placed_bytes() != item.plan().size() || item.placed_bytes() > forebay::core::kRun))
      std::abort();
  for (int i = 0; i < reply.items_size(); ++i)
    if (verifier.intact(static_cast<std::size_t>(i)) && reply.items(i).bytes() == 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  using namespace forebay::wire;
  if (size == 0) return 0;
  const Bytes body = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 20) {
    case 0:
      tryAs<pb::Hello>(body);
      break;
    case 1:
      tryAs<pb::HelloReply>(body);
      break;
    case 2:
      tryAs<pb::MapReply>(body);
      break;
    case 3:
      tryAs<pb::ResolveRequest>(body);
      break;
    case 4:
      tryAs<pb::ResolveReply>(body);
      if (const auto reply = parse<pb::ResolveReply>(body)) receive(*reply, body);
      break;
    case 5:
      tryAs<pb::ListRequest>(body);
      break;
    case 6: {
      tryAs<pb::ListReply>(body);
      const auto one = parse<pb::ListReply>(body);
      const auto many = parseMany<pb::ListReply>(body);
      if (one.has_value() != many.has_value()) std::abort();
      if (one && one->SerializeAsString() != (*many)->SerializeAsString()) std::abort();
      break;
    }
    case 7:
      tryAs<pb::HaveRequest>(body);
      break;
    case 8:
      tryAs<pb::HaveReply>(body);
      break;
    case 9:
      tryAs<pb::WhereRequest>(body);
      break;
    case 10:
      tryAs<pb::WhereReply>(body);
      break;
    case 11:
      tryAs<pb::AddMountRequest>(body);
      break;
    case 12:
      if (const auto failure = parse<pb::Failure>(body)) static_cast<void>(fromMessage(*failure).text());
      break;
    case 13:
      if (const auto plan = parse<pb::Plan>(body)) {
        if (fromMessage(toMessage(fromMessage(*plan))) != fromMessage(*plan)) std::abort();
      }
      break;
    case 14:
      tryAs<pb::RefreshRequest>(body);
      break;
    case 15:
      tryAs<pb::RefreshReply>(body);
      break;
    case 16:
      tryAs<pb::EvictRequest>(body);
      break;
    case 17:
      tryAs<pb::EvictReply>(body);
      break;
    case 18:
      tryAs<pb::LoadRequest>(body);
      tryAs<pb::RegionRequest>(body);
      tryAs<pb::SlabReply>(body);
      tryAs<pb::UnpinRequest>(body);
      break;
    case 19:
      tryAs<pb::LoadReply>(body);
      break;
    default:
      break;
  }
  return 0;
}
