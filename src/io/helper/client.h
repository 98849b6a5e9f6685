// io::Privileged by way of `forebay helper` (helper/server.h), for processes without CAP_SYS_ADMIN.
//
// Whatever belongs to the start of a node or a mount takes a connection of its own, for one question. Backing files
// have a connection for as long as their mount lives, and a thread that keeps it: it notices when the helper goes away,
// tries again after 250 ms, then less and less often, every five seconds at the least, and sends what was to be closed.
#pragma once

#include <memory>
#include <string>

#include "io/privileged.h"

namespace forebay::io::helper {

class HelperClient final : public Privileged {
 public:
  explicit HelperClient(std::string path) : path_(std::move(path)) {}

  // NotFound: there is no such socket.
  Result<MemoryDirectory> memoryDirectory(std::uint64_t size_bytes) override;
  Result<Descriptor> mountFuse(const std::string& mount_point, const FuseMountOrder& order) override;
  Status unmountFuse(const std::string& mount_point, bool lazily) override;
  std::unique_ptr<BackingFiles> backingFiles(int device) override;

 private:
  const std::string path_;
};

}  // namespace forebay::io::helper
