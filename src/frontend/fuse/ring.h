// FUSE over io_uring: requests come in, and answers go out, through memory that is registered once. One system call
// gives an answer and takes the next request.
//
//   auto ring = TRY(Ring::create(shape));       // memory and rings, before INIT: the kernel is asked for nothing yet
//   ... INIT is answered with kInitRing; from then on the kernel keeps requests back ...
//   TRY(ring->start(device, handle));           // registers all places: requests come, in the ring's own threads
//   ring->send(place, parts);                   // any thread, once for each request
//   ring->stop();                               // after it nobody may send
//
// What the kernel goes on sending over /dev/fuse itself: INIT, FORGET, INTERRUPT. Notices go there too.
//
// A place holds one request until it is answered. An answer that comes from another thread than the one that serves
// the place is handed to that one, because the kernel delivers the next request to whoever submitted the answer.
//
// Failure: start() fails when the kernel takes a place back (the parameter was changed, a policy forbids it): then it
// sends all requests over /dev/fuse, as without a ring, unless it had begun already: so serve both all the same.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <sys/uio.h>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "frontend/fuse/ring_shape.h"

namespace forebay::fuse {

class Ring {
 public:
  using Handle = std::function<void(unsigned place, Bytes request)>;

  static Result<std::unique_ptr<Ring>> create(const RingShape& shape);
  ~Ring();  // stops
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // `device`: of /dev/fuse, of this connection. `handle` gets whole requests and sees to it that each is answered.
  Status start(int device, Handle handle);
  // An answer: its fuse_out_header is the first part. Always taken: the kernel says nothing of whether it is waited
  // for.
  int send(unsigned place, std::span<const iovec> parts);
  // Answers that were sent are on their way when it returns; requests that weren't answered stay with the kernel.
  void stop();

  const RingShape& shape() const { return shape_; }

 private:
  struct Place;
  struct Server;

  explicit Ring(const RingShape& shape);
  Status setUp();

  const RingShape shape_;
  std::byte* memory_ = nullptr;
  std::size_t memory_size_ = 0;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<Server>> servers_;
  Handle handle_;
};

}  // namespace forebay::fuse
