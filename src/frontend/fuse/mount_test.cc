// What programs see of a mount: real ones, of this kernel.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <set>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <thread>
#include <unistd.h>
#include <utime.h>

#include "frontend/fuse/mount_fixture.h"
#include "frontend/fuse/node_table.h"

namespace forebay::fuse {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

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
    const std::string bytes = randomBytes(static_cast<std::size_t>(i) * 997, static_cast<std::uint64_t>(i));
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
  EXPECT_EQ(std::memcmp(aligned, bytes.data() + std::size_t{512} * 3, 4096), 0);
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

TEST_F(MountTest, namesThatAreToBeForgottenAreLookedUpAgainLongBeforeTheirTimeIsOver) {
  for (const char* name : {"file", "d/one", "d/two", "dd"}) client_.put(name, "old", "v1");
  client_.setTtl(3600s);
  options_.consistency = {.kind = Consistency::Kind::Bounded, .bound = 3600s};
  mountIt();
  const auto bytes_of = [&](const std::string& name) { return readAll(at(name)).bytes; };
  const auto becomes_newer = [&](const std::string& name) {
    const TimePoint give_up = std::chrono::steady_clock::now() + 20s;
    while (bytes_of(name) != "newer" && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(5ms);
    return bytes_of(name) == "newer";
  };
  for (const char* name : {"file", "d/one", "d/two", "dd"}) EXPECT_EQ(bytes_of(name), "old");
  for (const char* name : {"file", "d/one", "d/two", "dd"}) client_.put(name, "newer", "v2");
  EXPECT_EQ(bytes_of("file"), "old") << "the kernel remembers it: else this shows nothing";
  mount_->forgetNames("d");
  EXPECT_TRUE(becomes_newer("d/one"));
  EXPECT_TRUE(becomes_newer("d/two"));
  EXPECT_EQ(bytes_of("file"), "old");
  EXPECT_EQ(bytes_of("dd"), "old");
  mount_->forgetNames("");
  EXPECT_TRUE(becomes_newer("file"));
  EXPECT_TRUE(becomes_newer("dd"));
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

}  // namespace
}  // namespace forebay::fuse
