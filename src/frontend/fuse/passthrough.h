// Which nodes' bytes the kernel reads by itself, from a file of the arena (FUSE passthrough, Linux 6.9).
//
// The kernel has rules (found by trying them): as long as a node has any handle, all of its handles are of one kind,
// cached or passthrough, and all of the latter name one backing file; anything else gives EIO. So the first open of a
// node decides, later ones join it, and after the last close the next open decides anew.
//
//   has      whether the node has handles: then no file need be asked for
//   decide   one more handle. The first is passthrough if there is a file and the kernel takes it; the others are what
//            the first is
//   closed   a handle has gone
//
// A backing file stays what it is, whatever its node does with the object: that is the client's promise (region()).
// Where the kernel refuses for good (no privileges, no support), nothing is asked for any more, and the log says why.
//
// Threading: any thread. Bounded by the open nodes.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "frontend/fuse/node_table.h"

namespace forebay::fuse {

class Channel;

class Passthrough {
 public:
  // `least`: smaller objects aren't worth a question.
  Passthrough(Channel& channel, bool wanted, std::uint64_t least) : channel_(channel), least_(least), wanted_(wanted) {}

  // The kernel has agreed to it (INIT).
  void offered(bool by_kernel) { on_.store(by_kernel && wanted_); }
  bool wanted() const { return wanted_; }
  // Whether opens of an object of that size go through here: all of a node's do, or none.
  bool concerns(std::uint64_t size) const { return size >= least_; }
  bool on() const { return on_.load(std::memory_order_relaxed); }

  // 0: handles that read through the page cache; otherwise the id of the backing file.
  using Backing = std::uint32_t;
  bool has(NodeNumber node) const;
  Backing decide(NodeNumber node, int file);  // -1: there is none
  void closed(NodeNumber node);

 private:
  struct Opened {
    std::uint32_t handles = 0;
    Backing backing = 0;
  };
  Backing give(int file);

  Channel& channel_;
  const std::uint64_t least_;
  const bool wanted_;
  std::atomic<bool> on_{false};
  mutable std::mutex mutex_;
  std::unordered_map<NodeNumber, Opened> opened_;
};

}  // namespace forebay::fuse
