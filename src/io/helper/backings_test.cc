#include "io/helper/backings.h"

#include <cerrno>
#include <cstring>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/helper/helper_fixture.h"

namespace forebay::io::helper {
namespace {

using ::testing::HasSubstr;

class HelperBackingsTest : public HelperTest {
 protected:
  // What no helper takes: it shows that one was asked.
  const Descriptor device_{::open("/dev/null", O_RDWR | O_CLOEXEC)}, file_{::memfd_create("x", MFD_CLOEXEC)};
};

TEST_F(HelperBackingsTest, noticesThatTheHelperHasGoneAndThatItIsBack) {
  HelperBackings backings(socket(), device_.get());
  EXPECT_TRUE(backings.available());
  EXPECT_EQ(backings.note(), "by the helper at " + socket());
  EXPECT_EQ(backings.open(file_.get()), -EINVAL) << "an answer of the helper's";
  EXPECT_THAT(backings.note(), HasSubstr("refused: backing file: the first descriptor isn't one of /dev/fuse"));
  end();
  eventually([&] { return !backings.available(); }, "it is gone");
  EXPECT_EQ(backings.open(file_.get()), -EAGAIN);
  EXPECT_THAT(backings.note(), HasSubstr("can't be asked"));
  backings.close(7);
  start();
  eventually([&] { return backings.available(); }, "it is back");
  EXPECT_EQ(backings.note(), "by the helper at " + socket());
  EXPECT_EQ(backings.open(file_.get()), -EINVAL);
}

TEST_F(HelperBackingsTest, waitsForAHelperThatIsNotThereYet) {
  end();
  HelperBackings backings(socket(), device_.get());
  EXPECT_FALSE(backings.available());
  EXPECT_EQ(backings.open(file_.get()), -EAGAIN);
  start();
  eventually([&] { return backings.available(); }, "it is there");
}

TEST_F(HelperBackingsTest, saysThatItsUserIsNotAllowed) {
  std::unique_ptr<HelperBackings> backings;
  as(kStranger, [&] { backings = std::make_unique<HelperBackings>(socket(), device_.get()); });
  EXPECT_FALSE(backings->available());
  EXPECT_THAT(backings->note(), HasSubstr("start it with --allow 61236"));
}

TEST_F(HelperBackingsTest, waitsNoLongerThanItsDeadlineForAHelperThatIsSilent) {
  end();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket().data(), socket().size());
  const Descriptor silent(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(silent.get(), 8), 0);
  const auto began = std::chrono::steady_clock::now();
  HelperBackings backings(socket(), device_.get());
  EXPECT_FALSE(backings.available());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(backings.open(file_.get()), -EAGAIN);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  EXPECT_THAT(backings.note(), HasSubstr("nothing came within 500 ms"));
}

// A helper that says hello and then nothing any more.
TEST_F(HelperBackingsTest, anOpenThatIsNotAnsweredIsTheLastOneThatWaits) {
  end();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket().data(), socket().size());
  const Descriptor listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  Descriptor connection;
  std::thread hello([&] {
    connection = Descriptor(::accept(listener.get(), nullptr, nullptr));
    (void)receive(connection.get(), 10s);
    (void)send(connection.get(), encode(Reply{}));
  });
  HelperBackings backings(socket(), device_.get());
  hello.join();
  ASSERT_TRUE(backings.available());
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(backings.open(file_.get()), -EAGAIN);
  const auto first = std::chrono::steady_clock::now() - began;
  EXPECT_FALSE(backings.available());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(backings.open(file_.get()), -EAGAIN);
  EXPECT_GE(first, 400ms);
  EXPECT_LT(std::chrono::steady_clock::now() - began, first + 2s);
}

}  // namespace
}  // namespace forebay::io::helper
