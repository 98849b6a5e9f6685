#include "client/shared_objects.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace forebay::client {
namespace {

constexpr std::uint64_t kSize = SharedObjects::kLeast + 12'345;

io::Descriptor fileOf(std::uint64_t size, char fill = 'x') {
  io::Descriptor file(::memfd_create("test", MFD_CLOEXEC));
  const std::string bytes(size, fill);
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(size));
  return file;
}

core::Plan planOf(int number, std::uint64_t size = kSize) {
  core::Plan plan;
  plan.key.bytes[0] = std::byte(number & 0xff);
  plan.key.bytes[1] = std::byte(number >> 8);
  plan.size = size;
  return plan;
}

TEST(MappedObject, isRefusedWhereTheFileIsNotWhatItShouldBe) {
  const io::Descriptor file = fileOf(kSize);
  EXPECT_NE(MappedObject::of(file.get(), kSize), nullptr);
  EXPECT_EQ(MappedObject::of(file.get(), kSize + 1), nullptr) << "beyond its end would be a SIGBUS";
  EXPECT_EQ(MappedObject::of(file.get(), 0), nullptr);
  EXPECT_EQ(MappedObject::of(-1, kSize), nullptr);
  const io::Descriptor directory(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(MappedObject::of(directory.get(), 1), nullptr);
}

// Whether a forked child finds the first byte where its parent has it. The kernel looks, because without the mapping
// there is nothing at that address, or something else.
bool childReads(const MappedObject& object) {
  const pid_t child = ::fork();
  if (child == 0) {
    int ends[2];
    char byte = 0;
    const bool there = ::pipe(ends) == 0 && ::write(ends[1], object.bytes().data(), 1) == 1 &&
                       ::read(ends[0], &byte, 1) == 1 && byte == 'x';
    ::_exit(there ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status == 0;
}

TEST(MappedObject, isInAForkedChildOnlyWhereItWasMeantTo) {
  const io::Descriptor file = fileOf(kSize);
  EXPECT_FALSE(childReads(*MappedObject::of(file.get(), kSize)));
  EXPECT_TRUE(childReads(*MappedObject::of(file.get(), kSize, true)));
}

class SharedObjectsTest : public testing::Test {
 protected:
  // What is read, and answered by the node.
  void map(const core::Plan& plan) {
    ASSERT_TRUE(objects_.wants(now_, plan));
    objects_.answered(now_, plan, fileOf(plan.size));
  }
  TimePoint now_{100s};
  SharedObjects objects_;
};

TEST_F(SharedObjectsTest, whatTheNodeGaveIsFoundByItsKeyAlone) {
  map(planOf(1));
  const auto found = objects_.find(now_, planOf(1).key);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes().size(), kSize);
  EXPECT_EQ(found->bytes(kSize - 1, 1)[0], std::byte{'x'});
  EXPECT_EQ(objects_.find(now_, planOf(2).key), nullptr);
  EXPECT_FALSE(objects_.wants(now_, planOf(1))) << "it is here";
}

TEST_F(SharedObjectsTest, isAskedForOnceAtATimeAndAgainAfterAWhile) {
  ASSERT_TRUE(objects_.wants(now_, planOf(1)));
  EXPECT_FALSE(objects_.wants(now_ + 100s, planOf(1))) << "the first question isn't answered yet";
  objects_.answered(now_, planOf(1), fail(Code::NotFound, "not whole"));
  EXPECT_FALSE(objects_.wants(now_ + SharedObjects::kAskAgain - 1ms, planOf(1)));
  EXPECT_TRUE(objects_.wants(now_ + SharedObjects::kAskAgain, planOf(1)));
  objects_.answered(now_, planOf(1), fail(Code::Busy, "no room"));
  EXPECT_FALSE(objects_.wants(now_ + SharedObjects::kBusy - 1ms, planOf(1)));
  EXPECT_TRUE(objects_.wants(now_ + SharedObjects::kBusy, planOf(1)));
}

TEST_F(SharedObjectsTest, smallObjectsAreNeverAskedFor) {
  EXPECT_FALSE(objects_.wants(now_, planOf(1, SharedObjects::kLeast - 1)));
  EXPECT_TRUE(objects_.wants(now_, planOf(1, SharedObjects::kLeast)));
}

TEST_F(SharedObjectsTest, aNodeThatNeverGivesAnyIsNotAskedAgain) {
  ASSERT_TRUE(objects_.wants(now_, planOf(1)));
  objects_.answered(now_, planOf(1), fail(Code::Unsupported, "another machine"));
  EXPECT_FALSE(objects_.wants(now_ + 100s, planOf(2)));
}

TEST_F(SharedObjectsTest, aFileThatIsTooShortIsNotMapped) {
  ASSERT_TRUE(objects_.wants(now_, planOf(1)));
  objects_.answered(now_, planOf(1), fileOf(kSize - 1));
  EXPECT_EQ(objects_.find(now_, planOf(1).key), nullptr);
}

TEST_F(SharedObjectsTest, whatIsIdleGoesAndWhatIsReadStays) {
  map(planOf(1));
  map(planOf(2));
  objects_.find(now_ + SharedObjects::kIdle - 1s, planOf(2).key);
  objects_.sweep(now_ + SharedObjects::kIdle);
  EXPECT_EQ(objects_.find(now_, planOf(1).key), nullptr);
  const auto kept = objects_.find(now_, planOf(2).key);
  ASSERT_NE(kept, nullptr);
  objects_.sweep(now_ + 100s);
  EXPECT_EQ(objects_.mapped(), 0U);
  EXPECT_EQ(kept->bytes()[0], std::byte{'x'}) << "who reads from it keeps it";
}

TEST_F(SharedObjectsTest, neverHoldsMoreThanItMay) {
  for (int i = 0; i < static_cast<int>(SharedObjects::kMost); ++i) {
    now_ += 1ms;
    ASSERT_TRUE(objects_.wants(now_, planOf(i)));
    objects_.answered(now_, planOf(i),
                      i < 2 ? Result<io::Descriptor>(fileOf(kSize)) : fail(Code::NotFound, "not whole"));
  }
  objects_.find(now_ + 1s, planOf(0).key);
  EXPECT_EQ(objects_.mapped(), 2U);
  EXPECT_TRUE(objects_.wants(now_ + 1s, planOf(1'000)));
  EXPECT_EQ(objects_.mapped(), 1U) << "the one that was used least lately made room";
  EXPECT_NE(objects_.find(now_ + 1s, planOf(0).key), nullptr);
}

}  // namespace
}  // namespace forebay::client
