// For tests: mounts of this kernel over a client in memory, in a directory of their own.
#pragma once
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/file.h>
#include <unistd.h>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "frontend/fuse/fake_client.h"
#include "frontend/fuse/fuse_mount.h"
#include "frontend/fuse/mount_point.h"

namespace forebay::fuse {

inline std::string randomBytes(std::size_t size, std::uint64_t seed = 1) {
  std::string bytes(size, '\0');
  Random random(seed);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return bytes;
}

// The whole file, or the errno.
struct Content {
  std::string bytes;
  int error = 0;
};
inline Content readAll(int fd, std::size_t piece = 1 << 20) {
  Content content;
  std::vector<char> buffer(piece);
  for (;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(content.bytes.size()));
    if (n < 0) content.error = errno;
    if (n <= 0) return content;
    content.bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
}
inline Content readAll(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {.error = errno};
  return readAll(fd.get());
}

struct Output {
  int status = 0;
  std::string text;
};
inline Output shell(const std::string& command) {
  Output result;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  std::array<char, 4096> piece;
  while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe)) result.text.append(piece.data(), n);
  result.status = ::pclose(pipe);
  return result;
}

class MountTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0)
      GTEST_SKIP() << "/dev/fuse can't be opened here (" << std::strerror(errno) << "): no mount can be made";
    if (::geteuid() != 0) GTEST_SKIP() << "mount(2) needs root; FusermountTest covers other users";
    char name[] = "/tmp/forebay-mount-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    options_.mount_point = directory_;
    options_.name = "test://data";
    options_.unmount_grace = 100ms;
  }
  void TearDown() override {
    mount_.reset();
    if (!directory_.empty()) ::rmdir(directory_.c_str());
  }

  // Over io_uring, whose parameter is the machine's: it is as it was when this returns. False: it can't be set here.
  bool mountOverRing() {
    const Descriptor parameter(::open("/sys/module/fuse/parameters/enable_uring", O_RDWR | O_CLOEXEC));
    if (!parameter || ::flock(parameter.get(), LOCK_EX) != 0) return false;
    char before = 'N';
    if (::pread(parameter.get(), &before, 1, 0) != 1 || ::pwrite(parameter.get(), "Y", 1, 0) != 1) return false;
    options_.transport = Transport::IoUring;
    mountIt();
    EXPECT_EQ(::pwrite(parameter.get(), &before, 1, 0), 1);
    return true;
  }
  void mountIt() {
    auto mounted = FuseMount::mount(client_, options_, metrics_);
    ASSERT_TRUE(mounted) << mounted.error().text();
    mount_ = std::move(*mounted);
  }
  std::string at(const std::string& path) const { return directory_ + "/" + path; }
  Descriptor openAt(const std::string& path, int flags = O_RDONLY) const {
    return Descriptor(::open(at(path).c_str(), flags | O_CLOEXEC));
  }

  std::string directory_;
  Options options_;
  Metrics metrics_;
  FakeClient client_;
  std::unique_ptr<FuseMount> mount_;
};

}  // namespace forebay::fuse
