#include "io/helper/server.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/helper/channel.h"
#include "io/helper/client.h"
#include "io/helper/helper_fixture.h"
#include "io/helper/mount_table.h"

namespace forebay::io::helper {
namespace {

using ::testing::HasSubstr;

constexpr Duration kPatience = 10s;

// One question on a connection of its own.
Error refusal(const std::string& path, const Request& request, std::span<const int> with = {}) {
  const auto socket = connectTo(path);
  if (!socket) return socket.error();
  const auto answer = ask(socket->get(), request, with, kPatience);
  return answer ? Error{Code::Ok, "not refused"} : answer.error();
}

Request mountRequest() {
  return {.operation = Operation::MountFuse, .number = kMiB, .text = "az://acme/data"};
}

int openPath(const std::string& path, int flags = O_PATH | O_DIRECTORY) {
  return ::open(path.c_str(), flags | O_CLOEXEC);
}

const MountLine* mountedAt(const MountTable& table, const std::string& path) {
  const Descriptor parent(openPath(std::filesystem::path(path).parent_path()));
  return table.on(mountIdOf(parent.get()), path);
}

TEST_F(HelperTest, givesAUserAMemoryDirectoryOfItsOwn) {
  as(kUser, [&] {
    auto made = HelperClient(socket()).memoryDirectory(8 * kMiB);
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_THAT(made->how, HasSubstr("by the helper at " + socket()));
    const Descriptor file(::openat(made->directory.get(), "a", O_RDWR | O_CREAT | O_EXCL, 0600));
    ASSERT_TRUE(file.valid()) << std::strerror(errno);
    EXPECT_EQ(::fallocate(file.get(), 0, 0, 4 * kMiB), 0);
    EXPECT_NE(::fallocate(file.get(), 0, 4 * kMiB, 8 * kMiB), 0) << "the kernel holds the cap";
    struct stat about{};
    ASSERT_EQ(::fstat(made->directory.get(), &about), 0);
    EXPECT_EQ(about.st_uid, kUser);
    EXPECT_EQ(about.st_mode & 0777U, 0700U);
    EXPECT_LT(::openat(made->read_only.get(), "a", O_RDWR), 0);
    EXPECT_EQ(errno, EROFS);
  });
}

TEST_F(HelperTest, refusesUsersThatItWasNotToldOf) {
  as(kStranger, [&] {
    const auto made = HelperClient(socket()).memoryDirectory(kMiB);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::PermissionDenied);
    EXPECT_THAT(made.error().message, HasSubstr(fmt::format("start it with --allow {}", kStranger)));
  });
  const auto made = HelperClient(socket()).memoryDirectory(kMiB);
  EXPECT_TRUE(made) << "root always may: " << made.error().text();
}

TEST_F(HelperTest, boundsTheMemoryOfAUserForAsLongAsItIsUsed) {
  as(kUser, [&] {
    HelperClient client(socket());
    EXPECT_EQ(client.memoryDirectory(17 * kMiB).error().code, Code::PermissionDenied);
    auto first = client.memoryDirectory(8 * kMiB), second = client.memoryDirectory(8 * kMiB);
    ASSERT_TRUE(first && second);
    const auto third = client.memoryDirectory(kMiB);
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Code::Busy);
    EXPECT_THAT(third.error().message, HasSubstr("has 16MiB in 2 directories"));
    Descriptor file(::openat(first->directory.get(), "a", O_RDWR | O_CREAT, 0600));
    first = MemoryDirectory{};
    EXPECT_EQ(client.memoryDirectory(kMiB).error().code, Code::Busy) << "a file of it is open";
    file.reset();
    eventually([&] { return server_->memoryOf(kUser) == 8 * kMiB; }, "its memory is free again");
    EXPECT_TRUE(client.memoryDirectory(8 * kMiB));
  });
  as(kOther, [&] { EXPECT_TRUE(HelperClient(socket()).memoryDirectory(16 * kMiB)) << "each user has its own"; });
  eventually([&] { return server_->memoryOf(kUser) == 0 && server_->memoryOf(kOther) == 0; }, "all is free again");
}

TEST_F(HelperTest, boundsHowManyDirectoriesAUserHas) {
  end();
  options_.max_directories = 2;
  start();
  as(kUser, [&] {
    HelperClient client(socket());
    const auto first = client.memoryDirectory(4096), second = client.memoryDirectory(4096);
    EXPECT_TRUE(first && second);
    EXPECT_EQ(client.memoryDirectory(4096).error().code, Code::Busy);
  });
}

TEST_F(HelperTest, mountsAndUnmountsForTheOwnerOfADirectory) {
  const std::string path = directoryOf(kUser, "a dir");
  as(kUser, [&] {
    HelperClient client(socket());
    const auto device = client.mountFuse(path, {.source = "az://acme/data", .max_read = 1U << 20, .allow_other = true});
    ASSERT_TRUE(device) << device.error().text();
    EXPECT_TRUE(isFuseDevice(device->get()));
  });
  const MountTable table = MountTable::ofProcess();
  const MountLine* line = mountedAt(table, path);
  ASSERT_NE(line, nullptr);
  EXPECT_EQ(line->type, kFuseType);
  EXPECT_EQ(line->source, "az://acme/data");
  EXPECT_EQ(line->fuse_user, kUser);
  as(kOther, [&] {
    const Status done = HelperClient(socket()).unmountFuse(path, false);
    EXPECT_EQ(done.error().code, Code::PermissionDenied) << done.error().text();
  });
  // Its device is closed, so the mount is dead: that, too, can be taken away.
  as(kUser, [&] {
    const Status done = HelperClient(socket()).unmountFuse(path, false);
    EXPECT_TRUE(done) << done.error().text();
    EXPECT_EQ(HelperClient(socket()).unmountFuse(path, false).error().code, Code::NotFound);
  });
  EXPECT_EQ(mountedAt(MountTable::ofProcess(), path), nullptr);
}

TEST_F(HelperTest, mountsOnNothingButAnEmptyPlaceOfTheUsers) {
  const std::string others = directoryOf(kOther, "others"), own = directoryOf(kUser, "own");
  const std::string covered = directoryOf(kUser, "covered");
  Descriptor below(openPath(covered));
  ASSERT_EQ(::mount("over", covered.c_str(), "tmpfs", 0, "size=4096,mode=0777"), 0);
  as(kUser, [&] {
    const auto refused = [&](int fd) {
      const Descriptor directory(fd);
      return refusal(socket(), mountRequest(), std::array{fd});
    };
    EXPECT_THAT(refused(openPath("/tmp")).message, HasSubstr("it belongs to uid 0, not to uid 61234"));
    EXPECT_EQ(refused(openPath(others)).code, Code::PermissionDenied);
    EXPECT_EQ(refused(openPath(own, O_RDONLY | O_DIRECTORY)).code, Code::InvalidArgument);
    EXPECT_EQ(refused(openPath("/dev/null", O_PATH)).message, "mount point: not a directory");
    EXPECT_EQ(refused(openPath(covered)).code, Code::PermissionDenied) << "the mount on it is root's";
    EXPECT_THAT(refused(below.release()).message, HasSubstr("over is mounted on it already"));
  });
  EXPECT_EQ(::umount(covered.c_str()), 0);
  const Descriptor process(openPath("/proc/self"));
  EXPECT_THAT(refusal(socket(), mountRequest(), std::array{process.get()}).message,
              HasSubstr("on a file system of type 0x9fa0"));
}

TEST_F(HelperTest, boundsHowManyMountsAUserHas) {
  end();
  options_.max_mounts = 1;
  start();
  const std::string first = directoryOf(kUser, "first"), second = directoryOf(kUser, "second");
  as(kUser, [&] {
    HelperClient client(socket());
    EXPECT_TRUE(client.mountFuse(first, {.source = "x", .max_read = 4096}));
    EXPECT_EQ(client.mountFuse(second, {.source = "x", .max_read = 4096}).error().code, Code::Busy);
    EXPECT_TRUE(client.unmountFuse(first, false));
    EXPECT_TRUE(client.mountFuse(second, {.source = "x", .max_read = 4096}));
    EXPECT_TRUE(client.unmountFuse(second, true));
  });
}

TEST_F(HelperTest, unmountsNothingThatIsNotForebays) {
  const std::string path = directoryOf(kUser, "tmpfs");
  ASSERT_EQ(::mount("x", path.c_str(), "tmpfs", 0, "size=4096"), 0);
  as(kUser, [&] {
    EXPECT_THAT(HelperClient(socket()).unmountFuse(path, true).error().message,
                HasSubstr("a mount of type tmpfs, not one of Forebay's"));
  });
  EXPECT_EQ(::umount(path.c_str()), 0);
}

TEST_F(HelperTest, givesTheKernelNothingButReadOnlyFilesOfAMemoryDirectory) {
  const std::string mount_directory = directoryOf(kUser, "m");
  as(kUser, [&] {
    auto memory = HelperClient(socket()).memoryDirectory(kMiB);
    ASSERT_TRUE(memory) << memory.error().text();
    const Descriptor writable(::openat(memory->directory.get(), "a", O_RDWR | O_CREAT, 0600));
    const Descriptor same_mount(::openat(memory->directory.get(), "a", O_RDONLY));
    const Descriptor good(::openat(memory->read_only.get(), "a", O_RDONLY));
    const Descriptor path(::openat(memory->read_only.get(), "a", O_PATH));
    const Descriptor directory(::openat(memory->read_only.get(), ".", O_RDONLY));
    const Descriptor disk(::open("/etc/hostname", O_RDONLY)), null(::open("/dev/null", O_RDWR));
    const std::string mount_point = mount_directory;
    Descriptor device;
    {
      auto mounted = HelperClient(socket()).mountFuse(mount_point, {.source = "x", .max_read = 4096});
      ASSERT_TRUE(mounted) << mounted.error().text();
      device = std::move(*mounted);
    }
    const auto refused = [&](const Descriptor& with, const Descriptor& file) {
      return refusal(socket(), {.operation = Operation::OpenBacking}, std::array{with.get(), file.get()});
    };
    EXPECT_THAT(refused(null, good).message, HasSubstr("isn't one of /dev/fuse"));
    EXPECT_THAT(refused(good, good).message, HasSubstr("isn't one of /dev/fuse"));
    EXPECT_THAT(refused(device, writable).message, HasSubstr("for reading alone"));
    EXPECT_THAT(refused(device, path).message, HasSubstr("for reading alone"));
    EXPECT_THAT(refused(device, directory).message, HasSubstr("not a regular file"));
    EXPECT_THAT(refused(device, disk).message, HasSubstr("not on a tmpfs"));
    EXPECT_THAT(refused(device, same_mount).message, HasSubstr("not opened through a read-only mount"));
    // Before INIT the kernel knows no passthrough: what refuses this one is the kernel.
    EXPECT_THAT(refused(device, good).message, HasSubstr("the kernel refused it"));
    EXPECT_TRUE(HelperClient(socket()).unmountFuse(mount_point, true));
  });
}

TEST_F(HelperTest, outlivesWhateverIsSentToIt) {
  Descriptor null(::open("/dev/null", O_RDONLY));
  const std::array three = {null.get(), null.get(), null.get()};
  std::uint32_t random = 1;
  for (int i = 0; i < 300; ++i) {
    const auto socket = connectTo(this->socket());
    ASSERT_TRUE(socket) << socket.error().text();
    std::array<std::byte, 3000> bytes{};
    for (std::byte& byte : bytes) byte = static_cast<std::byte>((random = random * 1664525 + 1013904223) >> 24);
    const Message good = encode(Request{.operation = Operation::OpenBacking});
    if (i % 2 == 0) std::memcpy(bytes.data(), good.bytes.data(), static_cast<std::size_t>(i) % good.size);
    iovec body{bytes.data(), i % 7 == 0 ? bytes.size() : random % kMaxMessage};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof three)> control{};
    msghdr message{};
    message.msg_iov = &body;
    message.msg_iovlen = 1;
    if (const std::size_t count = i % 4; count > 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(count * sizeof(int));
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(count * sizeof(int));
      std::memcpy(CMSG_DATA(rights), three.data(), count * sizeof(int));
    }
    (void)::sendmsg(socket->get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (i % 3 == 0) (void)receive(socket->get(), Duration(0));
  }
  const auto socket = connectTo(this->socket());
  ASSERT_TRUE(socket) << socket.error().text();
  const auto answer = ask(socket->get(), {.operation = Operation::Hello}, {}, kPatience);
  EXPECT_TRUE(answer) << answer.error().text();
}

// A mount whose process never answers: fstat of its root waits for it.
TEST_F(HelperTest, aFileWhoseFileSystemNeverAnswersHoldsUpItsClientAlone) {
  const std::string path = directoryOf(kUser, "silent");
  as(kUser, [&] {
    HelperClient client(socket());
    auto device = client.mountFuse(path, {.source = "silent", .max_read = 4096, .allow_other = true});
    ASSERT_TRUE(device) << device.error().text();
    const Descriptor root(openPath(path)), null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto stuck = connectTo(socket());
    ASSERT_TRUE(stuck);
    ASSERT_TRUE(send(stuck->get(), encode(mountRequest()), std::array{root.get()}));
    const auto early = receive(stuck->get(), 200ms);
    ASSERT_FALSE(early) << "it waits for us";
    EXPECT_EQ(early.error().code, Code::DeadlineExceeded);
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(refusal(socket(), {.operation = Operation::OpenBacking}, std::array{null.get(), null.get()}).code,
                Code::InvalidArgument);
    device->reset();  // the connection ends, and so does its wait
    EXPECT_TRUE(receive(stuck->get(), kPatience));
    EXPECT_TRUE(client.unmountFuse(path, true));
  });
}

TEST_F(HelperTest, endsAConnectionThatSaysMoreThanAMessageHolds) {
  const auto socket = connectTo(this->socket());
  ASSERT_TRUE(socket);
  const std::string long_one(kMaxMessage + 1, 'x');
  ASSERT_GT(::send(socket->get(), long_one.data(), long_one.size(), MSG_NOSIGNAL), 0);
  const auto answer = receive(socket->get(), kPatience);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Gone);
}

TEST_F(HelperTest, boundsConnectionsOfAUserAndTellsThoseThatAreTooMany) {
  end();
  options_.max_connections_per_user = 2;
  start();
  as(kUser, [&] {
    const auto hello = [](const Result<Descriptor>& socket) {
      return ask(socket->get(), {.operation = Operation::Hello}, {}, kPatience);
    };
    auto first = connectTo(socket());
    const auto second = connectTo(socket());
    ASSERT_TRUE(first && second);
    ASSERT_TRUE(hello(first));
    ASSERT_TRUE(hello(second));
    const auto third = connectTo(socket());
    ASSERT_TRUE(third);
    const auto refused = hello(third);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::Busy) << refused.error().text();
    first->reset();
    eventually([&] { return hello(connectTo(socket())).has_value(); }, "its place is free again");
  });
}

TEST_F(HelperTest, isOneForASocket) {
  const auto second = Server::start(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Busy);
  auto file = options_;
  file.socket = directoryOf(0, "d");
  EXPECT_EQ(Server::start(file).error().code, Code::InvalidArgument) << "what is there isn't a socket";
  file.socket = "relative";
  EXPECT_EQ(Server::start(file).error().code, Code::InvalidArgument);
}

TEST_F(HelperTest, isNotBelievedUnlessItIsRoots) {
  const std::string path = directoryOf(kStranger, "false") + "/helper.sock";
  ASSERT_EQ(::chmod(path.substr(0, path.rfind('/')).c_str(), 0755), 0);
  Descriptor listener;
  as(kStranger, [&] {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    listener = Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 8), 0);
  });
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  as(kUser, [&] {
    const auto socket = connectTo(path);
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, Code::PermissionDenied);
    EXPECT_THAT(socket.error().message, HasSubstr("belongs to uid 61236, not to root"));
  });
}

}  // namespace
}  // namespace forebay::io::helper
