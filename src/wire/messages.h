// Protobuf bodies, held to limits after parsing: protobuf alone accepts any number of anything that fits a body.
#pragma once

#include <google/protobuf/arena.h>
#include <google/protobuf/message_lite.h>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/types.h"
#include "wire/messages.pb.h"

namespace forebay::wire {

// InvalidArgument if the bytes aren't such a message.
Status parseMessage(Bytes body, google::protobuf::MessageLite& message, std::string_view name);
// Replaces what `to` holds; InvalidArgument above a frame's limit.
Status serialize(const google::protobuf::MessageLite& message, std::vector<std::byte>& to);

// What a message's fields must satisfy before they are used: lengths of names, numbers that become enums, key sizes,
// counts. Messages without such fields have the empty default.
inline Status validate(const google::protobuf::MessageLite&) {
  return {};
}
Status validate(const pb::Hello& m);
Status validate(const pb::HelloReply& m);
Status validate(const pb::MapReply& m);
Status validate(const pb::Plan& m);
Status validate(const pb::ResolveRequest& m);
Status validate(const pb::ResolveReply& m);
Status validate(const pb::ListRequest& m);
Status validate(const pb::ListReply& m);
Status validate(const pb::HaveRequest& m);
Status validate(const pb::WhereRequest& m);
Status validate(const pb::WhereReply& m);
Status validate(const pb::AddMountRequest& m);
Status validate(const pb::RefreshRequest& m);
Status validate(const pb::RefreshReply& m);
Status validate(const pb::EvictRequest& m);
Status validate(const pb::EvictReply& m);
Status validate(const pb::LoadRequest& m);
Status validate(const pb::LoadReply& m);
Status validate(const pb::RegionRequest& m);
Status validate(const pb::SlabReply& m);
Status validate(const pb::UnpinRequest& m);

// Paths of one request to refresh or to evict: whoever has more asks again.
constexpr int kMaxPathsPerForget = 4'096;
constexpr std::size_t kMaxForgetBytes = 512 * kKiB;  // of those paths
// Pins of one request to let go: whoever has more asks again.
constexpr int kMaxUnpins = 4'096;
// Objects of one request to load: whoever has more asks again.
constexpr int kMaxPlansPerLoad = 256;

// Parses and validates: parse<pb::Hello>(body).
template <class M>
Result<M> parse(Bytes body) {
  M message;
  TRY(parseMessage(body, message, message.GetTypeName()));
  TRY(validate(message));
  return message;
}

// The same in an arena, which it lives as long as: for messages of many parts.
template <class M>
Result<M*> parseIn(google::protobuf::Arena& arena, Bytes body) {
  M* const message = google::protobuf::Arena::CreateMessage<M>(&arena);
  TRY(parseMessage(body, *message, message->GetTypeName()));
  TRY(validate(*message));
  return message;
}

// An Error as its message and back. A code that this version doesn't know is Internal.
pb::Failure toMessage(const Error& error);
Error fromMessage(const pb::Failure& failure);
// A plan as its message and back; fromMessage needs a validated one.
pb::Plan toMessage(const core::Plan& plan);
void fill(pb::Plan& to, const core::Plan& plan);
core::Plan fromMessage(const pb::Plan& plan);

}  // namespace forebay::wire
