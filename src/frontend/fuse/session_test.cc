// The session without a kernel: requests are made by hand, and a channel keeps the answers.
#include "frontend/fuse/session.h"

#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <gtest/gtest.h>

#include "frontend/fuse/fake_client.h"
#include "frontend/fuse/request_builder.h"

namespace forebay::fuse {
namespace {

struct Answer {
  int error = 0;
  std::vector<std::byte> body;

  template <class T>
  T as() const {
    T out{};
    EXPECT_GE(body.size(), sizeof out);
    if (body.size() >= sizeof out) std::memcpy(&out, body.data(), sizeof out);
    return out;
  }
};

class FakeChannel final : public Channel {
 public:
  int send(unsigned, std::span<const iovec> parts) override {
    fuse_out_header header;
    std::memcpy(&header, parts[0].iov_base, sizeof header);
    const std::lock_guard lock(mutex_);
    ++sent_;
    Answer answer{.error = -header.error};
    for (const iovec& part : parts.subspan(1)) {
      const auto* bytes = static_cast<const std::byte*>(part.iov_base);
      answer.body.insert(answer.body.end(), bytes, bytes + part.iov_len);
    }
    EXPECT_EQ(header.len, sizeof header + answer.body.size());
    EXPECT_TRUE(answers_.emplace(header.unique, std::move(answer)).second) << "answered twice";
    changed_.notify_all();
    return refusal_;
  }
  Answer wait(std::uint64_t unique) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, 30s, [&] { return answers_.contains(unique); });
    EXPECT_TRUE(came) << "no answer to " << unique;
    return came ? answers_[unique] : Answer{.error = -1};
  }
  bool has(std::uint64_t unique) {
    const std::lock_guard lock(mutex_);
    return answers_.contains(unique);
  }
  void refuseWith(int error) {
    const std::lock_guard lock(mutex_);
    refusal_ = error;
  }
  std::size_t sent() {
    const std::lock_guard lock(mutex_);
    return sent_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Answer> answers_;
  int refusal_ = 0;
  std::size_t sent_ = 0;
};

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.mount_point = "/mnt/test";
    make();
  }
  void TearDown() override { session_->stop(); }
  void make() {
    if (session_) session_->stop();
    session_ = Session::create(client_, options_, metrics_, channel_);
    ask(RequestBuilder(FUSE_INIT, ++unique_)
            .add(fuse_init_in{.major = 7, .minor = 40, .flags = UINT32_MAX & ~FUSE_INIT_EXT}));
  }
  // Sends without waiting.
  std::uint64_t send(RequestBuilder request) {
    const auto bytes = request.build();
    session_->handle(0, bytes);
    return unique_;
  }
  Answer ask(const RequestBuilder& request) { return channel_.wait(send(request)); }
  RequestBuilder request(std::uint32_t opcode, std::uint64_t node = FUSE_ROOT_ID) {
    return RequestBuilder(opcode, ++unique_, node);
  }
  fuse_entry_out look(const std::string& name, NodeNumber parent = FUSE_ROOT_ID) {
    return ask(request(FUSE_LOOKUP, parent).name(name)).as<fuse_entry_out>();
  }
  std::uint64_t open(NodeNumber node) {
    return ask(request(FUSE_OPEN, node).add(fuse_open_in{.flags = O_RDONLY, .open_flags = 0})).as<fuse_open_out>().fh;
  }

  Options options_;
  Metrics metrics_;
  FakeClient client_;
  FakeChannel channel_;
  std::shared_ptr<Session> session_;
  std::uint64_t unique_ = 0;
};

TEST_F(SessionTest, everyWriteIsRefused) {
  client_.put("file", "bytes");
  const NodeNumber node = look("file").nodeid;
  for (const std::uint32_t opcode : {FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR,
                                     FUSE_RENAME, FUSE_RENAME2, FUSE_LINK, FUSE_WRITE, FUSE_SETXATTR, FUSE_REMOVEXATTR,
                                     FUSE_CREATE, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE, FUSE_TMPFILE})
    EXPECT_EQ(ask(request(opcode, node)).error, EROFS) << opcodeName(opcode);
  for (const std::uint32_t flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC})
    EXPECT_EQ(ask(request(FUSE_OPEN, node).add(fuse_open_in{.flags = flags, .open_flags = 0})).error, EROFS);
  EXPECT_EQ(ask(request(FUSE_ACCESS, node).add(fuse_access_in{.mask = W_OK, .padding = 0})).error, EROFS);
  EXPECT_EQ(ask(request(FUSE_ACCESS, node).add(fuse_access_in{.mask = R_OK, .padding = 0})).error, 0);
}

TEST_F(SessionTest, whatItDoesNotDoIsENOSYSAndWhatItCannotReadIsEINVAL) {
  for (const int opcode : {+FUSE_READLINK, +FUSE_LSEEK, +FUSE_IOCTL, +FUSE_POLL, +FUSE_BMAP, +FUSE_SETLK, 12'345})
    EXPECT_EQ(ask(request(static_cast<std::uint32_t>(opcode))).error, ENOSYS) << opcode;
  EXPECT_EQ(ask(request(FUSE_LOOKUP)).error, EINVAL);
  EXPECT_EQ(ask(request(FUSE_READ)).error, EINVAL);
  const auto before = channel_.sent();
  send(request(FUSE_FORGET));  // malformed, and not to be answered
  send(request(FUSE_INTERRUPT));
  session_->handle(0, {});
  EXPECT_EQ(channel_.sent(), before);
}

TEST_F(SessionTest, numbersThatMeanNothingAreRefused) {
  client_.put("file", "bytes");
  client_.put("other", "bytes");
  EXPECT_EQ(ask(request(FUSE_GETATTR, 999)).error, ESTALE);
  EXPECT_EQ(ask(request(FUSE_LOOKUP, 999).name("x")).error, ESTALE);
  EXPECT_EQ(ask(request(FUSE_OPEN, 999).add(fuse_open_in{})).error, ESTALE);
  EXPECT_EQ(ask(request(FUSE_OPEN, FUSE_ROOT_ID).add(fuse_open_in{})).error, EISDIR);
  const NodeNumber node = look("file").nodeid, other = look("other").nodeid;
  EXPECT_EQ(ask(request(FUSE_LOOKUP, node).name("x")).error, ENOTDIR);
  EXPECT_EQ(ask(request(FUSE_OPENDIR, node).add(fuse_open_in{})).error, ENOTDIR);
  EXPECT_EQ(ask(request(FUSE_READ, node).add(fuse_read_in{.fh = 77, .size = 10})).error, EBADF);
  const std::uint64_t handle = open(node);
  EXPECT_EQ(ask(request(FUSE_READ, other).add(fuse_read_in{.fh = handle, .size = 10})).error, EBADF);
  EXPECT_EQ(ask(request(FUSE_READDIR, node).add(fuse_read_in{.fh = handle, .size = 10})).error, EBADF);
  EXPECT_EQ(ask(request(FUSE_LOOKUP).name(std::string(256, 'x'))).error, ENAMETOOLONG);
  EXPECT_EQ(ask(request(FUSE_LOOKUP).name("..")).error, ENOENT);
}

TEST_F(SessionTest, aReadIsCutAtTheEndAndNowhereElse) {
  client_.put("file", std::string(1000, 'x'));
  const NodeNumber node = look("file").nodeid;
  const std::uint64_t handle = open(node);
  const auto read = [&](std::uint64_t offset, std::uint32_t size) {
    return ask(request(FUSE_READ, node).add(fuse_read_in{.fh = handle, .offset = offset, .size = size})).body.size();
  };
  EXPECT_EQ(read(0, 1000), 1000U);
  EXPECT_EQ(read(0, 4096), 1000U);
  EXPECT_EQ(read(999, 4096), 1U);
  EXPECT_EQ(read(1000, 4096), 0U);
  EXPECT_EQ(read(INT64_MAX, 4096), 0U);
  EXPECT_EQ(read(10, 0), 0U);
}

TEST_F(SessionTest, beforeInitNothingIsAnsweredAndAnOldKernelIsRefused) {
  session_->stop();
  session_ = Session::create(client_, options_, metrics_, channel_);
  EXPECT_EQ(ask(request(FUSE_STATFS)).error, EIO);
  EXPECT_EQ(session_->state(), Session::State::Waiting);
  ask(request(FUSE_INIT).add(fuse_init_in{.major = 8, .minor = 0}));
  EXPECT_EQ(session_->state(), Session::State::Waiting) << "a newer kernel asks again";
  EXPECT_EQ(ask(request(FUSE_INIT).add(fuse_init_in{.major = 7, .minor = 23})).error, EPROTO);
  EXPECT_EQ(session_->state(), Session::State::Refused);
  EXPECT_TRUE(session_->refusal().contains("7.23"));
}

TEST_F(SessionTest, anAnswerThatTheKernelRefusesCountsNothing) {
  client_.put("d/file", "bytes");
  const NodeNumber directory = look("d").nodeid;
  const auto before = session_->nodes();
  channel_.refuseWith(ENOENT);  // as when the asking program was killed
  look("file", directory);
  const Answer opened = ask(request(FUSE_OPENDIR, directory).add(fuse_open_in{}));
  EXPECT_EQ(session_->openHandles(), 0U);
  channel_.refuseWith(0);
  const std::uint64_t handle = ask(request(FUSE_OPENDIR, directory).add(fuse_open_in{})).as<fuse_open_out>().fh;
  channel_.refuseWith(ENOENT);
  ask(request(FUSE_READDIRPLUS, directory).add(fuse_read_in{.fh = handle, .size = 4096}));
  while (session_->outstanding() > 0) std::this_thread::yield();
  EXPECT_EQ(session_->nodes(), before);
}

TEST_F(SessionTest, dotsOfReaddirplusCountNoLookups) {
  client_.put("d/file", "bytes");
  const NodeNumber directory = look("d").nodeid;
  const std::uint64_t handle = ask(request(FUSE_OPENDIR, directory).add(fuse_open_in{})).as<fuse_open_out>().fh;
  const Answer answer = ask(request(FUSE_READDIRPLUS, directory).add(fuse_read_in{.fh = handle, .size = 4096}));
  std::vector<std::pair<std::string, NodeNumber>> seen;
  for (std::size_t at = 0; at < answer.body.size();) {
    fuse_direntplus entry;
    std::memcpy(&entry, answer.body.data() + at, FUSE_NAME_OFFSET_DIRENTPLUS);
    seen.emplace_back(textOf(Bytes(answer.body).subspan(at + FUSE_NAME_OFFSET_DIRENTPLUS, entry.dirent.namelen)),
                      entry.entry_out.nodeid);
    at += roundUp(FUSE_NAME_OFFSET_DIRENTPLUS + entry.dirent.namelen, 8);
  }
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0], (std::pair<std::string, NodeNumber>{".", 0}));
  EXPECT_EQ(seen[1], (std::pair<std::string, NodeNumber>{"..", 0}));
  EXPECT_EQ(seen[2].first, "file");
  EXPECT_EQ(session_->nodes(), 3U);
  send(request(FUSE_BATCH_FORGET)
           .add(fuse_batch_forget_in{.count = 1, .dummy = 0})
           .add(fuse_forget_one{.nodeid = seen[2].second, .nlookup = 1}));
  EXPECT_EQ(session_->nodes(), 2U);
}

TEST_F(SessionTest, consistencyDecidesHowLongNamesAreBelieved) {
  client_.put("file", "bytes");
  const auto valid = [&](Consistency consistency, Duration ttl) {
    options_.consistency = consistency;
    client_.setTtl(ttl);
    make();
    return look("file").entry_valid;
  };
  using enum Consistency::Kind;
  EXPECT_EQ(valid({.kind = Bounded, .bound = 30s}, 10s), 10U);
  EXPECT_EQ(valid({.kind = Bounded, .bound = 30s}, 100s), 30U) << "never longer than the promise";
  EXPECT_EQ(valid({.kind = Open}, 100s), 0U);
  EXPECT_EQ(valid({.kind = Frozen}, 0s), 86'400U);
}

TEST_F(SessionTest, aNameIsAskedForOnceForAsLongAsItsAnswerMayBeBelieved) {
  client_.put("file", "bytes");
  client_.setTtl(20s);
  const fuse_entry_out first = look("file"), second = look("file");
  EXPECT_EQ(second.nodeid, first.nodeid);
  EXPECT_EQ(second.attr.size, 5U);
  EXPECT_LE(second.entry_valid, first.entry_valid) << "what is left of it";
  EXPECT_EQ(client_.counts().lookups, 1U);
  session_->forgetBelow("fil");
  look("file");
  EXPECT_EQ(client_.counts().lookups, 1U);
  EXPECT_EQ(session_->forgetBelow("").size(), 1U);
  look("file");
  EXPECT_EQ(client_.counts().lookups, 2U);
  EXPECT_EQ(ask(request(FUSE_LOOKUP).name("none")).error, ENOENT);
  EXPECT_EQ(ask(request(FUSE_LOOKUP).name("none")).error, ENOENT);
  EXPECT_EQ(client_.counts().lookups, 4U) << "absence isn't remembered";
  options_.consistency = {.kind = Consistency::Kind::Open};
  make();
  look("file");
  look("file");
  EXPECT_EQ(client_.counts().lookups, 6U);
}

TEST_F(SessionTest, aVersionThatIsGoneIsNotRemembered) {
  client_.put("file", "bytes", "v1");
  client_.setTtl(20s);
  const NodeNumber node = look("file").nodeid;
  const auto handle = open(node);
  client_.put("file", "other", "v2");
  client_.loseBytes("file", "v1");
  EXPECT_EQ(look("file").nodeid, node) << "as long as it was promised";
  EXPECT_NE(ask(request(FUSE_READ, node).add(fuse_read_in{.fh = handle, .size = 5})).error, 0);
  EXPECT_NE(look("file").nodeid, node);
}

TEST_F(SessionTest, stoppingAnswersAllAndCallsNobodyAfterwards) {
  client_.put("file", std::string(5000, 'x'));
  const NodeNumber node = look("file").nodeid;
  const std::uint64_t handle = open(node);
  client_.withhold(true);
  const auto lookup = send(request(FUSE_LOOKUP).name("other"));
  const auto read = send(request(FUSE_READ, node).add(fuse_read_in{.fh = handle, .size = 100}));
  session_->stop();
  EXPECT_EQ(channel_.wait(lookup).error, EIO);
  EXPECT_EQ(channel_.wait(read).error, EIO);
  const auto asked = client_.counts().lookups;
  EXPECT_EQ(ask(request(FUSE_LOOKUP).name("third")).error, EIO);
  EXPECT_EQ(client_.counts().lookups, asked);
  const auto sent = channel_.sent();
  const std::weak_ptr<Session> watched = session_;
  session_.reset();
  EXPECT_FALSE(watched.expired()) << "callbacks hold it";
  client_.withhold(false);
  while (!watched.expired()) std::this_thread::yield();
  EXPECT_EQ(channel_.sent(), sent);
  make();
}

}  // namespace
}  // namespace forebay::fuse
