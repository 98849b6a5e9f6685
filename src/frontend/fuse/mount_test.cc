// Real mounts of this kernel over a client in memory.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "base/random.h"
#include "frontend/fuse/fake_client.h"
#include "frontend/fuse/fuse_mount.h"
#include "frontend/fuse/mount_point.h"
#include "frontend/fuse/node_table.h"

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

TEST_F(MountTest, anOrdinaryTreeIsEqualToItsSource) {
  const fs::path source = directory_ + ".source";
  for (int i = 0; i < 300; ++i) {
    const std::string path = "d" + std::to_string(i % 7) + "/e f" + std::to_string(i % 3) + "/ü%" + std::to_string(i);
    const std::string bytes = randomBytes(static_cast<std::size_t>(i * 997), static_cast<std::uint64_t>(i));
    client_.put(path, bytes);
    fs::create_directories((source / path).parent_path());
    std::ofstream(source / path) << bytes;
  }
  mountIt();
  const Output diff = shell("diff -r " + source.string() + " " + directory_);
  EXPECT_EQ(diff.status, 0) << diff.text;
  fs::remove_all(source);
}

TEST_F(MountTest, statSaysWhatTheVersionIs) {
  client_.put("a/file", randomBytes(10'000));
  options_.uid = 1234;
  options_.gid = 4321;
  options_.umask = 0007;
  mountIt();
  struct stat file{}, directory{};
  ASSERT_EQ(::stat(at("a/file").c_str(), &file), 0);
  ASSERT_EQ(::stat(at("a").c_str(), &directory), 0);
  EXPECT_EQ(file.st_mode, S_IFREG | 0440U);
  EXPECT_EQ(directory.st_mode, S_IFDIR | 0550U);
  EXPECT_EQ(file.st_uid, 1234U);
  EXPECT_EQ(file.st_gid, 4321U);
  EXPECT_EQ(file.st_size, 10'000);
  EXPECT_EQ(file.st_blocks, 20);
  EXPECT_EQ(file.st_nlink, 1U);
  EXPECT_EQ(file.st_mtim.tv_sec, 1'700'000'000);
  EXPECT_EQ(file.st_mtim.tv_nsec, 123'456'789);
  EXPECT_GT(directory.st_mtim.tv_sec, 1'700'000'000) << "a directory without a time has the mount's";
  EXPECT_EQ(file.st_ino, inodeNumber("a/file", false, "v1"));
  struct statfs room{};
  ASSERT_EQ(::statfs(directory_.c_str(), &room), 0);
  EXPECT_GT(room.f_blocks, 0U);
  EXPECT_EQ(room.f_bavail, 0U);
  EXPECT_EQ(room.f_namelen, 255);
  EXPECT_EQ(mountedAt(directory_)->source, "test://data");
}

TEST_F(MountTest, fiveThousandNamesAreListedWhateverVanishes) {
  for (int i = 0; i < 5000; ++i) {
    const std::string path = "many/name-" + std::to_string(i);
    client_.put(path, "x");
    if (i % 3 == 0) client_.vanish(path);
  }
  client_.limitPage(700);
  mountIt();
  const Output names = shell("ls -f " + at("many") + " | wc -l");
  EXPECT_EQ(names.text, "5002\n");
  std::set<std::string> seen;
  for (const auto& entry : fs::directory_iterator(at("many"))) EXPECT_TRUE(seen.insert(entry.path().filename()).second);
  EXPECT_EQ(seen.size(), 5000U);
}

TEST_F(MountTest, aDirectoryStreamGoesBackToWhereItWas) {
  for (int i = 0; i < 1000; ++i) client_.put("d/" + std::to_string(1000 + i), "x");
  client_.limitPage(64);
  mountIt();
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(at("d").c_str()), &::closedir);
  std::vector<std::pair<std::string, long>> names;
  for (;;) {
    const long place = ::telldir(stream.get());
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name, place);
  }
  ASSERT_EQ(names.size(), 1002U);
  for (const std::size_t i : {900U, 3U, 512U, 0U, 1001U, 1U, 65U}) {
    ::seekdir(stream.get(), names[i].second);
    EXPECT_EQ(::readdir(stream.get())->d_name, names[i].first) << i;
  }
  client_.put("d/0new", "x");
  ::rewinddir(stream.get());
  std::size_t again = 0;
  while (::readdir(stream.get()) != nullptr) ++again;
  EXPECT_EQ(again, 1003U) << "rewinding shows what is there now";
}

TEST_F(MountTest, namesThatPosixCannotHoldAreHiddenAndCounted) {
  client_.put("d/good", "x");
  for (const char* name : {"", ".", "..", "a/b"}) client_.addRawName("d", name);
  client_.addRawName("d", std::string("nul\0byte", 8));
  client_.addRawName("d", std::string(256, 'n'));
  client_.addRawName("d", std::string(255, 'y'));
  client_.setHiddenPerPage(2);
  mountIt();
  const Output list = shell("ls -A " + at("d"));
  EXPECT_EQ(list.text, "good\n" + std::string(255, 'y') + "\n");
  EXPECT_THAT(metrics_.prometheus(), HasSubstr("forebay_fuse_hidden_names_total 8\n"));
}

TEST_F(MountTest, mappingsAndDirectReadsSeeTheSameBytes) {
  const std::string bytes = randomBytes((4 << 20) + 12'345);
  client_.put("model", bytes);
  mountIt();
  const Descriptor plain = openAt("model");
  for (const int kind : {MAP_SHARED, MAP_PRIVATE}) {
    void* map = ::mmap(nullptr, bytes.size(), PROT_READ, kind, plain.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    EXPECT_EQ(std::memcmp(map, bytes.data(), bytes.size()), 0);
    ::munmap(map, bytes.size());
  }
  const Descriptor direct = openAt("model", O_RDONLY | O_DIRECT);
  ASSERT_TRUE(direct);
  void* aligned = std::aligned_alloc(4096, 8 << 20);
  EXPECT_EQ(::pread(direct.get(), aligned, 8 << 20, 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(std::memcmp(aligned, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(::pread(direct.get(), aligned, 4096, 512 * 3), 4096);
  EXPECT_EQ(std::memcmp(aligned, bytes.data() + 512 * 3, 4096), 0);
  std::free(aligned);
  EXPECT_EQ(client_.counts().largest_read, 1U << 20) << "the kernel asks for 1 MiB at once";
}

TEST_F(MountTest, sequentialReadsReachTheClientAsMebibytes) {
  client_.put("shard", randomBytes(16 << 20));
  mountIt();
  EXPECT_EQ(readAll(at("shard")).bytes.size(), 16U << 20);
  EXPECT_EQ(client_.counts().largest_read, 1U << 20);
  const auto reads = client_.counts().reads;
  EXPECT_LT(reads, 40U);
  EXPECT_EQ(readAll(at("shard")).bytes.size(), 16U << 20);
  EXPECT_EQ(client_.counts().reads, reads) << "the second pass is the kernel's alone, though the file was opened anew";
}

TEST_F(MountTest, everyWriteIsRefusedAsReadOnly) {
  client_.put("d/file", "bytes");
  mountIt();
  const std::string file = at("d/file"), fresh = at("d/fresh");
  const auto refused = [](int result) { return result < 0 ? errno : 0; };
  EXPECT_EQ(refused(::open(file.c_str(), O_WRONLY)), EROFS);
  EXPECT_EQ(refused(::open(file.c_str(), O_RDWR)), EROFS);
  EXPECT_EQ(refused(::open(file.c_str(), O_RDONLY | O_TRUNC)), EROFS);
  EXPECT_EQ(refused(::open(fresh.c_str(), O_WRONLY | O_CREAT, 0600)), EROFS);
  EXPECT_EQ(refused(::mkdir(fresh.c_str(), 0700)), EROFS);
  EXPECT_EQ(refused(::unlink(file.c_str())), EROFS);
  EXPECT_EQ(refused(::rmdir(at("d").c_str())), EROFS);
  EXPECT_EQ(refused(::rename(file.c_str(), fresh.c_str())), EROFS);
  EXPECT_EQ(refused(::symlink("x", fresh.c_str())), EROFS);
  EXPECT_EQ(refused(::link(file.c_str(), fresh.c_str())), EROFS);
  EXPECT_EQ(refused(::mknod(fresh.c_str(), S_IFIFO | 0600, 0)), EROFS);
  EXPECT_EQ(refused(::truncate(file.c_str(), 0)), EROFS);
  EXPECT_EQ(refused(::chmod(file.c_str(), 0600)), EROFS);
  EXPECT_EQ(refused(::chown(file.c_str(), 1, 1)), EROFS);
  EXPECT_EQ(refused(::utime(file.c_str(), nullptr)), EROFS);
  EXPECT_EQ(refused(::setxattr(file.c_str(), "user.x", "y", 1, 0)), EROFS);
  EXPECT_EQ(refused(::removexattr(file.c_str(), "user.x")), EROFS);
  EXPECT_EQ(refused(::access(file.c_str(), W_OK)), EROFS);
  EXPECT_EQ(readAll(file).bytes, "bytes");
}

TEST_F(MountTest, seeksSyncsAndLocksWork) {
  client_.put("file", randomBytes(1000));
  mountIt();
  const Descriptor fd = openAt("file");
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_END), 1000);
  EXPECT_EQ(::lseek(fd.get(), 10, SEEK_DATA), 10);
  EXPECT_EQ(::lseek(fd.get(), 10, SEEK_HOLE), 1000);
  EXPECT_EQ(::fsync(fd.get()), 0);
  struct flock lock{};
  lock.l_type = F_RDLCK;
  EXPECT_EQ(::fcntl(fd.get(), F_SETLK, &lock), 0);
}

TEST_F(MountTest, extendedAttributesSayWhereTheBytesAre) {
  client_.put("d/file", randomBytes(111), "etag-7");
  mountIt();
  const auto attribute = [&](const std::string& path, const char* name) {
    std::array<char, 256> value{};
    const ssize_t n = ::getxattr(at(path).c_str(), name, value.data(), value.size());
    return n < 0 ? "errno " + std::to_string(errno) : std::string(value.data(), static_cast<std::size_t>(n));
  };
  EXPECT_EQ(attribute("d/file", "user.forebay.version"), "etag-7");
  EXPECT_EQ(attribute("d/file", "user.forebay.cached_bytes"), "111");
  EXPECT_EQ(attribute("d/file", "user.forebay.holders"), "node-a,node-b");
  EXPECT_EQ(attribute("d/file", "user.other"), "errno " + std::to_string(ENODATA));
  EXPECT_EQ(attribute("d", "user.forebay.version"), "errno " + std::to_string(ENODATA));
  char small[2];
  EXPECT_EQ(::getxattr(at("d/file").c_str(), "user.forebay.version", small, sizeof small), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(::listxattr(at("d/file").c_str(), nullptr, 0), 68);
  EXPECT_EQ(::listxattr(at("d").c_str(), nullptr, 0), 0);
}

TEST_F(MountTest, anOpenMountSeesTheNewVersionAtOpenAndOldHandlesKeepTheirs) {
  const std::string one = randomBytes(300'000, 1), two = randomBytes(400'000, 2);
  client_.put("file", one, "v1");
  options_.consistency = {.kind = Consistency::Kind::Open};
  mountIt();
  const Descriptor old = openAt("file");
  struct stat before{};
  ::fstat(old.get(), &before);

  client_.put("file", two, "v2");
  client_.rememberStale("file", "v1");  // what a lookup's cached answer still says
  EXPECT_EQ(readAll(at("file")).bytes, two);
  EXPECT_EQ(readAll(old.get()).bytes, one);
  struct stat of_old{}, of_new{};
  ::fstat(old.get(), &of_old);
  ::stat(at("file").c_str(), &of_new);
  EXPECT_EQ(of_old.st_ino, before.st_ino);
  EXPECT_EQ(of_old.st_size, 300'000);
  EXPECT_NE(of_new.st_ino, before.st_ino);
  EXPECT_EQ(of_new.st_size, 400'000);
}

TEST_F(MountTest, anObjectThatChangesAtEachLookDoesNotLoop) {
  client_.put("file", "one", "v1");
  options_.consistency = {.kind = Consistency::Kind::Open};
  mountIt();
  ASSERT_EQ(readAll(at("file")).bytes, "one");
  client_.put("file", "three", "v3");
  client_.failLookups(std::nullopt);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; !done; ++i) client_.put("file", "n" + std::to_string(i), "w" + std::to_string(i));
  });
  for (int i = 0; i < 50; ++i) {
    const Content content = readAll(at("file"));
    EXPECT_TRUE(content.error == 0 || content.error == ESTALE) << content.error;
  }
  done = true;
  writer.join();
}

TEST_F(MountTest, aBoundedMountShowsAChangeOnceTheTimeToLiveIsOver) {
  client_.put("file", "old", "v1");
  client_.setTtl(50ms);
  mountIt();
  EXPECT_EQ(readAll(at("file")).bytes, "old");
  client_.put("file", "newer", "v2");
  const TimePoint give_up = std::chrono::steady_clock::now() + 20s;
  while (readAll(at("file")).bytes != "newer" && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(readAll(at("file")).bytes, "newer");
}

TEST_F(MountTest, aFrozenMountAsksOnce) {
  client_.put("file", "old", "v1");
  options_.consistency = {.kind = Consistency::Kind::Frozen};
  mountIt();
  EXPECT_EQ(readAll(at("file")).bytes, "old");
  EXPECT_EQ(readAll(at("absent")).error, ENOENT);
  const auto asked = client_.counts().lookups;
  client_.put("file", "newer", "v2");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(readAll(at("file")).bytes, "old");
    EXPECT_EQ(readAll(at("absent")).error, ENOENT);
  }
  EXPECT_EQ(client_.counts().lookups, asked);
}

TEST_F(MountTest, aListedVersionThatWasReplacedIsOpenedAsTheNewOne) {
  client_.put("d/file", "old", "v1");
  mountIt();
  EXPECT_EQ(shell("ls -l " + at("d")).status, 0);  // the node comes from the listing, without a plan
  client_.put("d/file", "newer", "v2");
  EXPECT_EQ(readAll(at("d/file")).bytes, "newer");
}

TEST_F(MountTest, bytesThatAreGoneAreAnErrorNotAMix) {
  const std::string bytes = randomBytes(8 << 20);
  client_.put("file", bytes, "v1");
  options_.readahead = 128 * kKiB;
  mountIt();
  const Descriptor fd = openAt("file");
  char byte;
  ASSERT_EQ(::pread(fd.get(), &byte, 1, 0), 1);
  client_.put("file", randomBytes(8 << 20, 9), "v2");
  client_.loseBytes("file", "v1");
  EXPECT_EQ(::pread(fd.get(), &byte, 1, 4 << 20), -1);
  EXPECT_EQ(errno, EIO);
  ASSERT_EQ(::pread(fd.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, bytes[0]) << "what the kernel has of that version stays";
}

TEST_F(MountTest, aShortAnswerIsAnErrorNotZeros) {
  client_.put("file", std::string(100'000, 'x'));
  client_.shortenReads(true);
  mountIt();
  EXPECT_EQ(readAll(at("file")).error, EIO);
}

TEST_F(MountTest, errorsReachProgramsAsErrnos) {
  client_.put("file", "x");
  client_.setTtl(0s);
  mountIt();
  const std::pair<Code, int> cases[] = {{Code::PermissionDenied, EACCES}, {Code::Unauthenticated, EACCES},
                                        {Code::Unavailable, EIO},         {Code::DeadlineExceeded, EIO},
                                        {Code::NotFound, ENOENT},         {Code::Internal, EIO}};
  for (const auto& [code, error] : cases) {
    client_.failLookups(code);
    EXPECT_EQ(readAll(at("file")).error, error) << codeName(code);
  }
  client_.failLookups(std::nullopt);
  EXPECT_EQ(readAll(at("file")).bytes, "x");
}

TEST_F(MountTest, whatIsNeverAnsweredEndsAtTheDeadline) {
  client_.put("file", randomBytes(100'000));
  options_.deadline = 300ms;
  mountIt();
  const Descriptor fd = openAt("file");
  client_.withhold(true);
  char byte;
  EXPECT_EQ(::pread(fd.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(readAll(at("other")).error, EIO);
  EXPECT_NE(shell("ls " + directory_).status, 0);
  client_.withhold(false);  // late answers are ignored
  EXPECT_EQ(readAll(at("file")).bytes.size(), 100'000U);
}

TEST_F(MountTest, moreReadersThanBuffersWaitTheirTurn) {
  const std::string bytes = randomBytes(8 << 20);
  client_.put("file", bytes);
  client_.setDelay(2ms);
  options_.reply_bytes = 2 * kMiB;
  options_.max_outstanding = 3;
  mountIt();
  std::vector<std::thread> readers;
  for (int i = 0; i < 16; ++i)
    readers.emplace_back([&, i] {
      const Descriptor fd = openAt("file", i % 2 == 0 ? O_RDONLY : O_RDONLY | O_DIRECT);
      void* buffer = std::aligned_alloc(4096, 1 << 20);
      for (std::size_t at = 0; at < bytes.size(); at += 1 << 20) {
        ASSERT_EQ(::pread(fd.get(), buffer, 1 << 20, static_cast<off_t>(at)), 1 << 20);
        ASSERT_EQ(std::memcmp(buffer, bytes.data() + at, 1 << 20), 0);
      }
      std::free(buffer);
    });
  for (std::thread& reader : readers) reader.join();
}

// Two ways to wait: for a page, and for a name. (A third, an O_DIRECT read, the kernel makes unkillable: it ends with
// its answer or at the deadline.)
TEST_F(MountTest, aKilledProgramIsReleasedAtOnce) {
  const std::function<bool(const std::string&)> waits[] = {
      [](const std::string& file) { return readAll(file).error != 0; },
      [](const std::string& file) { return ::access((file + ".absent").c_str(), F_OK) != 0; }};
  const int signals[] = {SIGKILL, SIGINT};
  for (std::size_t i = 0; i < std::size(waits) * std::size(signals); ++i)
    client_.put("file" + std::to_string(i), randomBytes(10'000));
  mountIt();
  for (std::size_t i = 0; i < std::size(waits) * std::size(signals); ++i)
    ASSERT_TRUE(openAt("file" + std::to_string(i)));  // its plan is known from here on
  client_.withhold(true);
  std::size_t number = 0;
  for (const int signal : signals)
    for (const auto& wait : waits) {
      const auto waiting = client_.waiting();
      const std::string file = at("file" + std::to_string(number++));
      const pid_t child = ::fork();
      if (child == 0) {
        ::signal(SIGINT, SIG_DFL);
        ::_exit(wait(file) ? 1 : 0);
      }
      while (client_.waiting() == waiting) std::this_thread::sleep_for(1ms);
      const TimePoint killed = std::chrono::steady_clock::now();
      ::kill(child, signal);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFSIGNALED(status)) << number;
      EXPECT_LT(std::chrono::steady_clock::now() - killed, options_.deadline / 2) << "not by the deadline";
    }
  client_.withhold(false);
}

TEST_F(MountTest, aSignalThatKillsNobodyDisturbsNoRead) {
  client_.put("file", std::string(100'000, 'x'));
  mountIt();
  client_.setDelay(100ms);
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{.it_interval = {0, 5000}, .it_value = {0, 5000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    const int file = ::open(at("file").c_str(), O_RDONLY);
    if (file < 0) ::_exit(1);
    const void* map = ::mmap(nullptr, 100'000, PROT_READ, MAP_SHARED, file, 0);
    ::_exit(map != MAP_FAILED && static_cast<const char*>(map)[70'000] == 'x' ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(MountTest, nodesAreForgottenExactly) {
  for (int i = 0; i < 500; ++i) client_.put("d/" + std::to_string(i), "x");
  mountIt();
  EXPECT_EQ(shell("ls -l " + at("d") + " && cat " + at("d") + "/* && find " + directory_).status, 0);
  EXPECT_GT(mount_->nodes(), 100U);
  std::ofstream("/proc/sys/vm/drop_caches") << "2";
  const TimePoint give_up = std::chrono::steady_clock::now() + 20s;
  while (mount_->nodes() > 1 && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(mount_->nodes(), 1U) << "the root stays";
  EXPECT_EQ(mount_->openHandles(), 0U);
}

TEST_F(MountTest, theKernelIsAskedToForgetWhatIsBeyondTheBound) {
  for (int i = 0; i < 500; ++i) client_.put("d/" + std::to_string(i), "x");
  options_.max_nodes = 50;
  mountIt();
  for (int i = 0; i < 500; ++i) EXPECT_EQ(readAll(at("d/" + std::to_string(i))).bytes, "x");
  const TimePoint give_up = std::chrono::steady_clock::now() + 20s;
  while (mount_->nodes() > 50 && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(10ms);
  EXPECT_LE(mount_->nodes(), 50U);
  EXPECT_EQ(readAll(at("d/7")).bytes, "x");
}

TEST_F(MountTest, anOutsideUnmountEndsIt) {
  client_.put("file", "x");
  mountIt();
  EXPECT_FALSE(mount_->waitFor(1ms));
  EXPECT_EQ(shell("umount " + directory_).status, 0);
  mount_->wait();
  EXPECT_FALSE(mountedAt(directory_));
  EXPECT_TRUE(mount_->unmount()) << "does nothing by now";
}

TEST_F(MountTest, aBusyMountIsDetachedAfterItsGrace) {
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

TEST_F(MountTest, unmountingFromManyThreadsAtOnceIsOne) {
  mountIt();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { EXPECT_TRUE(mount_->unmount()); });
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { mount_->wait(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(mountedAt(directory_));
}

TEST_F(MountTest, aMountPointThatWontDoIsExplained) {
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

TEST_F(MountTest, aMountThatItsProcessLeftBehindIsTakenAway) {
  // A device that is closed without an unmount: what kill -9 leaves.
  {
    const auto device = mountThere(options_);
    ASSERT_TRUE(device);
  }
  struct stat about{};
  ASSERT_EQ(::stat(directory_.c_str(), &about), -1);
  ASSERT_EQ(errno, ENOTCONN);
  client_.put("file", "alive");
  mountIt();
  EXPECT_EQ(readAll(at("file")).bytes, "alive");
}

TEST_F(MountTest, anotherProgramsDeadMountIsExplained) {
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
