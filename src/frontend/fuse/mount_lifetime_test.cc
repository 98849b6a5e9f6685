// How mounts begin and end: mount points, unmounting, dead mounts, users who aren't root.
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "frontend/fuse/mount_fixture.h"

namespace forebay::fuse {
namespace {

using testing::HasSubstr;
class MountLifetimeTest : public MountTest {};

TEST_F(MountLifetimeTest, anOutsideUnmountEndsIt) {
  client_.put("file", "x");
  mountIt();
  EXPECT_FALSE(mount_->waitFor(1ms));
  EXPECT_EQ(shell("umount " + directory_).status, 0);
  mount_->wait();
  EXPECT_FALSE(mountedAt(directory_));
  EXPECT_TRUE(mount_->unmount()) << "does nothing by now";
}

TEST_F(MountLifetimeTest, aBusyMountIsDetachedAfterItsGrace) {
  client_.put("file", randomBytes(100'000));
  mountIt();
  const Descriptor fd = openAt("file");
  client_.withhold(true);
  std::thread reader([&] {
    char byte;
    EXPECT_EQ(::pread(fd.get(), &byte, 1, 0), -1);
  });
  while (client_.waiting() == 0) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(mount_->unmount());
  reader.join();
  EXPECT_FALSE(mountedAt(directory_));
  char byte;
  EXPECT_EQ(::pread(fd.get(), &byte, 1, 0), -1);
  mount_.reset();           // its callbacks come after it
  client_.withhold(false);  // and find nothing to do
}

TEST_F(MountLifetimeTest, unmountingFromManyThreadsAtOnceIsOne) {
  mountIt();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { EXPECT_TRUE(mount_->unmount()); });
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { mount_->wait(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(mountedAt(directory_));
}

TEST_F(MountLifetimeTest, aMountPointThatWontDoIsExplained) {
  const auto complaint = [&](const std::string& where) {
    Options options = options_;
    options.mount_point = where;
    const auto mounted = FuseMount::mount(client_, options, metrics_);
    return mounted ? std::string("mounted") : mounted.error().text();
  };
  EXPECT_THAT(complaint(directory_ + "/none"), HasSubstr("does not exist: make it first: mkdir -p"));
  EXPECT_THAT(complaint("/proc/self/status"), HasSubstr("is not a directory"));
  EXPECT_THAT(complaint("/etc"), HasSubstr("is not empty"));
  EXPECT_THAT(complaint(""), HasSubstr("needs a directory"));
  EXPECT_THAT(complaint("/"), HasSubstr("cannot mount on /"));
  mountIt();
  EXPECT_THAT(complaint(directory_), HasSubstr("already has test://data mounted on it"));
}

TEST_F(MountLifetimeTest, aMountThatItsProcessLeftBehindIsTakenAway) {
  // A device that is closed without an unmount: what kill -9 leaves.
  {
    const auto device = mountThere(options_, *io::makePrivileged());
    ASSERT_TRUE(device);
  }
  struct stat about{};
  ASSERT_EQ(::stat(directory_.c_str(), &about), -1);
  ASSERT_EQ(errno, ENOTCONN);
  client_.put("file", "alive");
  mountIt();
  EXPECT_EQ(readAll(at("file")).bytes, "alive");
}

TEST_F(MountLifetimeTest, anotherProgramsDeadMountIsExplained) {
  const Descriptor root_device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  const std::string data = "fd=" + std::to_string(root_device.get()) + ",rootmode=40000,user_id=0,group_id=0";
  ASSERT_EQ(::mount("other", directory_.c_str(), "fuse.other", 0, data.c_str()), 0);
  const_cast<Descriptor&>(root_device).reset();
  const auto mounted = FuseMount::mount(client_, options_, metrics_);
  ASSERT_FALSE(mounted);
  EXPECT_THAT(mounted.error().text(), HasSubstr("is a dead mount of type fuse.other"));
  EXPECT_THAT(mounted.error().text(), HasSubstr("fusermount3 -u -z"));
  ::umount2(directory_.c_str(), MNT_DETACH);
}

// fusermount3 opens /dev/fuse as the user. Distributions give it mode 0666, bare machines may not: in a mount namespace
// of this process alone, a device node that all may open lies over it.
std::string openDeviceToAll(const std::string& near) {
  const std::string node = near + ".device";
  const auto trouble = [](const char* what) { return fmt::format("skip: {}: {}", what, std::strerror(errno)); };
  if (::unshare(CLONE_NEWNS) != 0) return trouble("a mount namespace of its own");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return trouble("private mounts");
  if (::mknod(node.c_str(), S_IFCHR | 0666, makedev(10, 229)) != 0) return trouble("a device node");
  ::chmod(node.c_str(), 0666);
  const bool laid = ::mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) == 0;
  ::unlink(node.c_str());
  return laid ? "" : trouble("a node over /dev/fuse");
}

// In a child process, because a process can't take back having dropped root.
TEST(FusermountTest, aUserWhoIsNotRootMountsThroughTheHelper) {
  if (::access("/dev/fuse", F_OK) != 0) GTEST_SKIP() << "/dev/fuse is not here: no mount can be made";
  if (shell("command -v fusermount3").status != 0) GTEST_SKIP() << "fusermount3 (package fuse3) is not installed";
  char name[] = "/tmp/forebay-user-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  constexpr uid_t kNobody = 65534;
  const bool root = ::geteuid() == 0;
  if (root) ASSERT_EQ(::chown(name, kNobody, kNobody), 0);
  std::array<int, 2> report{};
  ASSERT_EQ(::pipe(report.data()), 0);

  const pid_t child = ::fork();
  if (child == 0) {
    const auto say = [&](const std::string& text) {
      (void)!::write(report[1], text.data(), text.size());
      ::_exit(text == "good" ? 0 : 1);
    };
    if (const std::string trouble = root ? openDeviceToAll(name) : ""; !trouble.empty()) say(trouble);
    if (root && (::setresgid(kNobody, kNobody, kNobody) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0))
      say("cannot become nobody");
    Metrics metrics;
    FakeClient client;
    const std::string bytes = randomBytes(2'000'000);
    client.put("d/file", bytes);
    auto mounted = FuseMount::mount(client, {.mount_point = name, .name = "az://acme/a,b", .threads = 3}, metrics);
    if (!mounted) say(mounted.error().text());
    if (mountedAt(name)->type != kFileSystemType || mountedAt(name)->source != "az://acme/a,b")
      say("wrong type or source: " + mountedAt(name)->source);
    if (readAll(std::string(name) + "/d/file").bytes != bytes) say("wrong bytes");
    if (const auto twice = FuseMount::mount(client, {.mount_point = name}, metrics); twice) say("mounted twice");
    if (const Status status = (*mounted)->unmount(); !status) say(status.error().text());
    if (mountedAt(name)) say("still mounted");

    mounted = FuseMount::mount(client, {.mount_point = name, .unmount_grace = 100ms}, metrics);
    if (!mounted) say(mounted.error().text());
    const Descriptor busy(::open((std::string(name) + "/d/file").c_str(), O_RDONLY | O_CLOEXEC));
    if (const Status status = (*mounted)->unmount(); !status) say(status.error().text());
    if (mountedAt(name)) say("still mounted, though it was to be detached");

    const auto missing = FuseMount::mount(client, {.mount_point = name, .fusermount = "no-such-helper"}, metrics);
    if (missing || !missing.error().message.contains("install the fuse3 package")) say("no word of the missing helper");
    say("good");
  }
  ::close(report[1]);
  std::array<char, 1024> text{};
  std::string said;
  for (ssize_t n = 0; (n = ::read(report[0], text.data(), text.size())) > 0;)
    said.append(text.data(), static_cast<std::size_t>(n));
  ::close(report[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::umount2(name, MNT_DETACH);
  ::rmdir(name);
  if (said.starts_with("skip: ")) GTEST_SKIP() << said;
  EXPECT_EQ(said, "good");
}

}  // namespace
}  // namespace forebay::fuse
