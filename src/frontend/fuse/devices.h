// The open descriptors of one FUSE connection: the one that was mounted, and clones of it, so that workers read and
// answer without meeting in one queue; and the ring beside them, where there is one. A request is answered on the
// descriptor that it was read from, or in its place of the ring: a device's number from kFirstPlace on is such a place.
#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "frontend/fuse/channel.h"
#include "frontend/fuse/mount_point.h"
#include "frontend/fuse/node_table.h"
#include "frontend/fuse/ring.h"
#include "io/privileged.h"

namespace forebay::fuse {

class Devices final : public Channel {
 public:
  Devices(Descriptor mounted, io::Privileged& privileged) : backings_(privileged.backingFiles(mounted.get())) {
    descriptors_.push_back(std::move(mounted));
  }

  // Until there are `count`. Where the kernel won't clone, those that are there are shared.
  void cloneTo(unsigned count);
  unsigned count() const { return static_cast<unsigned>(descriptors_.size()); }

  // The next request, whole. InvalidArgument for one that was lost (it passed away or was too long): read on.
  // Gone: unmounted. Cancelled: a signal.
  Result<Bytes> receive(unsigned device, MutableBytes into);
  // Cancelled when nothing came.
  Status waitReadable(unsigned device, Duration patience) const;

  // Before INIT: a ring to offer. dropRing(): the kernel didn't take it.
  void prepareRing(std::unique_ptr<Ring> ring) { ring_ = std::move(ring); }
  void dropRing() { ring_.reset(); }
  // After INIT. What comes then is handled in the ring's threads.
  using Handle = std::function<void(unsigned device, Bytes request)>;
  Status startRing(Handle handle);
  const RingShape* ring() const override { return ring_ == nullptr ? nullptr : &ring_->shape(); }

  int send(unsigned device, std::span<const iovec> parts) override;
  int openBacking(int file) override;
  void closeBacking(std::uint32_t id) override;
  bool backingAvailable() const override { return backings_ != nullptr && backings_->available(); }
  std::string backingNote() const override { return backings_ == nullptr ? std::string() : backings_->note(); }

  // Asks the kernel to forget a name. False: it is not needed there any more.
  bool forgetName(NodeNumber parent, const std::string& name);

  // The connection ends when its last descriptor does. Nobody may use it meanwhile.
  void close() {
    if (ring_ != nullptr) ring_->stop();
    ring_.reset();
    backings_.reset();
    descriptors_.clear();
  }

 private:
  static constexpr unsigned kFirstPlace = 1U << 16;

  std::vector<Descriptor> descriptors_;
  std::unique_ptr<io::BackingFiles> backings_;  // of the first
  std::unique_ptr<Ring> ring_;
};

}  // namespace forebay::fuse
