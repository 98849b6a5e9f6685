// What the helper looks at before it does something for a user: each check is of an open descriptor, never of a path,
// so that what was checked is what is used.
//
// Any of these may wait for a file system's process, if a client hands in a file of one: so each client has a thread of
// its own.
#pragma once

#include <string>
#include <sys/types.h>

#include "base/result.h"
#include "io/helper/mount_table.h"

namespace forebay::io::helper {

// A directory of the user's (root: any), opened with O_PATH, on a file system that holds files, with nothing on it.
Status checkMountPoint(int fd, uid_t user, const MountTable& mounts);
// What lies at `name` in a directory is a mount of Forebay's, made for the user (root: for anybody).
Status checkMounted(int parent, const std::string& name, uid_t user, const MountTable& mounts);
// /dev/fuse.
Status checkFuseDevice(int fd);
// A regular file that was opened for reading alone, through a read-only mount of a tmpfs: what a memory directory's
// `read_only` gives. Nobody can change such a file through it, and it can't be of a disk or of another process.
Status checkBackingFile(int fd);

}  // namespace forebay::io::helper
