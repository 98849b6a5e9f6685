// How much memory the directories may hold that live of each user. A directory lives while anybody has a descriptor of
// it or of a file in it, a mapping, or a backing file: the kernel says when that is over (IN_UNMOUNT), and a watch
// keeps nothing alive.
//
//   TRY(account.reserve(uid, bytes));
//   auto made = mount...;                             // or account.release(uid, bytes)
//   TRY(account.watch(made.directory.get(), uid, bytes));
//   account.collect();                                // when descriptor() is readable
//
// Threading: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <sys/types.h>

#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::io::helper {

class MemoryAccount {
 public:
  static Result<std::unique_ptr<MemoryAccount>> create(std::uint64_t max_bytes, unsigned max_directories);

  // PermissionDenied: more than one user may ever have. Busy: more than is left.
  Status reserve(uid_t user, std::uint64_t bytes);
  void release(uid_t user, std::uint64_t bytes);
  // What was reserved is released when the directory has gone; at once, if it can't be watched.
  Status watch(int directory, uid_t user, std::uint64_t bytes);
  void collect();

  int descriptor() const { return events_.get(); }
  std::uint64_t of(uid_t user) const;

 private:
  struct Share {
    std::uint64_t bytes = 0;
    unsigned directories = 0;
  };
  struct Watched {
    uid_t user = 0;
    std::uint64_t bytes = 0;
  };
  MemoryAccount(Descriptor events, std::uint64_t max_bytes, unsigned max_directories)
      : events_(std::move(events)), max_bytes_(max_bytes), max_directories_(max_directories) {}
  void releaseLocked(uid_t user, std::uint64_t bytes);

  const Descriptor events_;
  const std::uint64_t max_bytes_;
  const unsigned max_directories_;
  mutable std::mutex mutex_;
  std::map<uid_t, Share> shares_;
  std::map<int, Watched> watched_;
};

}  // namespace forebay::io::helper
