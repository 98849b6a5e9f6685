// Real mounts of this kernel over a client in memory.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "base/random.h"
#include "frontend/fuse/fake_client.h"
#include "frontend/fuse/fuse_mount.h"
#include "frontend/fuse/mount_point.h"

namespace forebay::fuse {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string randomBytes(std::size_t size, std::uint64_t seed = 1) {
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
Content readAll(int fd, std::size_t piece = 1 << 20) {
  Content content;
  std::vector<char> buffer(piece);
  for (;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(content.bytes.size()));
    if (n < 0) content.error = errno;
    if (n <= 0) return content;
    content.bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
}
Content readAll(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {.error = errno};
  return readAll(fd.get());
}

struct Output {
  int status = 0;
  std::string text;
};
Output shell(const std::string& command) {
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

TEST_F(MountTest, filesAreReadByOrdinaryPrograms) {
  const std::string bytes = randomBytes(3'000'001);
  client_.put("shard.bin", bytes);
  client_.put("deep/er/hello.txt", "hello\n");
  client_.put("empty", "");
  mountIt();
  EXPECT_EQ(shell("cat " + at("deep/er/hello.txt")).text, "hello\n");
  EXPECT_EQ(readAll(at("shard.bin")).bytes, bytes);
  EXPECT_EQ(readAll(at("empty")).bytes, "");
  const Output list = shell("ls -lR " + directory_);
  EXPECT_EQ(list.status, 0) << list.text;
  EXPECT_THAT(list.text, HasSubstr("hello.txt"));
  EXPECT_EQ(readAll(at("absent")).error, ENOENT);
  EXPECT_EQ(readAll(at("shard.bin/below")).error, ENOTDIR);
}

}  // namespace
}  // namespace forebay::fuse
