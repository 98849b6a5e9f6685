#include "io/helper/memory_account.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/config_values.h"

namespace forebay::io::helper {

Result<std::unique_ptr<MemoryAccount>> MemoryAccount::create(std::uint64_t max_bytes, unsigned max_directories) {
  Descriptor events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!events.valid()) return failErrno("inotify, to hear of memory directories that have gone", errno);
  return std::unique_ptr<MemoryAccount>(new MemoryAccount(std::move(events), max_bytes, max_directories));
}

Status MemoryAccount::reserve(uid_t user, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Share& share = shares_[user];
  const std::uint64_t left = max_bytes_ - share.bytes;
  if (bytes <= left && share.directories < max_directories_) {
    share.bytes += bytes;
    ++share.directories;
    return {};
  }
  const std::string used =
      fmt::format("uid {} has {} in {} directories", user, config::sizeText(share.bytes), share.directories);
  if (share.directories == 0) shares_.erase(user);
  if (bytes > max_bytes_)
    return fail(Code::PermissionDenied,
                fmt::format("memory directory of {}: the helper gives one user {} in all (--max-memory)",
                            config::sizeText(bytes), config::sizeText(max_bytes_)));
  return fail(Code::Busy, fmt::format("memory directory of {}: {}, and the helper gives one user {} in {} at most "
                                      "(--max-memory)",
                                      config::sizeText(bytes), used, config::sizeText(max_bytes_), max_directories_));
}

void MemoryAccount::release(uid_t user, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  releaseLocked(user, bytes);
}

void MemoryAccount::releaseLocked(uid_t user, std::uint64_t bytes) {
  const auto share = shares_.find(user);
  if (share == shares_.end()) return;
  share->second.bytes -= bytes;
  if (--share->second.directories == 0) shares_.erase(share);
}

Status MemoryAccount::watch(int directory, uid_t user, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::string path = fmt::format("/proc/self/fd/{}", directory);
  const int number = ::inotify_add_watch(events_.get(), path.c_str(), IN_ONLYDIR | IN_DELETE_SELF);
  if (number >= 0) {
    watched_[number] = {user, bytes};
    return {};
  }
  const int error = errno;
  releaseLocked(user, bytes);
  return failErrno("memory directory: hear of its end", error);
}

void MemoryAccount::collect() {
  alignas(inotify_event) std::array<char, 64 * (sizeof(inotify_event) + NAME_MAX + 1)> buffer;
  for (;;) {
    const ssize_t size = ::read(events_.get(), buffer.data(), buffer.size());
    if (size <= 0) return;
    const std::lock_guard lock(mutex_);
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      at += sizeof event + event.len;
      if ((event.mask & (IN_UNMOUNT | IN_IGNORED)) == 0) continue;
      const auto gone = watched_.find(event.wd);
      if (gone == watched_.end()) continue;
      releaseLocked(gone->second.user, gone->second.bytes);
      watched_.erase(gone);
    }
  }
}

std::uint64_t MemoryAccount::of(uid_t user) const {
  const std::lock_guard lock(mutex_);
  const auto share = shares_.find(user);
  return share == shares_.end() ? 0 : share->second.bytes;
}

}  // namespace forebay::io::helper
