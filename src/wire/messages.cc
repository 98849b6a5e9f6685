#include "wire/messages.h"

#include <fmt/format.h>
#include <limits>

#include "core/types.h"
#include "wire/frame.h"
#include "wire/read.h"

namespace forebay::wire {
namespace {

constexpr std::size_t kMaxName = 255;  // of a node, a mount, a fault domain
constexpr std::size_t kMaxAddress = 512;
constexpr std::size_t kMaxChecksum = 64;
constexpr std::size_t kMaxCursor = 4'096;  // origins' markers are names, plus little
constexpr int kMaxMembers = 5'000;         // of a cell
constexpr int kMaxPathsPerResolve = 4'096;
constexpr int kMaxEntriesPerPage = 65'536;
constexpr int kMaxAsk = static_cast<int>(kMaxReadPeers);  // nodes that are named in an owner's stead
constexpr int kMaxOptions = 64;
constexpr std::size_t kMaxOptionText = 8'192;  // a SAS or a session token is about 2 KiB

Status shortEnough(std::string_view what, std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return {};
  return fail(Code::InvalidArgument, fmt::format("{} of {} bytes; {} are allowed", what, text.size(), limit));
}
Status fewEnough(std::string_view what, int count, int limit) {
  if (count <= limit) return {};
  return fail(Code::InvalidArgument, fmt::format("{} {}; {} are allowed", count, what, limit));
}
Status checkChunkBits(std::uint32_t bits) {
  if (bits >= core::kMinChunkBits && bits <= core::kMaxChunkBits) return {};
  return fail(Code::InvalidArgument, fmt::format("chunks of 2^{} bytes", bits));
}
Status checkSize(std::uint64_t size) {
  if (size <= kMaxObjectSize) return {};
  return fail(Code::InvalidArgument, fmt::format("an object of {} bytes", size));
}
Status checkKey(std::string_view key) {
  if (key.size() == sizeof(core::ObjectKey)) return {};
  return fail(Code::InvalidArgument, fmt::format("an object key of {} bytes", key.size()));
}

}  // namespace

Status parseMessage(Bytes body, google::protobuf::MessageLite& message, std::string_view name) {
  if (body.size() > kMaxBody || !message.ParseFromArray(body.data(), static_cast<int>(body.size())))
    return fail(Code::InvalidArgument, fmt::format("{} bytes that aren't a {}", body.size(), name));
  return {};
}

Status serialize(const google::protobuf::MessageLite& message, std::vector<std::byte>& to) {
  const std::size_t size = message.ByteSizeLong();
  if (size > kMaxBody)
    return fail(Code::InvalidArgument,
                fmt::format("a {} of {} bytes; a frame carries {}", message.GetTypeName(), size, kMaxBody));
  to.resize(size);
  if (!message.SerializeToArray(to.data(), static_cast<int>(size)))
    return fail(Code::Internal, fmt::format("a {} that can't be written", message.GetTypeName()));
  return {};
}

Status validate(const pb::Hello& m) {
  return shortEnough("a name", m.name(), kMaxName);
}

Status validate(const pb::HelloReply& m) {
  if (m.version() == 0 || m.version() > std::numeric_limits<std::uint8_t>::max())
    return fail(Code::InvalidArgument, fmt::format("protocol version {}", m.version()));
  return shortEnough("a name", m.name(), kMaxName);
}

Status validate(const pb::MapReply& m) {
  TRY(fewEnough("members", m.members_size(), kMaxMembers));
  for (const pb::Member& member : m.members()) {
    TRY(shortEnough("a name", member.name(), kMaxName));
    TRY(shortEnough("a fault domain", member.domain(), kMaxName));
    TRY(shortEnough("an address", member.address(), kMaxAddress));
  }
  return {};
}

Status validate(const pb::Plan& m) {
  TRY(checkKey(m.key()));
  TRY(checkChunkBits(m.chunk_bits()));
  TRY(checkSize(m.size()));
  if (m.first_slot() >= core::kSlots) return fail(Code::InvalidArgument, fmt::format("slot {}", m.first_slot()));
  TRY(shortEnough("a path", m.path(), kMaxPath));
  return shortEnough("a version", m.version(), kMaxVersionText);
}

Status validate(const pb::ResolveRequest& m) {
  TRY(shortEnough("a mount's name", m.mount(), kMaxName));
  TRY(fewEnough("paths", m.paths_size(), kMaxPathsPerResolve));
  for (const std::string& path : m.paths()) TRY(shortEnough("a path", path, kMaxPath));
  return {};
}

namespace {
// Whole objects of one chunk, or none of it.
Status checkBytes(const pb::Resolved& item) {
  if (item.bytes() == 0 && item.crcs_size() == 0) return {};
  const bool object = !item.has_failure() && item.has_plan() && item.plan().size() == item.bytes() &&
                      item.bytes() <= std::uint64_t{1} << item.plan().chunk_bits();
  if (!object || static_cast<std::size_t>(item.crcs_size()) != pieceCount(0, item.bytes()))
    return fail(Code::InvalidArgument,
                fmt::format("{} bytes with {} checksums aren't a plan's object", item.bytes(), item.crcs_size()));
  return {};
}
// A whole object too, within one run, so that one generation stands for all of it.
Status checkPlace(const pb::Resolved& item) {
  if (item.placed_bytes() == 0) return {};
  const bool object = !item.has_failure() && item.has_plan() && item.plan().size() == item.placed_bytes();
  if (object && item.bytes() == 0 && item.placed_bytes() <= core::kRun && item.place() <= kMaxSlab) return {};
  return fail(Code::InvalidArgument,
              fmt::format("{} bytes at {} of a slab aren't a plan's object", item.placed_bytes(), item.place()));
}
}  // namespace

Status validate(const pb::ResolveReply& m) {
  TRY(fewEnough("answers", m.items_size(), kMaxPathsPerResolve));
  std::uint64_t bytes = 0;
  for (const pb::Resolved& item : m.items()) {
    TRY(fewEnough("nodes to ask", item.ask_size(), kMaxAsk));
    if (!item.has_failure() && item.has_plan()) TRY(validate(item.plan()));
    TRY(checkBytes(item));
    TRY(checkPlace(item));
    bytes += item.bytes();
  }
  if (bytes <= kMaxBulk) return {};
  return fail(Code::InvalidArgument, fmt::format("{} bytes of objects; a frame carries {}", bytes, kMaxBulk));
}

Status validate(const pb::ListRequest& m) {
  TRY(shortEnough("a mount's name", m.mount(), kMaxName));
  TRY(shortEnough("a path", m.path(), kMaxPath));
  return shortEnough("a cursor", m.cursor(), kMaxCursor);
}

Status validate(const pb::ListReply& m) {
  TRY(fewEnough("entries", m.entries_size(), kMaxEntriesPerPage));
  TRY(fewEnough("nodes to ask", m.ask_size(), kMaxAsk));
  TRY(shortEnough("a cursor", m.next_cursor(), kMaxCursor));
  for (const pb::Entry& entry : m.entries()) {
    TRY(shortEnough("a name", entry.name(), kMaxPath));
    TRY(shortEnough("a version", entry.version(), kMaxVersionText));
    TRY(checkSize(entry.size()));
    TRY(shortEnough("a checksum", entry.md5(), kMaxChecksum));
  }
  return {};
}

Status validate(const pb::HaveRequest& m) {
  TRY(checkKey(m.key()));
  TRY(checkChunkBits(m.chunk_bits()));
  return checkSize(m.size());
}

Status validate(const pb::WhereRequest& m) {
  TRY(shortEnough("a mount's name", m.mount(), kMaxName));
  return shortEnough("a path", m.path(), kMaxPath);
}

Status validate(const pb::WhereReply& m) {
  if (m.has_failure()) return {};
  if (m.has_plan()) TRY(validate(m.plan()));
  for (const pb::Placement& chunk : m.chunks()) {
    if (chunk.slot() >= core::kSlots) return fail(Code::InvalidArgument, fmt::format("slot {}", chunk.slot()));
    if (chunk.held_bytes_size() != chunk.holders_size())
      return fail(Code::InvalidArgument, "a placement whose holders and their bytes differ in number");
  }
  return {};
}

Status validate(const pb::LoadRequest& m) {
  TRY(fewEnough("objects", m.plans_size(), kMaxPlansPerLoad));
  for (const pb::Plan& plan : m.plans()) TRY(validate(plan));
  return fewEnough("nodes to do without", m.without_size(), kMaxMembers);
}

Status validate(const pb::LoadReply& m) {
  TRY(fewEnough("answers", m.items_size(), kMaxPlansPerLoad));
  TRY(fewEnough("silent nodes", m.silent_size(), kMaxMembers));
  for (const pb::SilentNode& node : m.silent()) TRY(shortEnough("a name", node.name(), kMaxName));
  return {};
}

Status validate(const pb::RegionRequest& m) {
  return validate(m.plan());
}

Status validate(const pb::SlabReply& m) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50, kPage = 2 * kMiB;
  if (static_cast<std::uint32_t>(m.id()) == 0 || m.page_bytes() == 0 || m.page_bytes() > kMost ||
      m.page_bytes() % kPage != 0)
    return fail(Code::InvalidArgument, fmt::format("a slab {:016x} of {} bytes", m.id(), m.page_bytes()));
  return {};
}

Status validate(const pb::UnpinRequest& m) {
  return fewEnough("pins", m.pins_size(), kMaxUnpins);
}

Status validate(const pb::AddMountRequest& m) {
  TRY(shortEnough("a mount's name", m.name(), kMaxName));
  TRY(shortEnough("a URL", m.url(), kMaxOptionText));
  TRY(fewEnough("options", static_cast<int>(m.options().size() + m.credentials().size()), kMaxOptions));
  for (const auto* map : {&m.options(), &m.credentials()}) {
    for (const auto& [key, value] : *map) {
      TRY(shortEnough("an option's name", key, kMaxName));
      TRY(shortEnough("an option's value", value, kMaxOptionText));
    }
  }
  return {};
}

namespace {
Status checkPaths(const auto& m) {
  TRY(shortEnough("a mount's name", m.mount(), kMaxName));
  TRY(fewEnough("paths", m.paths_size(), kMaxPathsPerForget));
  for (const std::string& path : m.paths()) TRY(shortEnough("a path", path, kMaxPath));
  return {};
}
Status checkNodes(const auto& m) {
  TRY(fewEnough("nodes", m.nodes_size(), kMaxMembers));
  for (const auto& node : m.nodes()) TRY(shortEnough("a name", node.name(), kMaxName));
  return {};
}
}  // namespace

Status validate(const pb::RefreshRequest& m) {
  return checkPaths(m);
}
Status validate(const pb::RefreshReply& m) {
  return checkNodes(m);
}
Status validate(const pb::EvictRequest& m) {
  return checkPaths(m);
}
Status validate(const pb::EvictReply& m) {
  return checkNodes(m);
}

pb::Failure toMessage(const Error& error) {
  pb::Failure m;
  m.set_code(static_cast<std::uint32_t>(error.code));
  m.set_message(error.message.substr(0, kMaxReadMessage));
  m.set_retry_after_ms(error.retry_after_ms);
  return m;
}

Error fromMessage(const pb::Failure& m) {
  constexpr auto kLast = static_cast<std::uint32_t>(Code::ReadOnly);
  const Code code = m.code() == 0 || m.code() > kLast ? Code::Internal : static_cast<Code>(m.code());
  return {.code = code, .message = m.message().substr(0, kMaxReadMessage), .retry_after_ms = m.retry_after_ms()};
}

pb::Plan toMessage(const core::Plan& plan) {
  pb::Plan m;
  fill(m, plan);
  return m;
}

void fill(pb::Plan& m, const core::Plan& plan) {
  m.set_mount(plan.mount);
  m.set_path(plan.path);
  m.set_version(plan.version);
  m.set_key(plan.key.bytes.data(), plan.key.bytes.size());
  m.set_size(plan.size);
  m.set_chunk_bits(plan.chunk_bits);
  m.set_first_slot(plan.first_slot);
  m.set_mtime_ns(plan.mtime_ns);
  if (plan.copies > 1) m.set_copies(plan.copies);
}

core::Plan fromMessage(const pb::Plan& m) {
  core::Plan plan{.mount = m.mount(),
                  .path = m.path(),
                  .version = m.version(),
                  .key = {},
                  .size = m.size(),
                  .chunk_bits = m.chunk_bits(),
                  .first_slot = static_cast<core::Slot>(m.first_slot()),
                  .mtime_ns = m.mtime_ns(),
                  .copies = std::max(m.copies(), 1U)};
  std::memcpy(plan.key.bytes.data(), m.key().data(), plan.key.bytes.size());
  return plan;
}

}  // namespace forebay::wire
