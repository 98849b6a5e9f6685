#include "client/node_client.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>

#include "client/answers.h"
#include "client/node_batch.h"
#include "client/node_connection.h"
#include "client/node_names.h"
#include "client/node_view.h"
#include "client/read_operation.h"
#include "client/shared_memory.h"
#include "wire/many_parts.h"

namespace forebay::client {
namespace {

// A question whose answer is one message.
template <class Message>
class Question : public NodeOperation {
 public:
  Question(NodeConnection& connection, wire::MessageType type, Message message, TimePoint deadline,
           std::move_only_function<void(Result<Bytes>)> done, CallId call)
      : NodeOperation(connection, deadline, call), type_(type), message_(std::move(message)), done_(std::move(done)) {}

 private:
  void attempt() override {
    request_ = channel().call(type_, message_, deadline_,
                              [this, self = this->shared_from_this()](Result<reader::Answer> answer) {
                                request_ = 0;
                                if (!answer) return failed(answer.error());
                                close();
                                done_(answer->body);
                              });
  }
  void finish(const Error& error) override { done_(fail(error)); }

  const wire::MessageType type_;
  const Message message_;
  std::move_only_function<void(Result<Bytes>)> done_;
};

template <class Message>
void ask(NodeConnection& connection, wire::MessageType type, Message message, TimePoint deadline,
         std::move_only_function<void(Result<Bytes>)> done, CallId call = 0) {
  connection.run(
      std::make_shared<Question<Message>>(connection, type, std::move(message), deadline, std::move(done), call));
}

Result<Where> whereOf(const wire::pb::WhereReply& reply) {
  if (reply.has_failure()) return fail(wire::fromMessage(reply.failure()));
  if (!reply.has_plan()) return fail(notAnswered());
  Where where;
  where.plan = wire::fromMessage(reply.plan());
  where.unreachable.assign(reply.unreachable().begin(), reply.unreachable().end());
  for (const auto& chunk : reply.chunks()) {
    ChunkPlacement placement;
    placement.chunk = chunk.chunk();
    placement.slot = static_cast<core::Slot>(chunk.slot());
    placement.bytes = chunk.bytes();
    placement.owners.assign(chunk.owners().begin(), chunk.owners().end());
    for (int i = 0; i < std::min(chunk.holders_size(), chunk.held_bytes_size()); ++i)
      placement.holders.emplace_back(chunk.holders(i), chunk.held_bytes(i));
    where.chunks.push_back(std::move(placement));
  }
  return where;
}

}  // namespace

NodeClient::NodeClient(std::unique_ptr<NodeConnection> connection) : connection_(std::move(connection)) {
  shareMemory(true);
}
NodeClient::~NodeClient() {
  if (shared_) shared_->slabs()->close();
  connection_->stop();
}

Result<std::shared_ptr<NodeClient>> NodeClient::create(const io::Address& node, std::string name) {
  auto connection = std::make_unique<NodeConnection>(std::move(name));
  TRY(connection->start(node));
  return std::shared_ptr<NodeClient>(new NodeClient(std::move(connection)));
}

void NodeClient::resolve(std::string mount, std::string path, ResolveOptions options, TimePoint deadline,
                         Callback<Attributes> done, CallId call) {
  resolveAll(
      std::move(mount), {&path, 1}, std::move(options), deadline,
      [done = std::move(done)](Result<std::vector<Result<Attributes>>> all) mutable {
        if (!all) return done(fail(all.error()));
        done(std::move(all->front()));
      },
      call);
}

void NodeClient::resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options,
                            TimePoint deadline, Callback<Answers> done, CallId call) {
  connection_->run(std::make_shared<NodeResolve>(*connection_, slabs(), std::move(mount), paths, std::move(options),
                                                 deadline, std::move(done), call));
}

void NodeClient::list(std::string mount, std::string path, std::string cursor, ListOptions options, TimePoint deadline,
                      Callback<DirectoryPage> done, CallId call) {
  wire::pb::ListRequest request;
  request.set_mount(std::move(mount));
  request.set_path(std::move(path));
  request.set_cursor(std::move(cursor));
  request.set_max_entries(options.max);
  request.set_raw(options.raw);
  request.set_from_origin(options.from_origin);
  request.set_relay(true);
  ask(
      *connection_, wire::MessageType::ListRequest, std::move(request), deadline,
      [done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        const auto answer = wire::parseMany<wire::pb::ListReply>(*body);
        if (!answer) return done(fail(answer.error()));
        wire::pb::ListReply& reply = **answer;
        if (reply.has_failure()) return done(fail(wire::fromMessage(reply.failure())));
        done(pageOf(reply));
      },
      call);
}

void NodeClient::read(core::SharedPlan plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
                      Callback<std::size_t> done) {
  connection_->run(std::allocate_shared<OneRead>(PooledIn<OneRead>(connection_->readBlocks()), *connection_,
                                                 Wanted::of(std::move(plan), offset, into.size(), {into}),
                                                 ReadOperation::Options{.deadline = deadline, .slabs = slabs()},
                                                 std::move(done)));
}

void NodeClient::warm(core::SharedPlan plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<std::uint64_t> done) {
  connection_->run(std::make_shared<OneRead>(*connection_, Wanted::of(std::move(plan), offset, length, {}),
                                             ReadOperation::Options{.warm_only = true, .deadline = deadline},
                                             std::move(done)));
}

void NodeClient::readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                           std::move_only_function<void(BatchResults)> done, CallId call) {
  const ReadOperation::Options options{.warm_only = warm_only, .deadline = deadline, .call = call, .slabs = slabs()};
  const bool none = items.empty();
  auto batch = std::make_shared<NodeBatch>(*connection_, shared_, std::move(items), options, std::move(done));
  // In a callback its groups are open at once, for a cancel that is going on: the callers' callbacks come later anyhow.
  if (connection_->inLoop() && !none) return batch->goOn();
  connection_->post([batch] { batch->goOn(); });
}

std::optional<std::uint64_t> NodeClient::readMapped(const core::Plan& plan, std::uint64_t offset, std::uint64_t length,
                                                    std::span<const MutableBytes> into) {
  return shared_ ? shared_->read(plan, offset, length, into) : std::nullopt;
}

void NodeClient::shareMemory(bool share) {
  shared_ = share ? std::make_shared<SharedMemory>(*connection_) : nullptr;
  connection_->whenLost([slabs = slabs()] {
    if (slabs) slabs->lost();
  });
}

std::shared_ptr<SlabLink> NodeClient::slabs() const {
  return shared_ ? shared_->slabs() : nullptr;
}

void NodeClient::view(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<BytesView> done, CallId call) {
  auto view = std::make_shared<NodeView>(*connection_, shared_, plan, offset, length,
                                         NodeView::Options{.deadline = deadline, .call = call}, std::move(done));
  connection_->post([view] { view->start(); });
}

OperationLoop& NodeClient::loop() {
  return *connection_;
}

void NodeClient::post(std::move_only_function<void()> task) {
  connection_->post(std::move(task));
}

CallId CellReader::newCall() {
  static std::atomic<CallId> last = 0;
  return ++last;
}

void NodeClient::cancel(CallId call) {
  if (call != 0) connection_->cancel(call);
}

void NodeClient::load(std::span<const core::Plan> plans, const LoadTarget& target, TimePoint deadline,
                      Callback<wire::pb::LoadReply> done) {
  wire::pb::LoadRequest request;
  for (const core::Plan& plan : plans) *request.add_plans() = wire::toMessage(plan);
  request.set_copies(target.copies);
  request.mutable_without()->Assign(target.without.begin(), target.without.end());
  request.set_at_once(target.at_once);
  request.set_anew(target.anew);
  ask(*connection_, wire::MessageType::LoadRequest, std::move(request), deadline,
      [asked = static_cast<int>(plans.size()), done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        auto reply = wire::parse<wire::pb::LoadReply>(*body);
        if (reply && reply->items_size() != asked) reply = fail(notAnswered());
        done(std::move(reply));
      });
}

void NodeClient::region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
                        Callback<io::Descriptor> done) {
  askRegion(*connection_, plan, wish, deadline, std::move(done));
}

void NodeClient::where(std::string mount, std::string path, TimePoint deadline, Callback<Where> done) {
  wire::pb::WhereRequest request;
  request.set_mount(std::move(mount));
  request.set_path(std::move(path));
  ask(*connection_, wire::MessageType::WhereRequest, std::move(request), deadline,
      [done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        auto reply = wire::parse<wire::pb::WhereReply>(*body);
        if (!reply) return done(fail(reply.error()));
        done(whereOf(*reply));
      });
}

namespace {
void askStatus(NodeConnection& connection, wire::pb::StatusRequest request, TimePoint deadline,
               Callback<wire::pb::StatusReply> done) {
  ask(connection, wire::MessageType::StatusRequest, std::move(request), deadline,
      [done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        done(wire::parse<wire::pb::StatusReply>(*body));
      });
}
}  // namespace

void NodeClient::status(bool cell, TimePoint deadline, Callback<wire::pb::StatusReply> done) {
  wire::pb::StatusRequest request;
  request.set_cell(cell);
  askStatus(*connection_, std::move(request), deadline, std::move(done));
}

void NodeClient::reportTransport(std::string mount, std::string transport, std::string why, TimePoint deadline,
                                 Callback<wire::pb::StatusReply> done) {
  wire::pb::StatusRequest request;
  request.mutable_report()->set_mount(std::move(mount));
  request.mutable_report()->set_transport(std::move(transport));
  request.mutable_report()->set_transport_why(std::move(why));
  askStatus(*connection_, std::move(request), deadline, std::move(done));
}

namespace {
template <class Reply, class Request>
void tellCell(NodeConnection& connection, wire::MessageType type, std::string mount, std::span<const std::string> paths,
              TimePoint deadline, Callback<Reply> done) {
  Request request;
  request.set_mount(std::move(mount));
  for (const std::string& path : paths) request.add_paths(path);
  request.set_cell(true);
  ask(connection, type, std::move(request), deadline, [done = std::move(done)](Result<Bytes> body) mutable {
    if (!body) return done(fail(body.error()));
    done(wire::parse<Reply>(*body));
  });
}
}  // namespace

void NodeClient::refresh(std::string mount, std::span<const std::string> paths, TimePoint deadline,
                         Callback<wire::pb::RefreshReply> done) {
  tellCell<wire::pb::RefreshReply, wire::pb::RefreshRequest>(*connection_, wire::MessageType::RefreshRequest,
                                                             std::move(mount), paths, deadline, std::move(done));
}

void NodeClient::evict(std::string mount, std::span<const std::string> paths, TimePoint deadline,
                       Callback<wire::pb::EvictReply> done) {
  tellCell<wire::pb::EvictReply, wire::pb::EvictRequest>(*connection_, wire::MessageType::EvictRequest,
                                                         std::move(mount), paths, deadline, std::move(done));
}

void NodeClient::addMount(const wire::pb::AddMountRequest& request, TimePoint deadline, Callback<std::string> done) {
  ask(*connection_, wire::MessageType::AddMountRequest, request, deadline,
      [done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        auto reply = wire::parse<wire::pb::AddMountReply>(*body);
        if (!reply) return done(fail(reply.error()));
        if (reply->has_failure()) return done(fail(wire::fromMessage(reply->failure())));
        done(reply->name());
      });
}

namespace {

class MountClient : public Client {
 public:
  MountClient(std::shared_ptr<NodeClient> node, std::string mount) : node_(std::move(node)), mount_(std::move(mount)) {}
  void lookup(std::string path, bool revalidate, TimePoint deadline, Callback<Attributes> done) override {
    node_->resolve(mount_, std::move(path), {.object_only = false, .revalidate = revalidate}, deadline,
                   std::move(done));
  }
  void list(std::string path, std::string cursor, std::uint32_t max, TimePoint deadline,
            Callback<DirectoryPage> done) override {
    node_->list(mount_, std::move(path), std::move(cursor), {.max = max, .raw = false}, deadline, std::move(done));
  }
  void read(const core::SharedPlan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
            Callback<std::size_t> done) override {
    node_->read(plan, offset, into, deadline, std::move(done));
  }
  void region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
              Callback<io::Descriptor> done) override {
    node_->region(plan, wish, deadline, std::move(done));
  }
  void where(std::string path, TimePoint deadline, Callback<Where> done) override {
    node_->where(mount_, std::move(path), deadline, std::move(done));
  }

 private:
  std::shared_ptr<NodeClient> node_;
  const std::string mount_;
};

}  // namespace

std::unique_ptr<Client> NodeClient::mount(std::shared_ptr<NodeClient> node, std::string name) {
  return std::make_unique<MountClient>(std::move(node), std::move(name));
}

}  // namespace forebay::client
