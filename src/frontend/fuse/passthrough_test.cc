// Objects whose bytes the kernel reads by itself: real mounts, where this kernel can and this user may.
#include <csignal>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "frontend/fuse/mount_fixture.h"
#include "frontend/fuse/session.h"

namespace forebay::fuse {
namespace {

constexpr std::size_t kSize = 5'000'001;

class PassthroughTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    client_.put("shard", bytes_);
    client_.setComplete("shard");
    options_.consistency.kind = Consistency::Kind::Open;
    mountIt();
    const Descriptor probe = openAt("shard");
    ASSERT_TRUE(probe);
    if (passthroughs() == 0) GTEST_SKIP() << "this kernel, or this user's rights, give no passthrough";
  }
  std::uint64_t passthroughs() { return count("forebay_fuse_passthrough_opens_total", {}); }
  std::uint64_t reads() { return count("forebay_fuse_requests_total", {{"op", "read"}}); }
  std::uint64_t count(const std::string& name, const Labels& labels) {
    return metrics_.counter(name, "", labels).value();
  }
  // Closes are told later.
  void waitUntilClosed() const {
    while (mount_->openHandles() != 0) std::this_thread::yield();
  }

  const std::string bytes_ = randomBytes(kSize, 1);
};

TEST_F(PassthroughTest, aCompleteObjectIsReadWithoutAskingUs) {
  const std::uint64_t before = passthroughs();
  const Descriptor one = openAt("shard"), other = openAt("shard");
  EXPECT_EQ(readAll(one.get()).bytes, bytes_);
  EXPECT_EQ(readAll(other.get(), 4'097).bytes, bytes_);
  void* const map = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, one.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(std::memcmp(map, bytes_.data(), kSize), 0);
  ::munmap(map, kSize);
  EXPECT_EQ(reads(), 0U);
  EXPECT_EQ(client_.counts().reads, 0U);
  EXPECT_EQ(passthroughs(), before + 2);
}

TEST_F(PassthroughTest, whatIsMappedStaysAfterItsHandleAndAfterTheCacheLostIt) {
  Descriptor fd = openAt("shard");
  void* const map = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  fd = Descriptor();
  waitUntilClosed();
  client_.loseBytes("shard", "v1");
  EXPECT_EQ(std::memcmp(map, bytes_.data(), kSize), 0);
  ::munmap(map, kSize);
}

TEST_F(PassthroughTest, anObjectThatIsNotCompleteIsReadThroughUsUntilItIs) {
  waitUntilClosed();
  client_.put("partial", bytes_);
  const std::uint64_t before = passthroughs();
  {
    const Descriptor plain = openAt("partial");
    EXPECT_EQ(readAll(plain.get()).bytes, bytes_);
    const Descriptor beside = openAt("partial");  // of the same kind as the one that is open
    EXPECT_EQ(readAll(beside.get()).bytes, bytes_);
    EXPECT_EQ(passthroughs(), before);
    EXPECT_GT(reads(), 0U);
  }
  waitUntilClosed();
  client_.setComplete("partial");
  const std::uint64_t so_far = reads();
  {
    const Descriptor complete = openAt("partial");
    EXPECT_EQ(passthroughs(), before + 1);
    client_.setComplete("partial", false);
    const Descriptor beside = openAt("partial");
    EXPECT_EQ(passthroughs(), before + 2) << "joins the one that is open";
    EXPECT_EQ(readAll(complete.get()).bytes, bytes_);
    EXPECT_EQ(readAll(beside.get()).bytes, bytes_);
    EXPECT_EQ(reads(), so_far);
  }
  waitUntilClosed();
  EXPECT_EQ(readAll(at("partial")).bytes, bytes_);
  EXPECT_EQ(passthroughs(), before + 2);
}

TEST_F(PassthroughTest, anObjectThatBecomesCompleteUnderPlainHandlesIsAnotherNodeFromThenOn) {
  client_.put("partial", bytes_);
  const std::uint64_t before = passthroughs();
  const auto stales = [&] { return count("forebay_fuse_errors_total", {{"errno", "ESTALE"}}); };
  const Descriptor plain = openAt("partial");
  EXPECT_EQ(readAll(plain.get()).bytes, bytes_);
  client_.setComplete("partial");
  const std::uint64_t so_far = reads();
  const Descriptor complete = openAt("partial"), other = openAt("partial");
  ASSERT_TRUE(complete);
  EXPECT_EQ(passthroughs(), before + 2);
  EXPECT_EQ(stales(), 1U) << "for the first of them";
  EXPECT_EQ(readAll(complete.get(), 65'537).bytes, bytes_);
  EXPECT_EQ(readAll(other.get()).bytes, bytes_);
  EXPECT_EQ(reads(), so_far);
  struct stat one{}, two{};
  ASSERT_EQ(::fstat(plain.get(), &one), 0);
  ASSERT_EQ(::fstat(complete.get(), &two), 0);
  EXPECT_EQ(one.st_ino, two.st_ino) << "one file for programs";
  EXPECT_EQ(one.st_size, two.st_size);
  // By no name, so that looking it up again can't lead elsewhere: it joins the plain handles.
  const Descriptor again(::open(("/proc/self/fd/" + std::to_string(plain.get())).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(again) << errno;
  EXPECT_EQ(stales(), 1U);
  EXPECT_EQ(passthroughs(), before + 2);
  client_.loseBytes("partial", "v1");
  EXPECT_EQ(readAll(complete.get()).bytes, bytes_);
}

TEST_F(PassthroughTest, opensWaitForTheirObjectsButNotWhereTheLastOnesReadLittle) {
  for (int i = 0; i < 12; ++i) client_.put("d/o" + std::to_string(i), bytes_);
  client_.put("e/o", bytes_);
  const auto read_some = [&](int i, std::size_t length) {
    const Descriptor fd = openAt("d/o" + std::to_string(i));
    std::vector<char> some(length);
    EXPECT_EQ(::pread(fd.get(), some.data(), length, 0), static_cast<ssize_t>(length));
    return client_.counts().last_wait;
  };
  waitUntilClosed();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(read_some(i, 4096), 100ms) << i;
    waitUntilClosed();
  }
  EXPECT_EQ(read_some(4, 4096), 0ms);
  client_.setComplete("d/o5");
  EXPECT_EQ(read_some(5, 4096), 0ms);
  EXPECT_EQ(passthroughs(), 2U) << "what is complete needs no waiting";
  {
    const Descriptor elsewhere = openAt("e/o");
  }
  EXPECT_EQ(client_.counts().last_wait, 100ms);
  waitUntilClosed();
  for (int i = 6; i < 11; ++i) {
    read_some(i, kSize);
    waitUntilClosed();
  }
  EXPECT_EQ(read_some(11, 4096), 100ms) << "five of the last eight read all";
}

TEST_F(PassthroughTest, aNewVersionIsAnotherFileAndTheOldOneStaysOpen) {
  const Descriptor old = openAt("shard");
  const std::string newer = randomBytes(kSize + 1'000'000, 2);
  client_.put("shard", newer, "v2");
  EXPECT_EQ(readAll(at("shard")).bytes, newer);
  client_.loseBytes("shard", "v1");
  EXPECT_EQ(readAll(old.get()).bytes, bytes_);
  EXPECT_EQ(reads(), 0U);
}

TEST_F(PassthroughTest, nobodyWritesThroughIt) {
  EXPECT_FALSE(openAt("shard", O_RDWR));
  EXPECT_EQ(errno, EROFS);
  const Descriptor fd = openAt("shard");
  EXPECT_LT(::write(fd.get(), "x", 1), 0);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0), MAP_FAILED);
  const std::string again = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_FALSE(Descriptor(::open(again.c_str(), O_RDWR | O_CLOEXEC)));
  EXPECT_EQ(readAll(fd.get()).bytes, bytes_);
}

TEST_F(PassthroughTest, aReaderThatIsKilledLeavesNothingBehind) {
  waitUntilClosed();
  const pid_t reader = ::fork();
  if (reader == 0) {
    const int fd = ::open(at("shard").c_str(), O_RDONLY | O_CLOEXEC);
    volatile char* const map = static_cast<char*>(::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd, 0));
    char sum = 0;
    for (std::size_t i = 0;; i = (i + 4096) % kSize) sum = static_cast<char>(sum + map[i]);
  }
  while (mount_->openHandles() == 0) std::this_thread::yield();
  ::kill(reader, SIGKILL);
  ::waitpid(reader, nullptr, 0);
  waitUntilClosed();
  EXPECT_EQ(readAll(at("shard")).bytes, bytes_);
}

TEST_F(PassthroughTest, aMountThatEndsUnderItsReadersLeavesMappingsAsTheyAre) {
  const Descriptor fd = openAt("shard");
  void* const map = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  mount_.reset();
  EXPECT_EQ(std::memcmp(map, bytes_.data(), kSize), 0);
  ::munmap(map, kSize);
}

TEST_F(PassthroughTest, manyReadersAndOpensAtOnceGetTheirBytes) {
  for (int i = 0; i < 4; ++i) {
    client_.put("s" + std::to_string(i), bytes_);
    if (i % 2 == 0) client_.setComplete("s" + std::to_string(i));
  }
  std::vector<std::thread> readers;
  std::atomic<int> wrong{0};
  for (int r = 0; r < 8; ++r)
    readers.emplace_back([&, r] {
      for (int i = 0; i < 20; ++i) {
        const std::string name = "s" + std::to_string((r + i) % 4);
        if (i % 5 == 4) client_.setComplete(name, (r + i) % 3 != 0);
        const Content content = readAll(at(name));
        if (content.error != 0 || content.bytes != bytes_) ++wrong;
      }
    });
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  waitUntilClosed();
}

// A kernel, or rights, that refuse.
struct RefusingChannel : Channel {
  int send(unsigned, std::span<const iovec>) override { return 0; }
  int openBacking(int) override {
    ++asked;
    return -error;
  }
  void closeBacking(std::uint32_t) override { ++closed; }
  bool backingAvailable() const override { return available; }
  std::string backingNote() const override { return note; }
  int error = EPERM, asked = 0, closed = 0;
  bool available = true;
  std::string note;
};

// A file of `size` bytes in memory.
Descriptor fileOf(std::size_t size) {
  Descriptor file(::memfd_create("object", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
  return file;
}

TEST(Passthrough, isGivenUpWhereTheKernelRefusesForGoodAndObjectsAreMappedInstead) {
  RefusingChannel channel;
  const Descriptor file = fileOf(kSize);
  Passthrough passthrough(channel, true, 1);
  EXPECT_FALSE(passthrough.on()) << "not before INIT";
  passthrough.offered(true);
  EXPECT_TRUE(passthrough.on());
  channel.error = ENFILE;
  auto way = passthrough.decide(7, file.get(), kSize);
  EXPECT_EQ(way.backing, 0U);
  EXPECT_NE(way.map, nullptr);
  EXPECT_TRUE(passthrough.on()) << "that may pass";
  channel.error = EPERM;
  way = passthrough.decide(8, file.get(), kSize);
  EXPECT_EQ(way.backing, 0U);
  EXPECT_NE(way.map, nullptr);
  EXPECT_FALSE(passthrough.on());
  EXPECT_EQ(passthrough.whyOff(), "Operation not permitted: it needs CAP_SYS_ADMIN");
  EXPECT_NE(passthrough.decide(9, file.get(), kSize).map, nullptr);
  EXPECT_EQ(channel.asked, 2);
  for (const NodeNumber node : {7U, 8U, 9U}) passthrough.closed(node);
  EXPECT_FALSE(passthrough.join(7));
  EXPECT_EQ(channel.closed, 0);
  EXPECT_EQ(way.map->bytes(kSize - 1, 1)[0], std::byte{0}) << "who still reads keeps it";
}

TEST(Passthrough, isOffWhileNobodyCanBeAskedForItAndOnAgainAfterwards) {
  RefusingChannel channel;
  channel.error = -3;
  channel.note = "by the helper at /x";
  const Descriptor file = fileOf(kSize);
  Passthrough passthrough(channel, true, 1);
  passthrough.offered(true);
  EXPECT_TRUE(passthrough.on());
  EXPECT_EQ(passthrough.by(), "by the helper at /x");
  EXPECT_EQ(passthrough.decide(7, file.get(), kSize).backing, 3U);
  channel.available = false;
  channel.note = "the helper at /x can't be asked";
  EXPECT_FALSE(passthrough.on());
  EXPECT_EQ(passthrough.whyOff(), "the helper at /x can't be asked");
  EXPECT_EQ(passthrough.join(7)->backing, 3U) << "what is open goes on";
  EXPECT_NE(passthrough.decide(8, file.get(), kSize).map, nullptr);
  EXPECT_EQ(channel.asked, 1);
  channel.available = true;
  channel.error = EAGAIN;
  EXPECT_NE(passthrough.decide(9, file.get(), kSize).map, nullptr);
  EXPECT_TRUE(passthrough.on()) << "nobody refused";
  channel.error = -4;
  EXPECT_EQ(passthrough.decide(10, file.get(), kSize).backing, 4U);
  EXPECT_NE(passthrough.decide(8, file.get(), kSize).map, nullptr) << "its handles are of one kind";
}

TEST(Passthrough, aNodesHandlesAreOfOneKindAndItsNumberIsGivenBackWithTheLast) {
  RefusingChannel channel;
  channel.error = -3;  // the kernel's number
  const Descriptor file = fileOf(kSize);
  Passthrough passthrough(channel, true, 1);
  passthrough.offered(true);
  EXPECT_EQ(passthrough.decide(7, file.get(), kSize).backing, 3U);
  const auto joined = passthrough.join(7);
  ASSERT_TRUE(joined) << "no file is asked for";
  EXPECT_EQ(joined->backing, 3U);
  EXPECT_EQ(passthrough.decide(7, file.get(), kSize).backing, 3U);
  EXPECT_EQ(channel.asked, 1);
  passthrough.closed(7);
  passthrough.closed(7);
  EXPECT_EQ(channel.closed, 0);
  passthrough.closed(7);
  EXPECT_EQ(channel.closed, 1);
  EXPECT_EQ(passthrough.decide(7, -1, kSize).map, nullptr);
  EXPECT_FALSE(passthrough.join(7));
  EXPECT_FALSE(passthrough.decide(7, -1, kSize).elsewhere) << "there is no file to go to";
  const auto sent = passthrough.decide(7, file.get(), kSize);
  EXPECT_TRUE(sent.elsewhere) << "cached handles are open";
  const auto beside = passthrough.decide(7, file.get(), kSize);
  EXPECT_FALSE(beside.elsewhere) << "once";
  EXPECT_EQ(beside.backing, 0U);
  EXPECT_NE(beside.map, nullptr);
  EXPECT_FALSE(passthrough.decide(7, file.get(), kSize).elsewhere) << "they are mapped now";
  EXPECT_EQ(channel.asked, 1);
  // The one that went elsewhere is no handle of this node.
  for (int i = 0; i < 4; ++i) passthrough.closed(7);
  EXPECT_EQ(passthrough.decide(7, file.get(), kSize).backing, 3U);
}

TEST(Passthrough, sendsNobodyElsewhereWhereTheKernelTakesNoFile) {
  RefusingChannel channel;
  const Descriptor file = fileOf(kSize);
  Passthrough passthrough(channel, false, 1);
  passthrough.offered(true);
  EXPECT_EQ(passthrough.decide(7, -1, kSize).map, nullptr);
  const auto way = passthrough.decide(7, file.get(), kSize);
  EXPECT_FALSE(way.elsewhere);
  EXPECT_NE(way.map, nullptr);
}

// Without passthrough: users who aren't root, older kernels.
class MappedTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    client_.put("shard", bytes_);
    client_.setComplete("shard");
    options_.passthrough = false;
    mountIt();
  }
  const std::string bytes_ = randomBytes(kSize, 3);
};

TEST_F(MappedTest, aCompleteObjectIsReadWithoutAskingTheClient) {
  const Descriptor fd = openAt("shard"), uncached = openAt("shard", O_RDONLY | O_DIRECT);
  EXPECT_EQ(readAll(fd.get()).bytes, bytes_);
  EXPECT_EQ(readAll(uncached.get(), 8'192).bytes, bytes_);
  char beyond = 0;
  EXPECT_EQ(::pread(uncached.get(), &beyond, 1, kSize), 0);
  void* const map = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(std::memcmp(map, bytes_.data(), kSize), 0);
  ::munmap(map, kSize);
  EXPECT_EQ(client_.counts().reads, 0U);
  EXPECT_EQ(metrics_.counter("forebay_fuse_passthrough_opens_total", "").value(), 0U);
}

TEST_F(MappedTest, whatTheCacheLostStaysForWhoHasItOpen) {
  const Descriptor fd = openAt("shard", O_RDONLY | O_DIRECT);
  client_.loseBytes("shard", "v1");
  EXPECT_EQ(readAll(fd.get(), 1 << 20).bytes, bytes_);
}

TEST_F(MappedTest, anObjectThatBecomesCompleteIsMappedByTheNextOpen) {
  client_.put("partial", bytes_);
  const Descriptor plain = openAt("partial", O_RDONLY | O_DIRECT);
  EXPECT_EQ(readAll(plain.get(), 1 << 20).bytes, bytes_);
  const std::uint64_t reads = client_.counts().reads;
  EXPECT_GT(reads, 0U);
  client_.setComplete("partial");
  const Descriptor mapped = openAt("partial", O_RDONLY | O_DIRECT);
  EXPECT_EQ(readAll(mapped.get(), 1 << 20).bytes, bytes_);
  EXPECT_EQ(client_.counts().reads, reads);
}

}  // namespace
}  // namespace forebay::fuse
