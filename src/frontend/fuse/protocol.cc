#include "frontend/fuse/protocol.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/stat.h>

namespace forebay::fuse {
namespace {

// The body of a request, read from its front.
class BodyReader {
 public:
  explicit BodyReader(Bytes bytes) : bytes_(bytes) {}

  template <class T>
  Result<T> take() {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes_.size() < sizeof(T))
      return fail(Code::InvalidArgument,
                  fmt::format("a body of {} bytes where {} are needed", bytes_.size(), sizeof(T)));
    T value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }

  Result<std::string_view> takeName() {
    const std::string_view all = textOf(bytes_);
    const std::size_t end = all.find('\0');
    if (end == std::string_view::npos) return fail(Code::InvalidArgument, "a name without an end");
    bytes_ = bytes_.subspan(end + 1);
    return all.substr(0, end);
  }

  Bytes rest() const { return bytes_; }

 private:
  Bytes bytes_;
};

Result<Body> parseInit(BodyReader body) {
  // The first four fields are as old as FUSE; a kernel of another major version may send no more.
  struct Old {
    std::uint32_t major, minor, max_readahead, flags;
  };
  const auto old = TRY(body.take<Old>());
  InitRequest init{.major = old.major, .minor = old.minor, .max_readahead = old.max_readahead, .flags = old.flags};
  if ((old.flags & FUSE_INIT_EXT) != 0) init.flags |= std::uint64_t{TRY(body.take<std::uint32_t>())} << 32;
  return init;
}

Result<Body> parseLookup(BodyReader body) {
  const auto name = TRY(body.takeName());
  if (name.find('/') != std::string_view::npos) return fail(Code::InvalidArgument, "a name with a slash");
  return LookupRequest{name};
}

Result<Body> parseBatchForget(BodyReader body) {
  const auto head = TRY(body.take<fuse_batch_forget_in>());
  if (head.count > body.rest().size() / sizeof(fuse_forget_one))
    return fail(Code::InvalidArgument, fmt::format("{} forgets in {} bytes", head.count, body.rest().size()));
  return BatchForgetRequest{body.rest().first(head.count * sizeof(fuse_forget_one))};
}

Result<Body> parseRead(BodyReader body) {
  const auto in = TRY(body.take<fuse_read_in>());
  if (in.size > kMaxRead) return fail(Code::InvalidArgument, fmt::format("a read of {} bytes", in.size));
  if (in.offset > INT64_MAX) return fail(Code::InvalidArgument, "an offset beyond any file");
  return ReadRequest{.handle = in.fh, .offset = in.offset, .size = in.size};
}

Result<Body> parseReadDir(BodyReader body, bool plus) {
  const auto in = TRY(body.take<fuse_read_in>());
  if (in.size > kMaxRead) return fail(Code::InvalidArgument, fmt::format("a directory read of {} bytes", in.size));
  return ReadDirRequest{.handle = in.fh, .offset = in.offset, .size = in.size, .plus = plus};
}

Result<Body> parseGetXattr(BodyReader body) {
  const auto in = TRY(body.take<fuse_getxattr_in>());
  const auto name = TRY(body.takeName());
  return GetXattrRequest{.name = name, .size = in.size};
}

Result<Body> parseOpen(BodyReader body, bool directory) {
  const auto in = TRY(body.take<fuse_open_in>());
  return OpenRequest{.flags = in.flags, .directory = directory};
}

Result<Body> parseRelease(BodyReader body, bool directory) {
  const auto in = TRY(body.take<fuse_release_in>());
  return ReleaseRequest{.handle = in.fh, .directory = directory};
}

Result<Body> parseBody(std::uint32_t opcode, BodyReader body) {
  switch (opcode) {
    case FUSE_INIT:
      return parseInit(body);
    case FUSE_LOOKUP:
      return parseLookup(body);
    case FUSE_FORGET: {
      const auto in = TRY(body.take<fuse_forget_in>());
      return ForgetRequest{in.nlookup};
    }
    case FUSE_BATCH_FORGET:
      return parseBatchForget(body);
    case FUSE_GETATTR:
      return GetAttrRequest{};
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      return parseOpen(body, opcode == FUSE_OPENDIR);
    case FUSE_READ:
      return parseRead(body);
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      return parseReadDir(body, opcode == FUSE_READDIRPLUS);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      return parseRelease(body, opcode == FUSE_RELEASEDIR);
    case FUSE_STATFS:
      return StatFsRequest{};
    case FUSE_ACCESS: {
      const auto in = TRY(body.take<fuse_access_in>());
      return AccessRequest{in.mask};
    }
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
      return SyncRequest{};
    case FUSE_GETXATTR:
      return parseGetXattr(body);
    case FUSE_LISTXATTR: {
      const auto in = TRY(body.take<fuse_getxattr_in>());
      return ListXattrRequest{in.size};
    }
    case FUSE_INTERRUPT: {
      const auto in = TRY(body.take<fuse_interrupt_in>());
      return InterruptRequest{in.unique};
    }
    case FUSE_DESTROY:
      return DestroyRequest{};
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_CREATE:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_TMPFILE:
      return WriteRequest{};
    default:
      return UnknownRequest{};
  }
}

}  // namespace

fuse_forget_one BatchForgetRequest::at(std::size_t i) const {
  fuse_forget_one one;
  std::memcpy(&one, raw.data() + i * sizeof one, sizeof one);
  return one;
}

Result<Header> parseHeader(Bytes bytes) {
  fuse_in_header in;
  if (bytes.size() < sizeof in) return fail(Code::InvalidArgument, fmt::format("a request of {} bytes", bytes.size()));
  std::memcpy(&in, bytes.data(), sizeof in);
  if (in.len != bytes.size())
    return fail(Code::InvalidArgument, fmt::format("a request of {} bytes that says {}", bytes.size(), in.len));
  if (in.unique == 0) return fail(Code::InvalidArgument, "a request without a number");
  return Header{.opcode = in.opcode, .unique = in.unique, .node = in.nodeid, .pid = in.pid};
}

Result<Request> parseRequest(Bytes bytes) {
  const Header header = TRY(parseHeader(bytes));
  auto body = parseBody(header.opcode, BodyReader(bytes.subspan(sizeof(fuse_in_header))));
  if (!body) {
    body.error().message = fmt::format("{}: {}", opcodeName(header.opcode), body.error().message);
    return fail(std::move(body.error()));
  }
  return Request{.header = header, .body = *body};
}

Result<Bytes> joinRequest(const RingHeader& header, Bytes payload, MutableBytes into) {
  fuse_in_header in;
  std::memcpy(&in, header.message.data(), sizeof in);
  const std::size_t rest = header.payload_size, whole = in.len;
  if (rest > payload.size() || whole > into.size() || whole < sizeof in + rest ||
      whole - sizeof in - rest > header.operation.size())
    return fail(Code::InvalidArgument,
                fmt::format("a request of {} bytes, {} of them beside its headers", whole, rest));
  const std::size_t operation = whole - sizeof in - rest;
  std::memcpy(into.data(), &in, sizeof in);
  std::memcpy(into.data() + sizeof in, header.operation.data(), operation);
  if (rest > 0) std::memcpy(into.data() + sizeof in + operation, payload.data(), rest);
  return into.first(whole);
}

std::string_view opcodeName(std::uint32_t opcode) {
  struct Name {
    std::uint32_t opcode;
    std::string_view name;
  };
  static constexpr Name kNames[] = {
      {FUSE_LOOKUP, "LOOKUP"},
      {FUSE_FORGET, "FORGET"},
      {FUSE_GETATTR, "GETATTR"},
      {FUSE_SETATTR, "SETATTR"},
      {FUSE_READLINK, "READLINK"},
      {FUSE_SYMLINK, "SYMLINK"},
      {FUSE_MKNOD, "MKNOD"},
      {FUSE_MKDIR, "MKDIR"},
      {FUSE_UNLINK, "UNLINK"},
      {FUSE_RMDIR, "RMDIR"},
      {FUSE_RENAME, "RENAME"},
      {FUSE_LINK, "LINK"},
      {FUSE_OPEN, "OPEN"},
      {FUSE_READ, "READ"},
      {FUSE_WRITE, "WRITE"},
      {FUSE_STATFS, "STATFS"},
      {FUSE_RELEASE, "RELEASE"},
      {FUSE_FSYNC, "FSYNC"},
      {FUSE_SETXATTR, "SETXATTR"},
      {FUSE_GETXATTR, "GETXATTR"},
      {FUSE_LISTXATTR, "LISTXATTR"},
      {FUSE_REMOVEXATTR, "REMOVEXATTR"},
      {FUSE_FLUSH, "FLUSH"},
      {FUSE_INIT, "INIT"},
      {FUSE_OPENDIR, "OPENDIR"},
      {FUSE_READDIR, "READDIR"},
      {FUSE_RELEASEDIR, "RELEASEDIR"},
      {FUSE_FSYNCDIR, "FSYNCDIR"},
      {FUSE_ACCESS, "ACCESS"},
      {FUSE_CREATE, "CREATE"},
      {FUSE_INTERRUPT, "INTERRUPT"},
      {FUSE_DESTROY, "DESTROY"},
      {FUSE_BATCH_FORGET, "BATCH_FORGET"},
      {FUSE_FALLOCATE, "FALLOCATE"},
      {FUSE_READDIRPLUS, "READDIRPLUS"},
      {FUSE_RENAME2, "RENAME2"},
      {FUSE_LSEEK, "LSEEK"},
      {FUSE_COPY_FILE_RANGE, "COPY_FILE_RANGE"},
      {FUSE_TMPFILE, "TMPFILE"},
  };
  const auto* found = std::ranges::find(kNames, opcode, &Name::opcode);
  return found == std::end(kNames) ? "OTHER" : found->name;
}

bool wantsReply(std::uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

int errnoOf(Code code) {
  switch (code) {
    case Code::Ok:
      return 0;
    case Code::InvalidArgument:
      return EINVAL;
    case Code::NotFound:
      return ENOENT;
    case Code::PermissionDenied:
    case Code::Unauthenticated:
      return EACCES;
    case Code::Unsupported:
      return EOPNOTSUPP;
    case Code::ReadOnly:
      return EROFS;
    // A program can't act on the rest. Busy too: the client tried again until the deadline, and EAGAIN or EBUSY from
    // read(2) is what no reader of files expects.
    case Code::Unavailable:
    case Code::DeadlineExceeded:
    case Code::Busy:
    case Code::Gone:
    case Code::Corrupt:
    case Code::Cancelled:
    case Code::IoError:
    case Code::Internal:
      return EIO;
  }
  return EIO;
}

bool nameFits(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

Result<InitAnswer> negotiate(const InitRequest& request, InitLimits limits) {
  InitAnswer answer;
  answer.out.major = FUSE_KERNEL_VERSION;
  answer.out.minor = FUSE_KERNEL_MINOR_VERSION;
  if (request.major > FUSE_KERNEL_VERSION) {
    answer.retry = true;
    return answer;
  }
  if (request.major < FUSE_KERNEL_VERSION || request.minor < kMinMinor)
    return fail(Code::Unsupported, fmt::format("this kernel speaks FUSE {}.{}; {}.{} (Linux 5.4) is needed",
                                               request.major, request.minor, FUSE_KERNEL_VERSION, kMinMinor));
  // EXPLICIT_INVAL_DATA: the kernel never drops pages because attributes seem new; a node's bytes can't change.
  constexpr std::uint32_t kWanted = FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS |
                                    FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_MAX_PAGES | FUSE_EXPLICIT_INVAL_DATA;
  answer.out.flags = kWanted & static_cast<std::uint32_t>(request.flags);
  answer.out.max_readahead = static_cast<std::uint32_t>(std::min<std::uint64_t>(limits.readahead, UINT32_MAX));
  answer.out.max_background = limits.max_background;
  answer.out.congestion_threshold = static_cast<std::uint16_t>(limits.max_background * 3 / 4);
  answer.out.max_write = kMaxWrite;
  answer.out.time_gran = 1;
  answer.out.max_pages = kMaxRead / 4096;
  answer.passthrough =
      limits.passthrough && (request.flags & kInitExtended) != 0 && (request.flags & kInitPassthrough) != 0;
  answer.ring = limits.ring_payload != 0 && (request.flags & kInitExtended) != 0 && (request.flags & kInitRing) != 0;
  if (answer.ring) {
    answer.out.flags |= static_cast<std::uint32_t>(kInitExtended);
    answer.out.flags2 |= static_cast<std::uint32_t>(kInitRing >> 32);
    answer.out.max_pages = static_cast<std::uint16_t>(limits.ring_payload / 4096);
  }
  if (answer.passthrough) {
    answer.out.flags |= static_cast<std::uint32_t>(kInitExtended);
    answer.out.flags2 |= static_cast<std::uint32_t>(kInitPassthrough >> 32);
    answer.out.unused[0] = 1;  // max_stack_depth: backing files are of file systems that are stacked on none
  }
  return answer;
}

std::size_t DirectoryReply::entrySize(std::string_view name) const {
  const std::size_t head = plus_ ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
  return roundUp(head + name.size(), sizeof(std::uint64_t));
}

void DirectoryReply::add(std::string_view name, std::uint64_t ino, bool directory, std::uint64_t offset,
                         const fuse_entry_out& entry) {
  const std::size_t start = bytes_.size();
  bytes_.resize(start + entrySize(name));
  std::byte* to = bytes_.data() + start;
  if (plus_) {
    std::memcpy(to, &entry, sizeof entry);
    to += sizeof entry;
  }
  fuse_dirent head{};
  head.ino = ino;
  head.off = offset;
  head.namelen = static_cast<std::uint32_t>(name.size());
  head.type = (directory ? S_IFDIR : S_IFREG) >> 12;
  std::memcpy(to, &head, FUSE_NAME_OFFSET);
  std::memcpy(to + FUSE_NAME_OFFSET, name.data(), name.size());
}

void setValid(std::uint64_t& seconds, std::uint32_t& nanoseconds, Duration ttl) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(ttl.count(), 0));
  seconds = ns / 1'000'000'000;
  nanoseconds = static_cast<std::uint32_t>(ns % 1'000'000'000);
}

}  // namespace forebay::fuse
