// The open descriptors of one FUSE connection: the one that was mounted, and clones of it, so that workers read and
// answer without meeting in one queue. A request is answered on the descriptor that it was read from.
#pragma once

#include <array>
#include <vector>

#include "frontend/fuse/mount_point.h"
#include "frontend/fuse/session.h"

namespace forebay::fuse {

class Devices final : public Channel {
 public:
  explicit Devices(Descriptor mounted) { descriptors_.push_back(std::move(mounted)); }

  // Until there are `count`. Where the kernel won't clone, those that are there are shared.
  void cloneTo(unsigned count);
  unsigned count() const { return static_cast<unsigned>(descriptors_.size()); }

  // The next request, whole. InvalidArgument for one that was lost (it passed away or was too long): read on.
  // Gone: unmounted. Cancelled: a signal.
  Result<Bytes> receive(unsigned device, MutableBytes into);
  // Cancelled when nothing came.
  Status waitReadable(unsigned device, Duration patience) const;

  int send(unsigned device, std::span<const iovec> parts) override;
  int openBacking(int file) override;
  void closeBacking(std::uint32_t id) override;

  // Asks the kernel to forget a name. False: it is not needed there any more.
  bool forgetName(NodeNumber parent, const std::string& name);

  // The connection ends when its last descriptor does. Nobody may use it meanwhile.
  void close() { descriptors_.clear(); }

 private:
  std::vector<Descriptor> descriptors_;
};

}  // namespace forebay::fuse
