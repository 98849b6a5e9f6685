// Where a session's answers go: the transport between a mount's process and the kernel, as a session sees it.
//
//   plain     one write(2) on the descriptor that the request was read from (devices.h)
//   io_uring  the memory of the place in the ring that the request came in (ring.h)
//
// Threading: any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <sys/uio.h>

namespace forebay::fuse {

struct RingShape;

class Channel {
 public:
  virtual ~Channel() = default;
  // One message, whole: its fuse_out_header alone in the first part. `device`: where the request came from. 0, or the
  // errno of the kernel's refusal: ENOENT if nobody waits for it any more.
  virtual int send(unsigned device, std::span<const iovec> parts) = 0;
  // Gives the kernel a file that stands for a node's bytes: its number, or minus the errno of the refusal.
  virtual int openBacking(int file);
  virtual void closeBacking(std::uint32_t) {}
  // False: nobody can give it one just now, and backingNote() says why. Otherwise that says who does, if not this
  // process.
  virtual bool backingAvailable() const { return true; }
  virtual std::string backingNote() const { return {}; }
  // Of a ring that can be had if the kernel agrees (INIT). Null: none is wanted.
  virtual const RingShape* ring() const { return nullptr; }
};

}  // namespace forebay::fuse
