// How the handles of whole objects read: what this machine's node has complete comes as a file of its arena
// (client::Client::region), and no byte of it is asked for any more.
//
//   passthrough  the kernel reads the file by itself (FUSE passthrough, Linux 6.9, io/privileged.h)
//   mapped       READ requests are answered from a mapping of it, by the worker that got them
//   plain        the client is asked for bytes
//
// The kernel has rules (found by trying them): as long as a node has any handle, all of its handles are of one kind,
// cached (mapped, plain) or passthrough, and all of the latter name one backing file; anything else gives EIO. So the
// first open of a node decides between those, later ones join it, and after the last close the next open decides anew.
// An object that became complete while cached handles of its node are open is passed through under another node: the
// open that finds out goes there (Way::elsewhere), once in the life of those handles; whoever comes back to the old
// node all the same (by /proc/self/fd) joins them.
//
//   join     one more handle of a node whose handles have a file: none need be asked for
//   decide   one more handle, unless it goes elsewhere
//   closed   a handle has gone
//
// A file stays what it is, whatever its node does with the object: that is the client's promise. Where the kernel
// refuses for good (no privileges, no support), it isn't asked any more, and the log says why. Where a helper asks it
// for this process and has gone, it is off until the helper is back.
//
// Threading: any thread. Bounded by the open nodes.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/mapped_object.h"
#include "frontend/fuse/node_table.h"

namespace forebay::fuse {

class Channel;

class Passthrough {
 public:
  // `by_kernel`: passthrough is wanted. `least`: smaller objects aren't worth a question.
  Passthrough(Channel& channel, bool by_kernel, std::uint64_t least)
      : channel_(channel), least_(least), wanted_(by_kernel) {}

  // The kernel has agreed to it (INIT), or not.
  void offered(bool by_kernel);
  std::string whyOff() const;  // where it isn't on()
  bool wanted() const { return wanted_; }
  // Whether opens of an object of that size go through decide(): all of a node's do, or none.
  bool concerns(std::uint64_t size) const { return size >= least_; }
  bool on() const;
  std::string by() const;  // where it is on(): who gives the kernel files, if not this process

  using Backing = std::uint32_t;
  struct Way {
    Backing backing = 0;                              // the kernel's number of the backing file
    std::shared_ptr<const client::MappedObject> map;  // neither: plain
    bool elsewhere = false;                           // not a handle of this node: of a new one
  };
  // At once, because the last of those handles may go while a file is looked for.
  std::optional<Way> join(NodeNumber node);
  Way decide(NodeNumber node, int file, std::uint64_t size);  // -1: there is no file
  void closed(NodeNumber node);

 private:
  struct Opened {
    std::uint32_t handles = 0;
    bool left = false;  // an open was sent elsewhere
    Way way;
  };
  Backing give(int file);

  Channel& channel_;
  const std::uint64_t least_;
  const bool wanted_;
  std::atomic<bool> on_{false};
  mutable std::mutex mutex_;
  std::string why_off_ = "the kernel hasn't been asked";
  std::unordered_map<NodeNumber, Opened> opened_;
};

}  // namespace forebay::fuse
