#include "wire/frame.h"

#include <fmt/format.h>

#include "base/checksum.h"

namespace forebay::wire {
namespace {

constexpr std::size_t kHeaderCrcAt = 60;

}  // namespace

std::string_view messageName(MessageType type) {
  switch (type) {
    case MessageType::Hello:
      return "Hello";
    case MessageType::HelloReply:
      return "HelloReply";
    case MessageType::Failure:
      return "Failure";
    case MessageType::Cancel:
      return "Cancel";
    case MessageType::MapRequest:
      return "MapRequest";
    case MessageType::MapReply:
      return "MapReply";
    case MessageType::ResolveRequest:
      return "ResolveRequest";
    case MessageType::ResolveReply:
      return "ResolveReply";
    case MessageType::ListRequest:
      return "ListRequest";
    case MessageType::ListReply:
      return "ListReply";
    case MessageType::HaveRequest:
      return "HaveRequest";
    case MessageType::HaveReply:
      return "HaveReply";
    case MessageType::WhereRequest:
      return "WhereRequest";
    case MessageType::WhereReply:
      return "WhereReply";
    case MessageType::StatusRequest:
      return "StatusRequest";
    case MessageType::StatusReply:
      return "StatusReply";
    case MessageType::AddMountRequest:
      return "AddMountRequest";
    case MessageType::AddMountReply:
      return "AddMountReply";
    case MessageType::RefreshRequest:
      return "RefreshRequest";
    case MessageType::RefreshReply:
      return "RefreshReply";
    case MessageType::EvictRequest:
      return "EvictRequest";
    case MessageType::EvictReply:
      return "EvictReply";
    case MessageType::LoadRequest:
      return "LoadRequest";
    case MessageType::LoadReply:
      return "LoadReply";
    case MessageType::RegionRequest:
      return "RegionRequest";
    case MessageType::RegionReply:
      return "RegionReply";
    case MessageType::SlabRequest:
      return "SlabRequest";
    case MessageType::SlabReply:
      return "SlabReply";
    case MessageType::UnpinRequest:
      return "UnpinRequest";
    case MessageType::UnpinReply:
      return "UnpinReply";
    case MessageType::Read:
      return "Read";
    case MessageType::ReadData:
      return "ReadData";
  }
  return "Unknown";
}

bool isRequest(MessageType type) {
  switch (type) {
    case MessageType::MapRequest:
    case MessageType::ResolveRequest:
    case MessageType::ListRequest:
    case MessageType::HaveRequest:
    case MessageType::WhereRequest:
    case MessageType::StatusRequest:
    case MessageType::AddMountRequest:
    case MessageType::RefreshRequest:
    case MessageType::EvictRequest:
    case MessageType::LoadRequest:
    case MessageType::RegionRequest:
    case MessageType::SlabRequest:
    case MessageType::UnpinRequest:
    case MessageType::Read:
      return true;
    default:
      return false;
  }
}

MessageType replyTypeOf(MessageType request) {
  return static_cast<MessageType>(static_cast<std::uint16_t>(request) + 1);
}

void encodeHeader(const FrameHeader& h, HeaderBytes to) {
  std::byte* p = to.data();
  storeLe<std::uint32_t>(p + 0, kMagic);
  storeLe<std::uint8_t>(p + 4, h.version);
  storeLe<std::uint8_t>(p + 5, h.mount_class);
  storeLe<std::uint16_t>(p + 6, static_cast<std::uint16_t>(h.type));
  storeLe<std::uint64_t>(p + 8, h.request_id);
  storeLe<std::uint64_t>(p + 16, h.capability);
  storeLe<std::uint64_t>(p + 24, h.map_version);
  storeLe<std::uint32_t>(p + 32, h.tenant);
  storeLe<std::uint32_t>(p + 36, h.deadline_ms);
  storeLe<std::uint32_t>(p + 40, h.body_length);
  storeLe<std::uint32_t>(p + 44, h.bulk_length);
  storeLe<std::uint16_t>(p + 48, h.flags);
  storeLe<std::uint16_t>(p + 50, std::uint16_t{0});
  storeLe<std::uint32_t>(p + 52, std::uint32_t{0});
  storeLe<std::uint32_t>(p + 56, h.body_crc);
  storeLe<std::uint32_t>(p + kHeaderCrcAt, crc32c(Bytes(to).first(kHeaderCrcAt)));
}

Result<FrameHeader> decodeHeader(std::span<const std::byte, kHeaderBytes> from) {
  const std::byte* p = from.data();
  if (const auto magic = loadLe<std::uint32_t>(p); magic != kMagic)
    return fail(Code::Corrupt, fmt::format("not a Forebay frame: it starts with {:#010x}", magic));
  if (loadLe<std::uint32_t>(p + kHeaderCrcAt) != crc32c(Bytes(from).first(kHeaderCrcAt)))
    return fail(Code::Corrupt, "a frame's header doesn't match its checksum");
  FrameHeader h;
  h.version = loadLe<std::uint8_t>(p + 4);
  h.mount_class = loadLe<std::uint8_t>(p + 5);
  h.type = static_cast<MessageType>(loadLe<std::uint16_t>(p + 6));
  h.request_id = loadLe<std::uint64_t>(p + 8);
  h.capability = loadLe<std::uint64_t>(p + 16);
  h.map_version = loadLe<std::uint64_t>(p + 24);
  h.tenant = loadLe<std::uint32_t>(p + 32);
  h.deadline_ms = loadLe<std::uint32_t>(p + 36);
  h.body_length = loadLe<std::uint32_t>(p + 40);
  h.bulk_length = loadLe<std::uint32_t>(p + 44);
  h.flags = loadLe<std::uint16_t>(p + 48);
  h.body_crc = loadLe<std::uint32_t>(p + 56);
  if (h.body_length > kMaxBody)
    return fail(Code::Corrupt, fmt::format("a {} frame's body of {} bytes; {} are allowed", messageName(h.type),
                                           h.body_length, kMaxBody));
  if (h.bulk_length > kMaxBulk)
    return fail(Code::Corrupt, fmt::format("a {} frame's bulk of {} bytes; {} are allowed", messageName(h.type),
                                           h.bulk_length, kMaxBulk));
  return h;
}

void describeBody(FrameHeader& header, Bytes body) {
  header.body_length = static_cast<std::uint32_t>(body.size());
  header.body_crc = crc32c(body);
}

Status checkBody(const FrameHeader& header, Bytes body) {
  if (body.size() != header.body_length || crc32c(body) != header.body_crc)
    return fail(Code::Corrupt, fmt::format("a {} frame's body doesn't match its checksum", messageName(header.type)));
  return {};
}

}  // namespace forebay::wire
