// Whole objects that this machine's node holds and this process has mapped: reading from them costs a copy, and no
// message to anybody.
//
// Nobody asks for it: an object of kLeast bytes and more that is read through the node is asked for as a file
// (Client::region), beside the read. Where the node has all of it, it is mapped, and later reads copy from the mapping;
// where it hasn't, it is asked again when it is read after kAskAgain. A mapping that isn't used for kIdle goes: whoever
// maps an object keeps its memory, also when the node has dropped it.
//
//   find      the mapping, if there is one: for a read that begins
//   wants     whether to ask for the object now; whoever is told so says answered() once
//   sweep     drops what is idle; whoever uses this calls it every kIdle while there is something
//
// Threading: any thread. Bounded: kMost objects, mapped or asked for; the least recently used goes first.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "base/result.h"
#include "base/time.h"
#include "client/mapped_object.h"
#include "core/types.h"
#include "io/descriptor.h"

namespace forebay::client {

class SharedObjects {
 public:
  static constexpr std::uint64_t kLeast = 2 * kMiB;  // smaller ones have no file of their own
  static constexpr std::size_t kMost = 256;
  static constexpr Duration kAskAgain = 1s, kBusy = 5s, kIdle = 10s;

  std::shared_ptr<const MappedObject> find(TimePoint now, const core::ObjectKey& key);
  bool wants(TimePoint now, const core::Plan& plan);
  void answered(TimePoint now, const core::Plan& plan, const Result<io::Descriptor>& file);
  void sweep(TimePoint now);
  std::size_t mapped() const;

 private:
  struct Entry {
    std::shared_ptr<const MappedObject> object;
    TimePoint used;
    TimePoint ask_after;  // kNever: it was asked for
  };
  using Entries = std::map<core::ObjectKey, Entry>;
  std::shared_ptr<const MappedObject> makeRoom();

  mutable std::mutex mutex_;
  Entries entries_;
  bool never_ = false;  // the node said so: it is another machine's, or not asked over its Unix socket
};

}  // namespace forebay::client
