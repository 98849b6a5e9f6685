#include "io/helper/protocol.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <string_view>

namespace forebay::io::helper {
namespace {

constexpr std::uint32_t kMagic = 0x50484246;  // "FBHP"

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  std::uint16_t kind = 0;  // Operation or Code
  std::uint64_t number = 0;
  std::uint32_t extra = 0;  // flags or errno
  std::uint32_t text = 0;   // bytes
};
static_assert(sizeof(Header) == kHeaderBytes);

Message encode(Header header, std::string_view text) {
  text = text.substr(0, kMaxText);
  header.text = static_cast<std::uint32_t>(text.size());
  Message message;
  std::memcpy(message.bytes.data(), &header, sizeof header);
  std::memcpy(message.bytes.data() + sizeof header, text.data(), text.size());
  message.size = sizeof header + text.size();
  return message;
}

struct Parsed {
  Header header;
  std::string text;
};
Result<Parsed> parse(Bytes message) {
  Parsed parsed;
  if (message.size() < sizeof parsed.header || message.size() > kMaxMessage)
    return fail(Code::Corrupt, fmt::format("a message of {} bytes: not one of forebay helper", message.size()));
  std::memcpy(&parsed.header, message.data(), sizeof parsed.header);
  if (parsed.header.magic != kMagic) return fail(Code::Corrupt, "a message that isn't one of forebay helper");
  if (parsed.header.version != kVersion)
    return fail(Code::Unsupported, fmt::format("a message of version {} came, this process speaks {}: install the same "
                                               "version of Forebay for helper, node and mounts",
                                               parsed.header.version, kVersion));
  const Bytes text = message.subspan(sizeof parsed.header);
  if (text.size() != parsed.header.text)
    return fail(Code::Corrupt, fmt::format("a text of {} bytes that says {}", text.size(), parsed.header.text));
  parsed.text.assign(reinterpret_cast<const char*>(text.data()), text.size());
  return parsed;
}

bool isControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

Status wrong(Operation operation, std::string_view what) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", operationName(operation), what));
}

struct Shape {
  std::size_t descriptors, answered;  // beside the request, and beside the answer
  std::uint32_t flags;                // those that it knows
};
Shape shapeOf(Operation operation) {
  switch (operation) {
    case Operation::Hello:
      return {0, 0, 0};
    case Operation::MemoryDirectory:
      return {0, 2, 0};
    case Operation::MountFuse:
      return {1, 1, kAllowOther};
    case Operation::UnmountFuse:
      return {1, 0, kLazily};
    case Operation::OpenBacking:
      return {2, 0, 0};
    case Operation::CloseBacking:
      return {1, 0, 0};
  }
  return {0, 0, 0};
}

bool known(std::uint16_t kind) {
  return kind >= static_cast<std::uint16_t>(Operation::Hello) &&
         kind <= static_cast<std::uint16_t>(Operation::CloseBacking);
}

Status checkMount(const Request& request) {
  if (request.number < kLeastMaxRead || request.number > kMostMaxRead)
    return wrong(request.operation,
                 fmt::format("max_read = {}: {} to {} are allowed", request.number, kLeastMaxRead, kMostMaxRead));
  if (request.text.empty() || request.text.size() > kMaxSource || std::ranges::any_of(request.text, isControl))
    return wrong(request.operation,
                 fmt::format("its source must be 1 to {} bytes without control characters", kMaxSource));
  return {};
}

Status checkName(const Request& request) {
  const std::string& name = request.text;
  if (name.empty() || name.size() > kMaxName || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    return wrong(request.operation, "what it names must be a name in the directory that came with it");
  return {};
}

Status checkFields(const Request& request) {
  const bool has_text = request.operation == Operation::MountFuse || request.operation == Operation::UnmountFuse;
  if (!has_text && !request.text.empty()) return wrong(request.operation, "it takes no text");
  switch (request.operation) {
    case Operation::MemoryDirectory:
      if (request.number == 0) return wrong(request.operation, "0 bytes would have no bound: give it a size");
      return {};
    case Operation::MountFuse:
      return checkMount(request);
    case Operation::UnmountFuse:
      return checkName(request);
    case Operation::CloseBacking:
      if (request.number == 0 || request.number > INT32_MAX) return wrong(request.operation, "no id of the kernel's");
      return {};
    case Operation::Hello:
    case Operation::OpenBacking:
      return {};
  }
  return {};
}

}  // namespace

const char* operationName(Operation operation) {
  switch (operation) {
    case Operation::Hello:
      return "hello";
    case Operation::MemoryDirectory:
      return "memory directory";
    case Operation::MountFuse:
      return "FUSE mount";
    case Operation::UnmountFuse:
      return "FUSE unmount";
    case Operation::OpenBacking:
      return "backing open";
    case Operation::CloseBacking:
      return "backing close";
  }
  return "unknown operation";
}

Message encode(const Request& request) {
  Header header;
  header.kind = static_cast<std::uint16_t>(request.operation);
  header.number = request.number;
  header.extra = request.flags;
  return encode(header, request.text);
}

Message encode(const Reply& reply) {
  Header header;
  header.kind = static_cast<std::uint16_t>(reply.code);
  header.number = reply.number;
  header.extra = static_cast<std::uint32_t>(reply.error);
  return encode(header, reply.text);
}

Result<Request> parseRequest(Bytes message, std::size_t descriptors) {
  Parsed parsed = TRY(parse(message));
  if (!known(parsed.header.kind))
    return fail(Code::Unsupported,
                fmt::format("operation {}: this helper knows none of that number", parsed.header.kind));
  Request request{.operation = static_cast<Operation>(parsed.header.kind),
                  .number = parsed.header.number,
                  .flags = parsed.header.extra,
                  .text = std::move(parsed.text)};
  const Shape shape = shapeOf(request.operation);
  if (descriptors != shape.descriptors)
    return fail(Code::InvalidArgument, fmt::format("{}: it came with {} descriptors instead of {}",
                                                   operationName(request.operation), descriptors, shape.descriptors));
  if ((request.flags & ~shape.flags) != 0)
    return fail(Code::InvalidArgument,
                fmt::format("{}: unknown flags {:#x}", operationName(request.operation), request.flags));
  TRY(checkFields(request));
  return request;
}

Result<Reply> parseReply(Bytes message, Operation asked, std::size_t descriptors) {
  Parsed parsed = TRY(parse(message));
  if (parsed.header.kind > static_cast<std::uint16_t>(Code::ReadOnly))
    return fail(Code::Corrupt, fmt::format("an answer with code {}", parsed.header.kind));
  Reply reply{.code = static_cast<Code>(parsed.header.kind),
              .error = static_cast<std::int32_t>(parsed.header.extra),
              .number = parsed.header.number,
              .text = std::move(parsed.text)};
  const std::size_t wanted = reply.code == Code::Ok ? shapeOf(asked).answered : 0;
  if (descriptors != wanted)
    return fail(Code::Corrupt, fmt::format("the answer to a {} came with {} descriptors instead of {}",
                                           operationName(asked), descriptors, wanted));
  if (reply.error < 0 || reply.error > 4095) return fail(Code::Corrupt, fmt::format("errno {}", reply.error));
  if (reply.code == Code::Ok && asked == Operation::OpenBacking && (reply.number == 0 || reply.number > INT32_MAX))
    return fail(Code::Corrupt, fmt::format("backing id {}", reply.number));
  return reply;
}

}  // namespace forebay::io::helper
