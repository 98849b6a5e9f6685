// Mounting and unmounting through `fusermount3`, the setuid helper of the fuse3 package, for users who aren't root.
#pragma once

#include "frontend/fuse/mount_point.h"

namespace forebay::fuse {

Result<Descriptor> mountByFusermount(const Options& options);
Status unmountByFusermount(const Options& options, bool lazily);

}  // namespace forebay::fuse
