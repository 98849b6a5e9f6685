#include "io/memory.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace forebay::io {
namespace {

// A machine's files below a directory of the test's own.
class Machine {
 public:
  Machine() {
    std::string name = std::filesystem::temp_directory_path() / "forebay_memory_XXXXXX";
    root_ = ::mkdtemp(name.data());
    file("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:  5 kB\n");
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  Machine& file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
    return *this;
  }
  MemoryLimits limits() const {
    auto got = memoryLimits(root_);
    EXPECT_TRUE(got);
    return got.value_or(MemoryLimits{});
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

constexpr const char* kV2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kV1 = "33 25 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";

TEST(MemoryLimits, areTheMachinesWithoutCgroups) {
  Machine machine;
  EXPECT_EQ(machine.limits().bytes(), 16ULL << 30);
  EXPECT_EQ(machine.limits().quarter(), 4ULL << 30);
}

TEST(MemoryLimits, areTheTightestLevelsOfV2) {
  Machine machine;
  machine.file("/proc/self/cgroup", "0::/pods/one\n")
      .file("/proc/self/mountinfo", kV2)
      .file("/sys/fs/cgroup/pods/one/memory.max", "max\n")
      .file("/sys/fs/cgroup/pods/memory.max", "1073741824\n");
  EXPECT_EQ(machine.limits().bytes(), 1ULL << 30);
  EXPECT_EQ(machine.limits().cgroup, "/sys/fs/cgroup/pods");
  machine.file("/sys/fs/cgroup/pods/one/memory.high", "536870912\n");
  EXPECT_EQ(machine.limits().bytes(), 512ULL << 20) << "above memory.high the kernel throttles";
}

TEST(MemoryLimits, areV1sWhereV1HasTheMemoryController) {
  Machine machine;
  machine.file("/proc/self/cgroup", "4:memory:/job\n0::/\n")
      .file("/proc/self/mountinfo", std::string(kV2) + kV1)
      .file("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2147483648\n")
      .file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(machine.limits().bytes(), 2ULL << 30);
}

TEST(MemoryLimits, ofAContainerThatSeesItsOwnCgroupAsTheRoot) {
  Machine machine;
  machine.file("/proc/self/cgroup", "4:memory:/docker/abc\n")
      .file("/proc/self/mountinfo", "33 25 0:30 /docker/abc /sys/fs/cgroup/my\\040mem ro - cgroup cgroup rw,memory\n")
      .file("/sys/fs/cgroup/my mem/memory.limit_in_bytes", "3221225472\n");
  EXPECT_EQ(machine.limits().bytes(), 3ULL << 30);
}

TEST(MemoryLimits, passOverWhatMakesNoSense) {
  const char* lines[] = {"",           "\n\n",       "0::", "0::relative\n", "4:memory:/../../etc\n", "memory:/x",
                         "1:memory:/", "0:memory::", ":::"};
  for (const char* cgroup : lines)
    for (const char* mounts : {"", " - ", " - cgroup2", "1 2 3 x y - cgroup2 a b\n", kV2, kV1}) {
      Machine machine;
      machine.file("/proc/self/cgroup", cgroup).file("/proc/self/mountinfo", mounts);
      EXPECT_EQ(machine.limits().bytes(), 16ULL << 30) << cgroup << mounts;
    }
}

TEST(MemoryLimits, ofThisMachineAreThere) {
  const auto limits = memoryLimits();
  ASSERT_TRUE(limits);
  EXPECT_GT(limits->bytes(), 0U);
  EXPECT_LE(limits->bytes(), limits->machine_bytes);
}

TEST(ProcessMemory, countsAnonymousMemory) {
  const auto before = processMemory();
  ASSERT_TRUE(before);
  constexpr std::size_t kBytes = 64U << 20;
  void* heap = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(heap, MAP_FAILED);
  const auto after = processMemory();
  ::munmap(heap, kBytes);
  ASSERT_TRUE(after);
  EXPECT_GE(after->anonymous_bytes, before->anonymous_bytes + kBytes / 2);
}

TEST(ProcessMemory, saysWhatIsMissing) {
  Machine machine;
  machine.file("/proc/self/status", "Name: x\n");
  EXPECT_FALSE(processMemory(machine.root()));
}

}  // namespace
}  // namespace forebay::io
