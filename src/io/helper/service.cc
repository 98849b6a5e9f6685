#include "io/helper/service.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>

#include "base/config_values.h"
#include "base/log.h"
#include "io/fuse_device.h"
#include "io/helper/checks.h"
#include "io/memory_directory.h"

namespace forebay::io::helper {
namespace {

// For programs, where the kernel named none.
int errnoOf(Code code) {
  switch (code) {
    case Code::PermissionDenied:
      return EACCES;
    case Code::InvalidArgument:
    case Code::Corrupt:
      return EINVAL;
    case Code::Unsupported:
      return EOPNOTSUPP;
    case Code::Busy:
      return ENOSPC;
    case Code::NotFound:
      return ENOENT;
    default:
      return EIO;
  }
}

std::string kernelRefused(const char* what, int error) {
  return fmt::format("{}: the kernel refused it: {}{}", what, ::strerrordesc_np(error),
                     error == EPERM ? ": forebay helper itself lacks CAP_SYS_ADMIN" : "");
}

}  // namespace

Service::Done Service::answer(const Received& received) {
  int error = 0;
  auto done = [&]() -> Result<Done> {
    const Request request = TRY(parseRequest(received.message.view(), received.descriptors.size()));
    return handle(request, received.descriptors, error);
  }();
  if (done) return std::move(*done);
  if (refusals_.admit(std::chrono::steady_clock::now()))
    log::info("helper", "refused to uid {} (pid {}): {}", client_.uid, client_.pid, done.error().message);
  return {.reply = {.code = done.error().code,
                    .error = error != 0 ? error : errnoOf(done.error().code),
                    .text = std::move(done.error().message)},
          .descriptors = {}};
}

Result<Service::Done> Service::handle(const Request& request, const std::vector<Descriptor>& with, int& error) {
  switch (request.operation) {
    case Operation::Hello:
      return Done{};
    case Operation::MemoryDirectory:
      return memoryDirectory(request);
    case Operation::MountFuse:
      return mountFuse(request, with[0].get());
    case Operation::UnmountFuse:
      return unmountFuse(request, with[0].get());
    case Operation::OpenBacking:
      return openBacking(with[0].get(), with[1].get(), error);
    case Operation::CloseBacking:
      return closeBacking(request, with[0].get(), error);
  }
  return fail(Code::Unsupported, "unknown operation");
}

Result<Service::Done> Service::memoryDirectory(const Request& request) {
  TRY(account_.reserve(client_.uid, request.number));
  auto made = mountMemoryDirectory({.size_bytes = request.number, .uid = client_.uid, .gid = client_.gid});
  if (!made) {
    account_.release(client_.uid, request.number);
    return fail(std::move(made).error());
  }
  TRY(account_.watch(made->directory.get(), client_.uid, request.number));
  log::info("helper", "a memory directory of {} for uid {} (pid {})", config::sizeText(request.number), client_.uid,
            client_.pid);
  Done done;
  done.reply.text = std::move(made->how);
  done.descriptors.push_back(std::move(made->directory));
  done.descriptors.push_back(std::move(made->read_only));
  return done;
}

Result<Service::Done> Service::mountFuse(const Request& request, int mount_point) const {
  const MountTable mounts = MountTable::ofProcess();
  TRY(checkMountPoint(mount_point, client_.uid, mounts));
  if (mounts.fuseMountsOf(client_.uid) >= limits_.max_mounts)
    return fail(Code::Busy,
                fmt::format("FUSE mount: uid {} has {} mounts, and may have no more", client_.uid, limits_.max_mounts));
  const FuseMountOrder order{.source = request.text,
                             .max_read = static_cast<std::uint32_t>(request.number),
                             .allow_other = (request.flags & kAllowOther) != 0};
  // Through /proc the kernel takes the very directory that was looked at, wherever it is called by now.
  Done done;
  done.descriptors.push_back(
      TRY(mountFuseAt(fmt::format("/proc/self/fd/{}", mount_point), order, client_.uid, client_.gid)));
  log::info("helper", "mounted {} at {} for uid {} (pid {})", order.source, pathOf(mount_point), client_.uid,
            client_.pid);
  return done;
}

Result<Service::Done> Service::unmountFuse(const Request& request, int parent) const {
  TRY(checkMounted(parent, request.text, client_.uid, MountTable::ofProcess()));
  const std::string named = fmt::format("{}/{}", pathOf(parent), request.text);
  TRY(unmountAt(fmt::format("/proc/self/fd/{}/{}", parent, request.text), named, (request.flags & kLazily) != 0));
  log::info("helper", "unmounted {} for uid {} (pid {})", named, client_.uid, client_.pid);
  return Done{};
}

Result<Service::Done> Service::openBacking(int device, int file, int& error) {
  TRY(checkFuseDevice(device));
  TRY(checkBackingFile(file));
  if (backings_ >= limits_.max_backings)
    return fail(Code::Busy,
                fmt::format("backing file: this connection has {} open, and may have no more", limits_.max_backings));
  const int id = io::openBacking(device, file);
  if (id <= 0) {
    error = id == 0 ? EINVAL : -id;
    return fail(Code::IoError, kernelRefused("backing file", error));
  }
  ++backings_;
  Done done;
  done.reply.number = static_cast<std::uint64_t>(id);
  return done;
}

// A number that isn't this connection's may be of one before it, of the same mount: whoever has the mount's /dev/fuse
// may close what is its own.
Result<Service::Done> Service::closeBacking(const Request& request, int device, int& error) {
  TRY(checkFuseDevice(device));
  error = io::closeBacking(device, static_cast<std::uint32_t>(request.number));
  if (error != 0) return fail(Code::IoError, kernelRefused("close a backing file", error));
  if (backings_ > 0) --backings_;
  return Done{};
}

}  // namespace forebay::io::helper
