#include "frontend/fuse/protocol.h"

#include <cerrno>
#include <gtest/gtest.h>

#include "frontend/fuse/request_builder.h"

namespace forebay::fuse {
namespace {

TEST(Protocol, requestsAreUnderstood) {
  const auto lookup_bytes = RequestBuilder(FUSE_LOOKUP, 7, 42).name("a file").build();
  const auto lookup = parseRequest(lookup_bytes);
  ASSERT_TRUE(lookup);
  EXPECT_EQ(lookup->header.unique, 7U);
  EXPECT_EQ(lookup->header.node, 42U);
  EXPECT_EQ(std::get<LookupRequest>(lookup->body).name, "a file");

  const auto read_bytes = RequestBuilder(FUSE_READ, 8).add(fuse_read_in{.fh = 3, .offset = 4096, .size = 512}).build();
  const auto read = parseRequest(read_bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(std::get<ReadRequest>(read->body).handle, 3U);
  EXPECT_EQ(std::get<ReadRequest>(read->body).offset, 4096U);
  EXPECT_EQ(std::get<ReadRequest>(read->body).size, 512U);

  const auto forget_bytes = RequestBuilder(FUSE_BATCH_FORGET, 9)
                                .add(fuse_batch_forget_in{.count = 2, .dummy = 0})
                                .add(fuse_forget_one{.nodeid = 5, .nlookup = 1})
                                .add(fuse_forget_one{.nodeid = 6, .nlookup = 2})
                                .build();
  const auto forget = parseRequest(forget_bytes);
  ASSERT_TRUE(forget);
  ASSERT_EQ(std::get<BatchForgetRequest>(forget->body).count(), 2U);
  EXPECT_EQ(std::get<BatchForgetRequest>(forget->body).at(1).nodeid, 6U);

  const auto xattr_bytes =
      RequestBuilder(FUSE_GETXATTR, 10).add(fuse_getxattr_in{.size = 64, .padding = 0}).name("user.x").build();
  const auto xattr = parseRequest(xattr_bytes);
  ASSERT_TRUE(xattr);
  EXPECT_EQ(std::get<GetXattrRequest>(xattr->body).name, "user.x");
}

TEST(Protocol, whatWouldWriteIsKnownAndWhatIsUnknownIsNoError) {
  for (const std::uint32_t opcode : {FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR,
                                     FUSE_RENAME, FUSE_RENAME2, FUSE_LINK, FUSE_WRITE, FUSE_SETXATTR, FUSE_REMOVEXATTR,
                                     FUSE_CREATE, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE, FUSE_TMPFILE}) {
    const auto bytes = RequestBuilder(opcode, 1).build();
    EXPECT_TRUE(std::holds_alternative<WriteRequest>(parseRequest(bytes)->body)) << opcodeName(opcode);
  }
  for (const std::uint32_t opcode : {FUSE_READLINK, FUSE_LSEEK, FUSE_IOCTL, FUSE_SETLK}) {
    const auto bytes = RequestBuilder(opcode, 1).build();
    EXPECT_TRUE(std::holds_alternative<UnknownRequest>(parseRequest(bytes)->body)) << opcode;
  }
  const auto bytes = RequestBuilder(99'999, 1).build();
  EXPECT_TRUE(std::holds_alternative<UnknownRequest>(parseRequest(bytes)->body));
  EXPECT_EQ(opcodeName(99'999), "OTHER");
}

TEST(Protocol, malformedRequestsAreRefused) {
  const std::vector<std::vector<std::byte>> cases = {
      {},
      std::vector<std::byte>(sizeof(fuse_in_header) - 1),
      RequestBuilder(FUSE_LOOKUP, 0).name("x").build(),                              // no number
      RequestBuilder(FUSE_LOOKUP, 1).build(),                                        // no name
      RequestBuilder(FUSE_LOOKUP, 1).add(std::uint32_t{0x61616161}).build(),         // a name without an end
      RequestBuilder(FUSE_LOOKUP, 1).name("a/b").build(),                            // two components
      RequestBuilder(FUSE_READ, 1).add(std::uint64_t{3}).build(),                    // half a structure
      RequestBuilder(FUSE_READ, 1).add(fuse_read_in{.size = kMaxRead + 1}).build(),  // larger than agreed
      RequestBuilder(FUSE_READ, 1).add(fuse_read_in{.offset = 1ULL << 63}).build(),  // beyond any file
      RequestBuilder(FUSE_READDIR, 1).add(fuse_read_in{.size = UINT32_MAX}).build(),
      RequestBuilder(FUSE_BATCH_FORGET, 1).add(fuse_batch_forget_in{.count = 1, .dummy = 0}).build(),
      RequestBuilder(FUSE_BATCH_FORGET, 1).add(fuse_batch_forget_in{.count = UINT32_MAX, .dummy = 0}).build(),
      RequestBuilder(FUSE_INTERRUPT, 1).build(),
      RequestBuilder(FUSE_GETXATTR, 1).add(fuse_getxattr_in{}).build(),
      RequestBuilder(FUSE_INIT, 1).add(std::uint64_t{7}).build(),
  };
  for (std::size_t i = 0; i < cases.size(); ++i) EXPECT_FALSE(parseRequest(cases[i])) << i;
  auto lies = RequestBuilder(FUSE_GETATTR, 1).build();
  lies.push_back(std::byte{0});  // longer than its header says
  EXPECT_FALSE(parseRequest(lies));
}

TEST(Protocol, onlyComponentsThatCanBeShownFit) {
  EXPECT_TRUE(nameFits("a"));
  EXPECT_TRUE(nameFits("..."));
  EXPECT_TRUE(nameFits(std::string(255, 'x')));
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("a\0b", 3), std::string(256, 'x')})
    EXPECT_FALSE(nameFits(name)) << name;
}

TEST(Protocol, theKernelsVersionIsAgreedOn) {
  const InitLimits limits{.readahead = 4 * kMiB, .max_background = 64};
  const std::uint64_t all = UINT32_MAX;
  const auto today = negotiate({.major = 7, .minor = 45, .max_readahead = 131'072, .flags = all}, limits);
  ASSERT_TRUE(today);
  EXPECT_FALSE(today->retry);
  EXPECT_EQ(today->out.major, 7U);
  EXPECT_EQ(today->out.max_pages, 256U);
  EXPECT_EQ(today->out.max_background, 64U);
  const std::uint32_t never = FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_EXPORT_SUPPORT;
  EXPECT_EQ(today->out.flags & never, 0U);
  EXPECT_NE(today->out.flags & FUSE_DO_READDIRPLUS, 0U);
  // Only what both have.
  EXPECT_EQ(negotiate({.major = 7, .minor = 31, .flags = FUSE_ASYNC_READ}, limits)->out.flags, FUSE_ASYNC_READ);
  EXPECT_TRUE(negotiate({.major = 8, .minor = 0}, limits)->retry);
  EXPECT_FALSE(negotiate({.major = 7, .minor = 30}, limits));
  EXPECT_FALSE(negotiate({.major = 6, .minor = 99}, limits));
}

TEST(Protocol, directoryRepliesAreLaidOutAndBounded) {
  for (const bool plus : {false, true}) {
    DirectoryReply reply(plus ? 400 : 96, plus);
    int added = 0;
    for (; reply.fits("seven77"); ++added) reply.add("seven77", 5, false, 9, {});
    EXPECT_EQ(added, plus ? 2 : 3);  // 128 + 24 + 7, and 24 + 7, each rounded up to 8
    EXPECT_EQ(reply.bytes().size() % 8, 0U);
    fuse_dirent entry;
    std::memcpy(&entry, reply.bytes().data() + (plus ? sizeof(fuse_entry_out) : 0), FUSE_NAME_OFFSET);
    EXPECT_EQ(entry.namelen, 7U);
    EXPECT_EQ(entry.off, 9U);
    EXPECT_EQ(entry.type, 8U);  // DT_REG
  }
}

TEST(Protocol, timesToLiveAreSecondsAndNanoseconds) {
  std::uint64_t seconds = 1;
  std::uint32_t nanoseconds = 1;
  setValid(seconds, nanoseconds, 1500ms);
  EXPECT_EQ(seconds, 1U);
  EXPECT_EQ(nanoseconds, 500'000'000U);
  setValid(seconds, nanoseconds, -5s);
  EXPECT_EQ(seconds + nanoseconds, 0U);
}

TEST(Protocol, errorsHaveTheErrnoThatTellsMost) {
  EXPECT_EQ(errnoOf(Code::NotFound), ENOENT);
  EXPECT_EQ(errnoOf(Code::Unauthenticated), EACCES);
  EXPECT_EQ(errnoOf(Code::ReadOnly), EROFS);
  for (const Code code : {Code::Gone, Code::Corrupt, Code::Unavailable, Code::DeadlineExceeded, Code::Busy,
                          Code::Internal, Code::Cancelled, Code::IoError})
    EXPECT_EQ(errnoOf(code), EIO) << codeName(code);
}

TEST(JoinedRequest, isWhatOneReadWouldHaveGiven) {
  fuse_in_header in{};
  in.opcode = FUSE_GETXATTR;
  in.unique = 9;
  in.len = sizeof in + sizeof(fuse_getxattr_in) + 7;
  RingHeader header;
  std::memcpy(header.message.data(), &in, sizeof in);
  const fuse_getxattr_in get{.size = 100};
  std::memcpy(header.operation.data(), &get, sizeof get);
  header.payload_size = 7;
  std::array<std::byte, 256> into{};
  const auto joined = joinRequest(header, bytesOf("user.xy"), into);
  ASSERT_FALSE(joined && parseRequest(*joined)) << "its name has no end";
  const std::string name = std::string("user.x") + char{0};  // with its end
  const auto whole = joinRequest(header, bytesOf(name), into);
  ASSERT_TRUE(whole);
  const auto request = parseRequest(*whole);
  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->header.unique, 9U);
  EXPECT_EQ(std::get<GetXattrRequest>(request->body).name, "user.x");
  EXPECT_EQ(std::get<GetXattrRequest>(request->body).size, 100U);
}

TEST(JoinedRequest, whoseLengthsDoNotFitIsRefused) {
  struct Row {
    std::uint32_t len, payload;
  };
  const std::string payload(64, 'x');
  std::array<std::byte, 256> into{};
  const auto fits = [&](const Row& row) {
    fuse_in_header in{};
    in.unique = 1;
    in.len = row.len;
    RingHeader header;
    std::memcpy(header.message.data(), &in, sizeof in);
    header.payload_size = row.payload;
    return joinRequest(header, bytesOf(payload), into).has_value();
  };
  EXPECT_TRUE(fits({40, 0}));
  EXPECT_TRUE(fits({40 + 128, 0}));
  EXPECT_TRUE(fits({40 + 128 + 64, 64}));
  EXPECT_FALSE(fits({39, 0}));
  EXPECT_FALSE(fits({40 + 129, 0})) << "more than its header holds";
  EXPECT_FALSE(fits({40, 1})) << "less than its payload";
  EXPECT_FALSE(fits({40 + 65, 65})) << "more than was sent";
  EXPECT_FALSE(fits({257, 64})) << "more than has room";
  EXPECT_FALSE(fits({UINT32_MAX, UINT32_MAX}));
}

TEST(Negotiation, takesARingWhereItIsWantedAndOffered) {
  const InitRequest offered{.major = 7, .minor = 42, .flags = kInitExtended | kInitRing | FUSE_MAX_PAGES};
  const auto answer = negotiate(offered, {.readahead = 1, .max_background = 4, .ring_payload = 256 * kKiB});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->ring);
  EXPECT_EQ(answer->out.flags2, kInitRing >> 32);
  EXPECT_EQ(answer->out.max_pages, 64) << "an answer fits a place";
  EXPECT_FALSE(negotiate(offered, {.readahead = 1, .max_background = 4})->ring);
  const InitRequest old{.major = 7, .minor = 38, .flags = FUSE_MAX_PAGES};
  const auto without = negotiate(old, {.readahead = 1, .max_background = 4, .ring_payload = 256 * kKiB});
  EXPECT_FALSE(without->ring);
  EXPECT_EQ(without->out.flags2, 0U);
  EXPECT_EQ(without->out.max_pages, kMaxRead / 4096);
}

}  // namespace
}  // namespace forebay::fuse
