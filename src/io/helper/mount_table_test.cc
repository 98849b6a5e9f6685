#include "io/helper/mount_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "io/descriptor.h"

namespace forebay::io::helper {
namespace {

constexpr const char* kTable =
    "1 0 8:1 / / rw,relatime - ext4 /dev/root rw\n"
    "20 1 0:40 / /mnt/a/data ro,nosuid,nodev shared:7 - fuse.forebay az://acme/data ro,user_id=1000,group_id=1000\n"
    "21 1 0:41 / /mnt/a/with\\040space ro - fuse.forebay x ro,user_id=1001,group_id=1000\n"
    "22 20 0:42 / /mnt/a/data rw shared:3 propagate_from:2 - tmpfs over rw\n"
    "23 1 0:43 / /mnt/other rw - fuse.sshfs y rw,allow_other,user_id=1000\n"
    "nonsense\n"
    "\n"
    "24 24 0:44 / /loop rw - tmpfs z rw\n";

TEST(MountTable, saysWhatLiesOnADirectory) {
  const MountTable table(kTable);
  EXPECT_EQ(table.on(1, "/mnt/a"), nullptr);
  EXPECT_EQ(table.on(9, "/mnt/a/data"), nullptr) << "of another mount";
  const MountLine* on = table.on(1, "/mnt/a/data");
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->source, "over") << "the topmost";
  on = table.on(1, "/mnt/a/with space");
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->type, "fuse.forebay");
  EXPECT_EQ(on->fuse_user, 1001U);
  EXPECT_EQ(table.on(24, "/loop"), nullptr) << "a mount that is its own parent ends the search";
}

TEST(MountTable, countsAUsersMountsOfForebay) {
  const MountTable table(kTable);
  EXPECT_EQ(table.fuseMountsOf(1000), 1U);
  EXPECT_EQ(table.fuseMountsOf(1001), 1U);
  EXPECT_EQ(table.fuseMountsOf(0), 0U);
}

TEST(MountTable, knowsThisProcessesMountsAndDescriptors) {
  const Descriptor root(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(pathOf(root.get()), "/proc");
  const Descriptor above(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const MountLine* proc = MountTable::ofProcess().on(mountIdOf(above.get()), "/proc");
  EXPECT_NE(mountIdOf(root.get()), mountIdOf(above.get()));
  EXPECT_NE(proc, nullptr);
  EXPECT_EQ(pathOf(-1), "");
  EXPECT_EQ(mountIdOf(-1), 0U);
}

}  // namespace
}  // namespace forebay::io::helper
