// The real Cell: client::NodeClient, with calls that wait.
#include <fmt/format.h>
#include <unistd.h>

#include "cli/cell.h"
#include "client/node_client.h"

namespace forebay::cli {
namespace {

class NodeCell : public Cell {
 public:
  NodeCell(std::shared_ptr<client::NodeClient> node, Duration timeout) : node_(std::move(node)), timeout_(timeout) {}

  Result<std::vector<Result<client::Attributes>>> resolve(const std::string& mount, std::span<const std::string> paths,
                                                          bool object_only) override {
    return client::wait<std::vector<Result<client::Attributes>>>([&](auto done) {
      node_->resolveAll(mount, paths, {.object_only = object_only, .revalidate = false}, deadline(), std::move(done));
    });
  }
  Result<client::DirectoryPage> list(const ObjectName& directory, const std::string& cursor, bool raw) override {
    return client::wait<client::DirectoryPage>([&](auto done) {
      node_->list(directory.mount, directory.path, cursor, {.max = 0, .raw = raw}, deadline(), std::move(done));
    });
  }
  Result<client::DirectoryPage> listOrigin(const ObjectName& directory, const std::string& cursor) override {
    return client::wait<client::DirectoryPage>([&](auto done) {
      node_->list(directory.mount, directory.path, cursor, {.max = 0, .raw = true, .from_origin = true}, deadline(),
                  std::move(done));
    });
  }
  Result<std::size_t> read(const std::string&, const core::Plan& plan, std::uint64_t offset,
                           MutableBytes into) override {
    return client::wait<std::size_t>([&](auto done) {
      node_->read(std::make_shared<const core::Plan>(plan), offset, into, deadline(), std::move(done));
    });
  }
  Result<wire::pb::LoadReply> load(std::span<const core::Plan> plans, const client::LoadTarget& target) override {
    return client::wait<wire::pb::LoadReply>(
        [&](auto done) { node_->load(plans, target, deadline(), std::move(done)); });
  }
  Result<client::Where> where(const ObjectName& object) override {
    return client::wait<client::Where>(
        [&](auto done) { node_->where(object.mount, object.path, deadline(), std::move(done)); });
  }
  Result<wire::pb::StatusReply> status(bool whole_cell) override {
    return client::wait<wire::pb::StatusReply>(
        [&](auto done) { node_->status(whole_cell, deadline(), std::move(done)); });
  }
  Result<wire::pb::RefreshReply> refresh(const std::string& mount, std::span<const std::string> paths) override {
    return client::wait<wire::pb::RefreshReply>(
        [&](auto done) { node_->refresh(mount, paths, deadline(), std::move(done)); });
  }
  Result<wire::pb::EvictReply> evict(const std::string& mount, std::span<const std::string> paths) override {
    return client::wait<wire::pb::EvictReply>(
        [&](auto done) { node_->evict(mount, paths, deadline(), std::move(done)); });
  }

 private:
  TimePoint deadline() const { return io::Reactor::now() + timeout_; }
  std::shared_ptr<client::NodeClient> node_;
  const Duration timeout_;
};

}  // namespace

namespace {
Error noNode(const io::Address& address, std::string_view why) {
  return {Code::Unavailable,
          fmt::format("no node answers at {} ({}): start one (`forebay node`, or `forebay mount URL DIR`), or say with "
                      "--node where it is",
                      address.text(), why),
          0};
}
}  // namespace

Result<std::unique_ptr<Cell>> connectCell(const ConnectOptions& options) {
  if (options.address.isUnix()) {
    const auto there = io::startConnect(options.address);
    if (!there) return fail(noNode(options.address, there.error().message));
  }
  auto node = TRY(client::NodeClient::create(options.address, fmt::format("forebay:{}", getpid())));
  // One cheap question tells whether anybody is there, before a command starts on something longer. Behind a Unix
  // socket that takes connections there is: it may be busy with listings for many others.
  const Duration first_answer = options.address.isUnix() ? 20s : 3s;
  const auto answer = client::wait<wire::pb::StatusReply>([&](auto done) {
    node->status(false, io::Reactor::now() + std::min(first_answer, options.timeout), std::move(done));
  });
  if (!answer) return fail(noNode(options.address, answer.error().message));
  return std::make_unique<NodeCell>(std::move(node), options.timeout);
}

}  // namespace forebay::cli
