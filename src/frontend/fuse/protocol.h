// The kernel's FUSE protocol (7.31 and later): requests parsed and checked, replies laid out. Pure.
//
//   Result<Request> request = parseRequest(bytes);   // what one read(2) of /dev/fuse gave
//   if (auto* read = std::get_if<ReadRequest>(&request->body)) ...
//
// A Request points into the bytes that it was parsed from. Whatever the bytes, parsing neither crashes nor reads
// beyond them: lengths are those of the structures, names end within the body and hold no '/', sizes are bounded.
// A malformed body leaves a readable header (parseHeader), so that it can be refused by its number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <linux/fuse.h>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace forebay::fuse {

constexpr std::uint32_t kMinMinor = 31;            // Linux 5.4
constexpr std::uint32_t kMaxRead = 1 * kMiB;       // one READ, one READDIR: 256 pages
constexpr std::uint32_t kMaxWrite = 4 * kKiB;      // the least that the kernel accepts: nothing is written
constexpr std::size_t kRequestBuffer = 64 * kKiB;  // of a worker; its size bounds a BATCH_FORGET
constexpr std::size_t kMaxName = 255;              // of one component
constexpr std::size_t kMaxPath = 4096;             // of all of them

struct Header {
  std::uint32_t opcode = 0;
  std::uint64_t unique = 0;
  std::uint64_t node = 0;
  std::uint32_t pid = 0;  // the asking thread, as our pid namespace sees it; 0 if it doesn't
};

struct InitRequest {
  std::uint32_t major = 0, minor = 0;
  std::uint32_t max_readahead = 0;
  std::uint64_t flags = 0;
};
struct LookupRequest {
  std::string_view name;
};
struct ForgetRequest {
  std::uint64_t lookups = 0;
};
struct BatchForgetRequest {
  std::size_t count() const { return raw.size() / sizeof(fuse_forget_one); }
  fuse_forget_one at(std::size_t i) const;
  Bytes raw;
};
struct GetAttrRequest {};
struct OpenRequest {
  std::uint32_t flags = 0;
  bool directory = false;
};
struct ReadRequest {
  std::uint64_t handle = 0, offset = 0;
  std::uint32_t size = 0;
};
struct ReadDirRequest {
  std::uint64_t handle = 0, offset = 0;
  std::uint32_t size = 0;
  bool plus = false;
};
struct ReleaseRequest {
  std::uint64_t handle = 0;
  bool directory = false;
};
struct StatFsRequest {};
struct AccessRequest {
  std::uint32_t mask = 0;
};
struct SyncRequest {};  // FLUSH, FSYNC, FSYNCDIR: nothing is ever unwritten
struct GetXattrRequest {
  std::string_view name;
  std::uint32_t size = 0;  // 0: asks how long the value is
};
struct ListXattrRequest {
  std::uint32_t size = 0;
};
struct InterruptRequest {
  std::uint64_t unique = 0;
};
struct DestroyRequest {};
struct WriteRequest {};    // whatever would change something
struct UnknownRequest {};  // whatever we don't do

using Body =
    std::variant<UnknownRequest, InitRequest, LookupRequest, ForgetRequest, BatchForgetRequest, GetAttrRequest,
                 OpenRequest, ReadRequest, ReadDirRequest, ReleaseRequest, StatFsRequest, AccessRequest, SyncRequest,
                 GetXattrRequest, ListXattrRequest, InterruptRequest, DestroyRequest, WriteRequest>;

struct Request {
  Header header;
  Body body;
};

Result<Header> parseHeader(Bytes bytes);
Result<Request> parseRequest(Bytes bytes);

// Of Linux 6.14 (7.42), which older headers lack: what a place of a ring and the kernel say to each other.
struct RingHeader {
  static constexpr std::size_t kPart = 128;
  std::array<std::byte, kPart> message{};    // fuse_in_header; in an answer fuse_out_header
  std::array<std::byte, kPart> operation{};  // the first structure of a request's body
  std::uint64_t flags = 0;
  std::uint64_t commit_id = 0;     // names the request when it is answered
  std::uint32_t payload_size = 0;  // of the rest of the body, or of the answer without its header
  std::uint32_t padding = 0;
  std::uint64_t reserved = 0;
};
static_assert(sizeof(RingHeader) == 288);
struct RingCommand {  // in the submission
  std::uint64_t flags = 0;
  std::uint64_t commit_id = 0;
  std::uint16_t queue = 0;
  std::array<std::uint8_t, 6> padding{};
};
static_assert(sizeof(RingCommand) == 24);
constexpr std::uint32_t kRingRegister = 1, kRingCommitAndFetch = 2;

// A request that came in parts, as parseRequest() wants it. It is put together in `into`.
Result<Bytes> joinRequest(const RingHeader& header, Bytes payload, MutableBytes into);

// "LOOKUP"; "OTHER" for what has no name here.
std::string_view opcodeName(std::uint32_t opcode);
// FORGET, BATCH_FORGET and INTERRUPT are never answered.
bool wantsReply(std::uint32_t opcode);
// The errno that tells a program most about an Error.
int errnoOf(Code code);

// A component that can be shown: not empty, '.' or '..', at most 255 bytes, without '/' and NUL.
bool nameFits(std::string_view name);

// Of Linux 6.9 (7.40), which older headers lack.
constexpr std::uint64_t kInitExtended = std::uint64_t{1} << 30, kInitPassthrough = std::uint64_t{1} << 37;
constexpr std::uint64_t kInitRing = std::uint64_t{1} << 41;  // of Linux 6.14 (7.42)
constexpr std::uint32_t kOpenPassthrough = 1U << 7;
inline std::int32_t& backingIdOf(fuse_open_out& out) {
  static_assert(sizeof(fuse_open_out) == 16 && sizeof out.padding == 4);
  return reinterpret_cast<std::int32_t&>(out.padding);
}

struct InitAnswer {
  fuse_init_out out{};
  bool passthrough = false;
  bool ring = false;   // requests come over io_uring once its places are registered, and none before
  bool retry = false;  // the kernel's major version is newer: it will ask again with ours
};
struct InitLimits {
  std::uint64_t readahead = 0;
  std::uint16_t max_background = 0;
  bool passthrough = false;        // wanted
  std::uint32_t ring_payload = 0;  // of a ring that is wanted, which bounds a READ; 0: none is
};
// Unsupported for a kernel that is too old.
Result<InitAnswer> negotiate(const InitRequest& request, InitLimits limits);

// Entries of a READDIR or READDIRPLUS reply, as many as fit.
class DirectoryReply {
 public:
  DirectoryReply(std::size_t limit, bool plus) : limit_(limit), plus_(plus) {}

  bool fits(std::string_view name) const { return bytes_.size() + entrySize(name) <= limit_; }
  // `offset` is where reading goes on after this entry. `entry` is used with plus only; its node id 0 says "no
  // attributes", which counts no lookup.
  void add(std::string_view name, std::uint64_t ino, bool directory, std::uint64_t offset, const fuse_entry_out& entry);
  bool empty() const { return bytes_.empty(); }
  Bytes bytes() const { return bytes_; }

 private:
  std::size_t entrySize(std::string_view name) const;
  std::size_t limit_;
  bool plus_;
  std::vector<std::byte> bytes_;
};

// Sets seconds and nanoseconds of one of the protocol's times to live. Negative is zero.
void setValid(std::uint64_t& seconds, std::uint32_t& nanoseconds, Duration ttl);

}  // namespace forebay::fuse
