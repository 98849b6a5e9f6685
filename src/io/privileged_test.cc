#include "io/privileged.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace forebay::io {
namespace {

class MemoryDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = makePrivileged()->memoryDirectory(8U << 20);
    if (!made) GTEST_SKIP() << made.error().text();
    memory_ = std::move(*made);
  }
  MemoryDirectory memory_;
};

TEST_F(MemoryDirectoryTest, holdsFilesUpToItsSize) {
  const Descriptor file(::openat(memory_.directory.get(), "a", O_RDWR | O_CREAT | O_EXCL, 0600));
  ASSERT_TRUE(file.valid());
  EXPECT_EQ(::fallocate(file.get(), 0, 0, 4 << 20), 0);
  EXPECT_NE(::fallocate(file.get(), 0, 4 << 20, 8 << 20), 0) << "the kernel holds the cap";
  EXPECT_EQ(errno, ENOSPC);
}

TEST_F(MemoryDirectoryTest, isReachedByNoPath) {
  struct statfs info{};
  ASSERT_EQ(::fstatfs(memory_.directory.get(), &info), 0);
  struct stat status{};
  ASSERT_EQ(::fstat(memory_.directory.get(), &status), 0);
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string device = fmt::format(" {}:{} ", status.st_dev >> 8 & 0xfff, status.st_dev & 0xff);
  for (std::string line; std::getline(mounts, line);) EXPECT_EQ(line.find(device), std::string::npos) << line;
}

TEST_F(MemoryDirectoryTest, givesOutDescriptorsThatCantBeReopenedForWriting) {
  const Descriptor writable(::openat(memory_.directory.get(), "a", O_RDWR | O_CREAT | O_EXCL, 0600));
  ASSERT_EQ(::write(writable.get(), "x", 1), 1);
  EXPECT_LT(::openat(memory_.read_only.get(), "a", O_RDWR), 0);
  EXPECT_EQ(errno, EROFS);
  const Descriptor readable(::openat(memory_.read_only.get(), "a", O_RDONLY));
  char got = 0;
  ASSERT_EQ(::read(readable.get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
  EXPECT_LT(::open(fmt::format("/proc/self/fd/{}", readable.get()).c_str(), O_RDWR), 0) << "not even by root";
  EXPECT_EQ(errno, EROFS);
}

TEST(Privileged, refusesADirectoryWithoutABound) {
  EXPECT_EQ(makePrivileged()->memoryDirectory(0).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace forebay::io
