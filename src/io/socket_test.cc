#include "io/socket.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/listener.h"
#include "io/test_loop.h"

namespace forebay::io {
namespace {

using testing::HasSubstr;

std::string temporaryPath(const char* name) {
  return testing::TempDir() + "fb" + std::to_string(getpid()) + name;
}

TEST(Address, isReadTheWayPeopleWriteIt) {
  const auto tcp = Address::parse("10.0.0.1:7411");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->host, "10.0.0.1");
  EXPECT_EQ(tcp->port, 7411);
  EXPECT_TRUE(tcp->isNumeric());
  EXPECT_FALSE(tcp->isLoopback());
  EXPECT_EQ(Address::parse("[::1]:0")->text(), "[::1]:0");
  EXPECT_TRUE(Address::parse("[::1]:0")->isLoopback());
  EXPECT_TRUE(Address::parse("localhost:1")->isLoopback());
  EXPECT_TRUE(Address::parse("unix:/run/x")->isUnix());
  EXPECT_TRUE(Address::parse("unix:/run/x")->isLoopback());
  const auto name = Address::parse("node-3.example:7411");
  ASSERT_TRUE(name);
  EXPECT_FALSE(name->isNumeric());
  EXPECT_FALSE(name->isLoopback());
}

TEST(Address, thatIsNoneIsRefusedWithAReason) {
  for (const char* text : {"", "host", ":1", "host:", "host:x", "host:65536", "host:-1", "::1:80", "unix:", "[]:1"})
    EXPECT_EQ(Address::parse(text).error().code, Code::InvalidArgument) << text;
  EXPECT_THAT(Address::parse("unix:/" + std::string(200, 'x')).error().message, HasSubstr("at most 107 bytes"));
}

TEST(Listen, makesASocketFileForItsOwnerAlone) {
  const std::string path = temporaryPath("mode");
  TestLoop loop;
  auto listener =
      loop.in([&] { return Listener::create(loop.reactor(), Address::unixPath(path), {}, [](Accepted) {}); });
  ASSERT_TRUE(listener) << listener.error().text();
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  loop.in([&] { listener->reset(); });
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "its file goes with it";
}

TEST(Listen, replacesASocketThatNobodyServesAndNoOther) {
  const std::string path = temporaryPath("stale");
  ASSERT_TRUE(startListen(Address::unixPath(path), 1)) << "a first one, dead at once: its file stays";
  {
    const auto second = startListen(Address::unixPath(path), 1);
    ASSERT_TRUE(second) << second.error().text();
    const auto third = startListen(Address::unixPath(path), 1);
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Code::Busy);
  }
  unlink(path.c_str());
  std::ofstream(path) << "precious";
  EXPECT_EQ(startListen(Address::unixPath(path), 1).error().code, Code::InvalidArgument);
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  unlink(path.c_str());
}

TEST(Listener, acceptsAsManyAsItMayAndRefusesTheRest) {
  TestLoop loop;
  Metrics metrics;
  ConnectionMetrics counted(metrics, "server");
  std::vector<Accepted> accepted;
  auto listener = loop.in([&] {
    return Listener::create(loop.reactor(), *Address::parse("127.0.0.1:0"), {.max_connections = 1, .metrics = &counted},
                            [&](Accepted a) { accepted.push_back(std::move(a)); });
  });
  ASSERT_TRUE(listener) << listener.error().text();
  const auto first = startConnect((*listener)->address());
  ASSERT_TRUE(loop.until([&] { return accepted.size() == 1; }));
  const auto second = startConnect((*listener)->address());
  ASSERT_TRUE(loop.until([&] { return accepted.size() == 2; }));
  EXPECT_FALSE(accepted[0].refusal);
  ASSERT_TRUE(accepted[1].refusal);
  EXPECT_EQ(accepted[1].refusal->code, Code::Busy);
  EXPECT_EQ((*listener)->connections(), 1U) << "who is refused has no place";
  std::vector<Result<Descriptor>> many;
  for (int i = 0; i < 80; ++i) many.push_back(startConnect((*listener)->address()));
  ASSERT_TRUE(loop.until([&] { return counted.refused_peers.value() == 81; }));
  EXPECT_EQ(accepted.size(), 65U) << "only so many are told why";
  loop.in([&] { accepted.clear(); });
  const auto third = startConnect((*listener)->address());
  EXPECT_TRUE(loop.until([&] { return accepted.size() == 1; })) << "a place became free";
  EXPECT_FALSE(accepted[0].refusal);
  loop.in([&] {
    accepted.clear();
    listener->reset();
  });
}

// A process of another user, which the file's mode alone would let in.
int connectAs(uid_t uid, const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    if (setresuid(uid, uid, uid) != 0) _exit(3);
    const auto fd = startConnect(Address::unixPath(path));
    if (!fd) _exit(2);
    char byte;
    while (true) {  // until the listener hangs up, or says something
      const ssize_t n = read(fd->get(), &byte, 1);
      if (n >= 0) _exit(n == 0 ? 0 : 1);
      if (errno != EAGAIN) _exit(0);
      usleep(1'000);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Listener, refusesOtherUsersUnlessTheyAreAllowed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  const std::string path = temporaryPath("uid");
  constexpr uid_t kNobody = 65'534;
  for (const bool allow : {false, true}) {
    TestLoop loop;
    Metrics metrics;
    ConnectionMetrics counted(metrics, "server");
    std::vector<uid_t> accepted;
    ListenerOptions options{.metrics = &counted};
    if (allow) options.allowed_uids.push_back(kNobody);
    auto listener = loop.in([&] {
      return Listener::create(loop.reactor(), Address::unixPath(path), options, [&](Accepted a) {
        accepted.push_back(a.identity.uid);
        EXPECT_EQ(write(a.fd.get(), "x", 1), 1);
      });
    });
    ASSERT_TRUE(listener) << listener.error().text();
    ASSERT_EQ(chmod(path.c_str(), 0666), 0);
    EXPECT_EQ(connectAs(kNobody, path), allow ? 1 : 0);
    EXPECT_EQ(counted.refused_peers.value(), allow ? 0U : 1U);
    loop.in([&] {
      EXPECT_EQ(accepted.size(), allow ? 1U : 0U);
      listener->reset();
    });
  }
}

TEST(Resolve, givesNumericAddressesBackAndNeedsAPoolForNames) {
  TestLoop loop;
  const auto ask = [&](const char* text, WorkerPool* pool) {
    std::promise<Result<Address>> answer;
    loop.in([&] {
      resolve(loop.reactor(), pool, *Address::parse(text), [&](Result<Address> a) { answer.set_value(std::move(a)); });
    });
    return answer.get_future().get();
  };
  EXPECT_EQ(ask("127.0.0.1:80", nullptr)->text(), "127.0.0.1:80");
  EXPECT_EQ(ask("node-1:80", nullptr).error().code, Code::InvalidArgument);
  WorkerPool pool(loop.reactor(), 1, 4);
  EXPECT_FALSE(ask("no-such-host.invalid:80", &pool));
}

}  // namespace
}  // namespace forebay::io
