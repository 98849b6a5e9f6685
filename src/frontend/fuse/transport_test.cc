// The same mounts over both transports: what programs see must not depend on how the kernel's requests come.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "frontend/fuse/mount_fixture.h"

namespace forebay::fuse {
namespace {

using testing::HasSubstr;

class TransportTest : public MountTest, public testing::WithParamInterface<Transport> {
 protected:
  // False: the test is skipped.
  bool mounted() {
    options_.transport = GetParam();
    if (GetParam() == Transport::IoUring) {
      if (!mountOverRing()) return false;
    } else {
      mountIt();
    }
    if (mount_ == nullptr) return false;
    EXPECT_EQ(mount_->transport().name, GetParam() == Transport::IoUring ? "io_uring" : "plain");
    return true;
  }
  void waitForClient(std::size_t calls) const {
    const TimePoint give_up = std::chrono::steady_clock::now() + 20s;
    while (client_.waiting() < calls && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(1ms);
    EXPECT_GE(client_.waiting(), calls);
  }
};
#define MOUNTED() \
  if (!mounted()) GTEST_SKIP() << "the fuse module's parameter enable_uring can't be set here (Linux 6.14, root)"

INSTANTIATE_TEST_SUITE_P(Both, TransportTest, testing::Values(Transport::Plain, Transport::IoUring),
                         [](const auto& each) { return each.param == Transport::Plain ? "Plain" : "IoUring"; });

TEST_P(TransportTest, everyWayOfReadingGivesTheBytes) {
  const std::string bytes = randomBytes((9 << 20) + 77);
  client_.put("file", bytes);
  client_.put("whole", bytes);
  client_.setComplete("whole");
  options_.passthrough = false;  // answered from a mapping
  MOUNTED();
  for (const char* name : {"file", "whole"}) {
    EXPECT_EQ(readAll(at(name)).bytes, bytes) << "in order";
    const Descriptor direct = openAt(name, O_RDONLY | O_DIRECT);
    void* buffer = std::aligned_alloc(4096, 1 << 20);
    Random random(7);
    for (int i = 0; i < 200; ++i) {
      const std::size_t offset = random.next() % (bytes.size() >> 12) << 12;
      const std::size_t length = std::min<std::size_t>((1 + random.next() % 40) << 12, bytes.size() - offset);
      ASSERT_EQ(::pread(direct.get(), buffer, roundUp(length, 4096), static_cast<off_t>(offset)),
                static_cast<ssize_t>(std::min(roundUp(length, 4096), bytes.size() - offset)));
      ASSERT_EQ(std::memcmp(buffer, bytes.data() + offset, length), 0);
    }
    std::free(buffer);
    const Descriptor fd = openAt(name);
    void* map = ::mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    EXPECT_EQ(std::memcmp(map, bytes.data(), bytes.size()), 0) << "mapped";
    ::munmap(map, bytes.size());
  }
}

TEST_P(TransportTest, whatIsWholeIsPassedThrough) {
  const std::string bytes = randomBytes(4 << 20);
  client_.put("file", bytes);
  client_.setComplete("file");
  MOUNTED();
  EXPECT_EQ(readAll(at("file")).bytes, bytes);
  EXPECT_EQ(client_.counts().reads, 0U);
}

TEST_P(TransportTest, manyThreadsReadManySmallFilesAndListThem) {
  constexpr int kFiles = 800, kThreads = 16;
  for (int i = 0; i < kFiles; ++i)
    client_.put("d/" + std::to_string(i), randomBytes(static_cast<std::size_t>(i) * 97, static_cast<std::uint64_t>(i)));
  MOUNTED();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = t; i < kFiles; i += kThreads) {
        const std::string name = "d/" + std::to_string(i);
        const std::string wanted = randomBytes(static_cast<std::size_t>(i) * 97, static_cast<std::uint64_t>(i));
        if (readAll(at(name)).bytes == wanted) ++right;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kFiles);
  std::size_t names = 0;
  for (const auto& entry : std::filesystem::directory_iterator(at("d"))) names += entry.file_size() % 97 == 0 ? 1 : 0;
  EXPECT_EQ(names, std::size_t{kFiles});
  EXPECT_EQ(readAll(at("d/absent")).error, ENOENT);
}

TEST_P(TransportTest, programsThatWaitForAStalledClientEndAtTheDeadline) {
  client_.put("file", randomBytes(1 << 20));
  options_.deadline = 500ms;
  MOUNTED();
  const Descriptor fd = openAt("file", O_RDONLY | O_DIRECT);
  client_.withhold(true);
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i)
    readers.emplace_back([&, i] {
      void* buffer = std::aligned_alloc(4096, 4096);
      EXPECT_EQ(::pread(fd.get(), buffer, 4096, off_t{i} * 4096), -1);
      EXPECT_EQ(errno, EIO);
      std::free(buffer);
    });
  for (std::thread& reader : readers) reader.join();
  client_.withhold(false);  // late answers go nowhere
  EXPECT_EQ(readAll(at("file")).bytes.size(), std::size_t{1 << 20});
}

TEST_P(TransportTest, moreWaitersThanPlacesAllGetTheirBytes) {
  const std::string bytes = randomBytes(2 << 20);
  client_.put("file", bytes);
  client_.setDelay(5ms);
  options_.reply_bytes = kMiB;  // over io_uring a few places of 128 KiB
  MOUNTED();
  std::vector<std::thread> readers;
  std::atomic<int> right{0};
  for (int i = 0; i < 24; ++i)
    readers.emplace_back([&] {
      const Descriptor fd = openAt("file", O_RDONLY | O_DIRECT);
      void* buffer = std::aligned_alloc(4096, 1 << 20);
      for (off_t half : {0, 1 << 20})
        if (::pread(fd.get(), buffer, 1 << 20, half) == 1 << 20 &&
            std::memcmp(buffer, bytes.data() + half, 1 << 20) == 0)
          ++right;
      std::free(buffer);
    });
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(right, 48);
}

TEST_P(TransportTest, aKilledReaderIsReleasedAtOnce) {
  client_.put("file", randomBytes(10'000));
  MOUNTED();
  ASSERT_TRUE(openAt("file"));
  client_.withhold(true);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(readAll(at("file")).error != 0 ? 1 : 0);
  waitForClient(1);
  const TimePoint killed = std::chrono::steady_clock::now();
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_LT(std::chrono::steady_clock::now() - killed, options_.deadline / 2) << "not by the deadline";
  client_.withhold(false);
  EXPECT_EQ(readAll(at("file")).bytes.size(), 10'000U);
}

TEST_P(TransportTest, aNewVersionIsOpenedWhereTheOldOneIsRefused) {
  client_.put("file", "old", "v1");
  options_.consistency = {.kind = Consistency::Kind::Open};
  MOUNTED();
  const Descriptor old = openAt("file");
  client_.put("file", "newer", "v2");
  client_.rememberStale("file", "v1");
  EXPECT_EQ(readAll(at("file")).bytes, "newer") << "the open was told ESTALE, and looked again";
  EXPECT_EQ(readAll(old.get()).bytes, "old");
}

TEST_P(TransportTest, aMountEndsUnderItsReaders) {
  const std::string bytes = randomBytes(8 << 20);
  client_.put("file", bytes);
  client_.setDelay(1ms);
  MOUNTED();
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0}, reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i)
    readers.emplace_back([&] {
      const Descriptor fd = openAt("file", O_RDONLY | O_DIRECT);
      void* buffer = std::aligned_alloc(4096, 1 << 20);
      for (off_t offset = 0; !done; offset = (offset + (1 << 20)) % (8 << 20)) {
        const ssize_t n = ::pread(fd.get(), buffer, 1 << 20, offset);
        if (n < 0) break;
        if (n != 1 << 20 || std::memcmp(buffer, bytes.data() + offset, 1 << 20) != 0) ++wrong;
        ++reads;
      }
      std::free(buffer);
    });
  while (reads < 50) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(mount_->unmount());
  EXPECT_FALSE(mountedAt(directory_));
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(TransportTest, aMountEndsWhileItsClientIsSilent) {
  client_.put("file", randomBytes(100'000));
  MOUNTED();
  const Descriptor fd = openAt("file");
  client_.withhold(true);
  std::thread reader([&] {
    char byte;
    EXPECT_EQ(::pread(fd.get(), &byte, 1, 0), -1);
  });
  waitForClient(1);
  EXPECT_TRUE(mount_->unmount());
  reader.join();
  mount_.reset();
  client_.withhold(false);  // its callbacks come after the mount
}

TEST_F(MountTest, aRingThatCannotBeHadIsAnErrorWhereItWasAskedForAndPlainElsewhere) {
  client_.put("file", "x");
  options_.reply_bytes = kMiB;
  const std::string parameter = readAll("/sys/module/fuse/parameters/enable_uring").bytes;
  if (parameter.starts_with('Y')) GTEST_SKIP() << "this machine's mounts have io_uring";
  options_.transport = Transport::IoUring;
  const auto refused = FuseMount::mount(client_, options_, metrics_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("no FUSE over io_uring: "));
  EXPECT_FALSE(mountedAt(directory_));
  options_.transport = Transport::Auto;
  mountIt();
  EXPECT_EQ(mount_->transport().name, "plain");
  EXPECT_NE(mount_->transport().why, "");
  EXPECT_EQ(readAll(at("file")).bytes, "x");
}

}  // namespace
}  // namespace forebay::fuse
