#include "frontend/fuse/devices.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "frontend/fuse/protocol.h"

namespace forebay::fuse {

void Devices::cloneTo(unsigned count) {
  while (descriptors_.size() < count) {
    Descriptor clone(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    auto of = static_cast<std::uint32_t>(descriptors_.front().get());
    if (!clone || ::ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &of) != 0) {
      // A user who may mount through the helper may still not open /dev/fuse.
      log::debug("fuse", "the kernel's descriptor can't be cloned: {} workers share {}", count, descriptors_.size());
      return;
    }
    descriptors_.push_back(std::move(clone));
  }
}

Result<Bytes> Devices::receive(unsigned device, MutableBytes into) {
  const ssize_t n = ::read(descriptors_[device].get(), into.data(), into.size());
  if (n >= 0) return into.first(static_cast<std::size_t>(n));
  switch (errno) {
    case ENODEV:
      return fail(Code::Gone, "unmounted");
    case EINTR:
    case EAGAIN:
      return fail(Code::Cancelled, "a signal");
    case ENOENT:  // its program was killed while it was being read
    case EIO:     // longer than the buffer; the kernel has refused it
      return fail(Code::InvalidArgument, "a request that was lost");
    default:
      return failErrno("read /dev/fuse", errno);
  }
}

Status Devices::waitReadable(unsigned device, Duration patience) const {
  pollfd waiting{.fd = descriptors_[device].get(), .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, static_cast<int>(toMs(patience))) > 0) return {};
  return fail(Code::Cancelled, "nothing came");
}

Status Devices::startRing(Handle handle) {
  return ring_->start(descriptors_.front().get(), [handle = std::move(handle)](unsigned place, Bytes request) {
    handle(kFirstPlace + place, request);
  });
}

int Devices::send(unsigned device, std::span<const iovec> parts) {
  if (device >= kFirstPlace) return ring_->send(device - kFirstPlace, parts);
  for (;;) {
    if (::writev(descriptors_[device].get(), parts.data(), static_cast<int>(parts.size())) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int Devices::openBacking(int file) {
  return backings_ == nullptr ? -EAGAIN : backings_->open(file);
}

void Devices::closeBacking(std::uint32_t id) {
  if (backings_ != nullptr) backings_->close(id);
}

bool Devices::forgetName(NodeNumber parent, const std::string& name) {
  fuse_notify_inval_entry_out out{};
  out.parent = parent;
  out.namelen = static_cast<std::uint32_t>(name.size());
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + sizeof out + name.size() + 1);
  header.error = FUSE_NOTIFY_INVAL_ENTRY;  // a notice: its number is 0, its kind is in `error`
  const iovec parts[] = {
      {&header, sizeof header}, {&out, sizeof out}, {const_cast<char*>(name.c_str()), name.size() + 1}};
  return send(0, parts) == 0;
}

}  // namespace forebay::fuse
