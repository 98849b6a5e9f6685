// Names that were looked up, for as long as their answers may be believed: the kernel forgets names when memory is
// short, and asks again for each one when its time to live is over in the kernel, or when a directory is walked anew.
// What is here is answered in the worker that got the request.
//
// Absent names aren't remembered. Bounded in bytes; what wasn't asked for the longest goes first.
//
// Threading: none; the session locks.
#pragma once

#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/time.h"
#include "frontend/fuse/node_table.h"

namespace forebay::fuse {

class RememberedNames {
 public:
  explicit RememberedNames(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  void remember(const Inode& inode, TimePoint until);
  struct Known {
    Inode inode;
    Duration left;  // for which it may be believed
  };
  std::optional<Known> find(std::string_view path, TimePoint now);
  void forget(std::string_view path);
  void forgetBelow(std::string_view path);  // and itself; "" is everything

  std::size_t bytes() const { return bytes_; }  // estimated
  std::size_t size() const { return by_path_.size(); }

 private:
  struct Entry {
    Inode inode;
    TimePoint until;
  };
  using Entries = std::list<Entry>;  // the last one asked for first
  void drop(Entries::iterator entry);

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_path_;  // keys lie in the entries
};

}  // namespace forebay::fuse
