// A directory as an origin: `file:///PATH`. For laptops, tests, and shared file systems (NFS, Lustre).
//
// A directory has no ETag: a file's version is its (inode, size, mtime, ctime), so every node that sees the same file
// system agrees on it. get() checks the version on the very descriptor it reads from, before and after each piece, and
// hands out a piece only after the second check: a file that is rewritten in place fails with Gone.
//
// Names: nothing above the root can be reached, by `..` or by a symlink (openat2, RESOLVE_BENEATH). Symlinks inside the
// root are followed. A path that isn't in canonical form ("a//b", "./a", "a/") is NotFound. Only regular files and
// directories are listed; empty directories are.
//
// Blocking calls run on the pool; what `Origin` says about threads and callbacks holds. The pool must be destroyed
// before the origin, and both before the sinks that calls write into.
#pragma once

#include <memory>
#include <string>

#include "io/reactor.h"
#include "io/worker_pool.h"
#include "origin/origin.h"

namespace forebay::origin {

// InvalidArgument / NotFound / PermissionDenied: `root` is not an absolute path of a directory that can be read.
Result<std::unique_ptr<Origin>> makeDirOrigin(std::string root, io::Reactor& reactor, io::WorkerPool& pool,
                                              OriginMetrics& metrics);

}  // namespace forebay::origin
