#include "io/privileged.h"

#include <cerrno>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "io/helper/client.h"

namespace forebay::io {
namespace {

class OwnBackings final : public BackingFiles {
 public:
  explicit OwnBackings(int device) : device_(device) {}
  int open(int file) override { return openBacking(device_, file); }
  void close(std::uint32_t id) override {
    if (const int error = closeBacking(device_, id); error != 0)
      log::debug("fuse", "close backing file {}: {}", id, ::strerrordesc_np(error));
  }

 private:
  const int device_;
};

// Nobody may.
class NoBackings final : public BackingFiles {
 public:
  explicit NoBackings(std::string why) : why_(std::move(why)) {}
  int open(int) override { return -EAGAIN; }
  void close(std::uint32_t) override {}
  bool available() const override { return false; }
  std::string note() const override { return why_; }

 private:
  const std::string why_;
};

// With CAP_SYS_ADMIN.
class InProcess final : public Privileged {
 public:
  Result<MemoryDirectory> memoryDirectory(std::uint64_t size_bytes) override {
    return mountMemoryDirectory({.size_bytes = size_bytes, .uid = ::geteuid(), .gid = ::getegid()});
  }
  Result<Descriptor> mountFuse(const std::string& mount_point, const FuseMountOrder& order) override {
    return mountFuseAt(mount_point, order, ::geteuid(), ::getegid());
  }
  Status unmountFuse(const std::string& mount_point, bool lazily) override {
    return unmountAt(mount_point, mount_point, lazily);
  }
  std::unique_ptr<BackingFiles> backingFiles(int device) override { return std::make_unique<OwnBackings>(device); }
};

// The first that can: this process, the helper, and for memory a user namespace.
class FirstThatCan final : public Privileged {
 public:
  explicit FirstThatCan(const PrivilegedOptions& options) : options_(options), helper_(options.helper) {}

  Result<MemoryDirectory> memoryDirectory(std::uint64_t size_bytes) override {
    if (size_bytes == 0) return fail(Code::InvalidArgument, "a tmpfs of 0 bytes would have no bound: give it a size");
    std::string reasons, refused;
    const auto note = [&](const Error& error) { reasons += (reasons.empty() ? "" : "; ") + error.message; };
    if (haveSysAdmin()) {
      auto made = self_.memoryDirectory(size_bytes);
      if (made) return made;
      note(made.error());
    }
    if (!options_.helper.empty()) {
      auto made = helper_.memoryDirectory(size_bytes);
      if (made) return made;
      note(made.error());
      if (made.error().code != Code::NotFound) refused = "; " + made.error().message;
    }
    auto made = mountMemoryDirectory(
        {.size_bytes = size_bytes, .uid = ::geteuid(), .gid = ::getegid(), .user_namespace = true});
    if (made) {
      made->how += refused;  // somebody who was to do it better didn't
      return made;
    }
    note(made.error());
    return fail(Code::Unsupported, fmt::format("no tmpfs for the arena ({}): this user may not mount here", reasons));
  }

  Result<Descriptor> mountFuse(const std::string& mount_point, const FuseMountOrder& order) override {
    if (haveSysAdmin() && ::geteuid() == 0) return self_.mountFuse(mount_point, order);
    return orUnsupported(options_.helper.empty() ? noHelper() : helper_.mountFuse(mount_point, order));
  }

  Status unmountFuse(const std::string& mount_point, bool lazily) override {
    if (haveSysAdmin() && ::geteuid() == 0) return self_.unmountFuse(mount_point, lazily);
    return orUnsupported(options_.helper.empty() ? Status(noHelper()) : helper_.unmountFuse(mount_point, lazily));
  }

  std::unique_ptr<BackingFiles> backingFiles(int device) override {
    if (haveSysAdmin()) return self_.backingFiles(device);
    if (!options_.helper.empty() && ::access(options_.helper.c_str(), F_OK) == 0) return helper_.backingFiles(device);
    return std::make_unique<NoBackings>(
        options_.helper.empty() ? "it needs CAP_SYS_ADMIN, or `forebay helper`"
                                : fmt::format("it needs CAP_SYS_ADMIN, or `forebay helper` at {}", options_.helper));
  }

 private:
  static std::unexpected<Error> noHelper() { return fail(Code::Unsupported, "no helper is asked"); }
  // Without such a socket nobody was meant to be asked.
  template <class T>
  static Result<T> orUnsupported(Result<T> result) {
    if (!result && result.error().code == Code::NotFound) result.error().code = Code::Unsupported;
    return result;
  }

  const PrivilegedOptions options_;
  InProcess self_;
  helper::HelperClient helper_;
};

}  // namespace

std::unique_ptr<Privileged> makePrivileged(const PrivilegedOptions& options) {
  return std::make_unique<FirstThatCan>(options);
}

bool haveSysAdmin() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

}  // namespace forebay::io
