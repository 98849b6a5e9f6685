#include "io/helper/client.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>

#include "io/helper/backings.h"
#include "io/helper/channel.h"

namespace forebay::io::helper {
namespace {

Result<Answer> askOnce(const std::string& path, const Request& request, std::span<const int> descriptors = {}) {
  const Descriptor socket = TRY(connectTo(path));
  auto answer = ask(socket.get(), request, descriptors, kHelperPatience);
  if (answer) return answer;
  return fail(answer.error().code, fmt::format("the helper at {}: {}", path, answer.error().message));
}

Result<Descriptor> openDirectory(const std::string& path, bool follow) {
  Descriptor opened(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
  if (!opened.valid()) return failErrno(fmt::format("open {}", path), errno);
  return opened;
}

}  // namespace

Result<MemoryDirectory> HelperClient::memoryDirectory(std::uint64_t size_bytes) {
  auto answer = TRY(askOnce(path_, {.operation = Operation::MemoryDirectory, .number = size_bytes}));
  return MemoryDirectory{std::move(answer.descriptors[0]), std::move(answer.descriptors[1]),
                         fmt::format("{}, by the helper at {}", answer.reply.text, path_)};
}

Result<Descriptor> HelperClient::mountFuse(const std::string& mount_point, const FuseMountOrder& order) {
  // The helper has no path to it: what this user can't reach, it can't be made to reach.
  const Descriptor directory = TRY(openDirectory(mount_point, false));
  auto answer = TRY(askOnce(path_,
                            {.operation = Operation::MountFuse,
                             .number = order.max_read,
                             .flags = order.allow_other ? kAllowOther : 0,
                             .text = order.source},
                            std::array{directory.get()}));
  return std::move(answer.descriptors[0]);
}

Status HelperClient::unmountFuse(const std::string& mount_point, bool lazily) {
  const std::size_t slash = mount_point.rfind('/');
  if (slash == std::string::npos)
    return fail(Code::InvalidArgument, fmt::format("unmount {}: an absolute path is needed", mount_point));
  // Of the parent, because a descriptor of the mount itself would keep it busy.
  const Descriptor parent = TRY(openDirectory(slash == 0 ? "/" : mount_point.substr(0, slash), true));
  TRY(askOnce(
      path_,
      {.operation = Operation::UnmountFuse, .flags = lazily ? kLazily : 0, .text = mount_point.substr(slash + 1)},
      std::array{parent.get()}));
  return {};
}

std::unique_ptr<BackingFiles> HelperClient::backingFiles(int device) {
  return std::make_unique<HelperBackings>(path_, device);
}

}  // namespace forebay::io::helper
