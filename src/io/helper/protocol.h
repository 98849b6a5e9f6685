// What a node or a mount and `forebay helper` say to each other: fixed, small messages on a SOCK_SEQPACKET Unix socket,
// one question and one answer at a time, with descriptors beside them (SCM_RIGHTS).
//
// Not the frames of src/wire: those carry protobuf, and a process of root's should parse as little as can be. A message
// is a header of 24 bytes, in the machine's own order (both ends are on it), and at most kMaxText bytes of text:
//
//   magic u32 | version u16 | operation or code u16 | number u64 | flags or errno u32 | length of the text u32 | text
//
//   operation        number     flags        text            descriptors              answer
//   Hello                                                                             whether it may ask
//   MemoryDirectory  size                                                             text: how; the two directories
//   MountFuse        max_read   allow_other  source          the mount point          /dev/fuse, mounted
//   UnmountFuse                 lazily       name in parent  the mount point's parent
//   OpenBacking                                              /dev/fuse, the file      number: the kernel's id
//   CloseBacking     id                                      /dev/fuse
//
// A refusal has a code (base/result.h), the errno behind it and the message for a person.
//
// Everything that comes is checked here in full, before anything else looks at it; fuzzed (helper_protocol_fuzz.cc).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay::io::helper {

constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 24, kMaxText = 1024, kMaxMessage = kHeaderBytes + kMaxText;
constexpr std::size_t kMaxDescriptors = 2;
constexpr std::size_t kMaxSource = 512, kMaxName = 255;
constexpr std::uint64_t kLeastMaxRead = 4096, kMostMaxRead = 16 * kMiB;

enum class Operation : std::uint16_t {
  Hello = 1,
  MemoryDirectory = 2,
  MountFuse = 3,
  UnmountFuse = 4,
  OpenBacking = 5,
  CloseBacking = 6,
};
const char* operationName(Operation operation);

constexpr std::uint32_t kAllowOther = 1;  // MountFuse
constexpr std::uint32_t kLazily = 1;      // UnmountFuse

struct Request {
  Operation operation = Operation::Hello;
  std::uint64_t number = 0;
  std::uint32_t flags = 0;
  std::string text = {};
};

struct Reply {
  Code code = Code::Ok;
  std::int32_t error = 0;
  std::uint64_t number = 0;
  std::string text = {};
};

struct Message {
  std::array<std::byte, kMaxMessage> bytes{};
  std::size_t size = 0;
  Bytes view() const { return Bytes(bytes).first(size); }
};

// Text that is too long is cut.
Message encode(const Request& request);
Message encode(const Reply& reply);

// `descriptors`: how many came beside it. InvalidArgument: not what this operation needs. Unsupported: of another
// version. Corrupt: not a message at all.
Result<Request> parseRequest(Bytes message, std::size_t descriptors);
// An answer to `asked`; a refusal is a Reply too.
Result<Reply> parseReply(Bytes message, Operation asked, std::size_t descriptors);

}  // namespace forebay::io::helper
