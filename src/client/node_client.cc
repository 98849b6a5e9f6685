#include "client/node_client.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>

#include "client/answers.h"
#include "client/node_connection.h"
#include "client/read_operation.h"

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

// The same for one that is answered by a descriptor, once: nobody waits for it where a node is too busy to say.
class RegionQuestion : public NodeOperation {
 public:
  RegionQuestion(NodeConnection& connection, const core::Plan& plan, TimePoint deadline, Callback<io::Descriptor> done)
      : NodeOperation(connection, deadline, 0), bytes_(plan.size), done_(std::move(done)) {
    *message_.mutable_plan() = wire::toMessage(plan);
  }

 private:
  void attempt() override {
    const auto self = std::static_pointer_cast<RegionQuestion>(shared_from_this());
    request_ = channel().call(wire::MessageType::RegionRequest, message_, deadline_,
                              [self](Result<reader::Answer> answer) { self->answered(std::move(answer)); });
  }
  void answered(Result<reader::Answer> answer) {
    request_ = 0;
    close();
    if (!answer) return done_(fail(answer.error()));
    const auto reply = wire::parse<wire::pb::RegionReply>(answer->body);
    if (!reply) return done_(fail(reply.error()));
    if (answer->descriptor == nullptr || reply->bytes() != bytes_) return done_(fail(notAnswered()));
    done_(std::move(*answer->descriptor));
  }
  void finish(const Error& error) override { done_(fail(error)); }

  const std::uint64_t bytes_;
  wire::pb::RegionRequest message_;
  Callback<io::Descriptor> done_;
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

NodeClient::NodeClient(std::unique_ptr<NodeConnection> connection) : connection_(std::move(connection)) {}
NodeClient::~NodeClient() {
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
  wire::pb::ResolveRequest request;
  request.set_mount(std::move(mount));
  for (const std::string& path : paths) request.add_paths(path);
  request.set_object_only(options.object_only);
  request.set_revalidate(options.revalidate);
  request.set_fill_up_to(options.fill_up_to);
  request.set_relay(true);
  ask(
      *connection_, wire::MessageType::ResolveRequest, std::move(request), deadline,
      [done = std::move(done), asked = paths.size()](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        auto reply = wire::parse<wire::pb::ResolveReply>(*body);
        if (!reply) return done(fail(reply.error()));
        if (static_cast<std::size_t>(reply->items_size()) != asked) return done(fail(notAnswered()));
        std::vector<Result<Attributes>> all;
        for (const auto& item : reply->items()) all.push_back(attributesOf(item));
        done(std::move(all));
      },
      call);
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
        auto reply = wire::parse<wire::pb::ListReply>(*body);
        if (!reply) return done(fail(reply.error()));
        if (reply->has_failure()) return done(fail(wire::fromMessage(reply->failure())));
        done(pageOf(*reply));
      },
      call);
}

namespace {

template <class T>
ReadOperation::Done oneResult(Callback<T> done) {
  return [done = std::move(done)](std::span<const Wanted> all) mutable {
    const Result<std::uint64_t> result = all.front().result();
    done(result ? Result<T>(static_cast<T>(*result)) : Result<T>(fail(result.error())));
  };
}

}  // namespace

void NodeClient::read(const core::Plan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
                      Callback<std::size_t> done) {
  std::vector<Wanted> wanted;
  wanted.push_back(Wanted::of(plan, offset, into.size(), {into}));
  connection_->run(std::make_shared<ReadOperation>(*connection_, std::move(wanted),
                                                   ReadOperation::Options{.deadline = deadline},
                                                   oneResult<std::size_t>(std::move(done))));
}

void NodeClient::warm(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<std::uint64_t> done) {
  std::vector<Wanted> wanted;
  wanted.push_back(Wanted::of(plan, offset, length, {}));
  connection_->run(std::make_shared<ReadOperation>(*connection_, std::move(wanted),
                                                   ReadOperation::Options{.warm_only = true, .deadline = deadline},
                                                   oneResult<std::uint64_t>(std::move(done))));
}

namespace {

// A batch of ranges on its way: its groups, of which a few are open at a time.
class Batch : public std::enable_shared_from_this<Batch> {
 public:
  using Results = NodeClient::BatchResults;
  using Done = std::move_only_function<void(Results)>;
  Batch(NodeConnection& connection, std::size_t items, Done done) : connection_(connection), done_(std::move(done)) {
    results_.reserve(items);
    for (std::size_t i = 0; i < items; ++i) results_.emplace_back(std::uint64_t{0});
  }

  void add(std::vector<Wanted> wanted, const ReadOperation::Options& options) {
    const std::size_t first = next_;
    next_ += wanted.size();
    groups_.push_back(std::make_shared<ReadOperation>(connection_, std::move(wanted), options,
                                                      [batch = shared_from_this(), first](std::span<const Wanted> all) {
                                                        for (std::size_t i = 0; i < all.size(); ++i)
                                                          batch->results_[first + i] = all[i].result();
                                                        --batch->open_;
                                                        batch->goOn();
                                                      }));
  }
  // In the loop: the next groups, or the end.
  void goOn() {
    // So many that the node always has work, so few that a batch leaves room for others.
    constexpr std::size_t kOpen = 16;
    for (; open_ < kOpen && !groups_.empty(); ++open_) {
      connection_.run(std::move(groups_.front()));
      groups_.pop_front();
    }
    if (open_ == 0) std::exchange(done_, {})(std::move(results_));
  }

 private:
  NodeConnection& connection_;
  Results results_;
  Done done_;
  std::size_t next_ = 0;  // the first result of the next group
  std::size_t open_ = 0;
  std::deque<std::shared_ptr<ReadOperation>> groups_;  // not yet open
};

}  // namespace

void NodeClient::readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                           std::move_only_function<void(BatchResults)> done, CallId call) {
  // Small enough that a batch's requests take turns with others, large enough that their number doesn't count.
  constexpr std::size_t kItems = 256;
  constexpr std::uint64_t kBytes = 64 * kMiB;
  auto batch = std::make_shared<Batch>(*connection_, items.size(), std::move(done));
  const ReadOperation::Options options{.warm_only = warm_only, .deadline = deadline, .call = call};
  for (std::size_t at = 0; at < items.size();) {
    std::vector<Wanted> group;
    std::uint64_t bytes = 0;
    for (; at < items.size() && group.size() < kItems; ++at) {
      BatchItem& item = items[at];
      Wanted wanted = Wanted::of(std::move(item.plan), item.offset, item.length, std::move(item.into));
      bytes += wanted.length;
      group.push_back(std::move(wanted));
      if (bytes >= kBytes) {
        ++at;
        break;
      }
    }
    batch->add(std::move(group), options);
  }
  // In a callback its groups are open at once, for a cancel that is going on: the callers' callbacks come later anyhow.
  if (connection_->inLoop() && !items.empty()) return batch->goOn();
  connection_->post([batch] { batch->goOn(); });
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
  ask(*connection_, wire::MessageType::LoadRequest, std::move(request), deadline,
      [asked = static_cast<int>(plans.size()), done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        auto reply = wire::parse<wire::pb::LoadReply>(*body);
        if (reply && reply->items_size() != asked) reply = fail(notAnswered());
        done(std::move(reply));
      });
}

void NodeClient::region(const core::Plan& plan, TimePoint deadline, Callback<io::Descriptor> done) {
  connection_->run(std::make_shared<RegionQuestion>(*connection_, plan, deadline, std::move(done)));
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

void NodeClient::status(bool cell, TimePoint deadline, Callback<wire::pb::StatusReply> done) {
  wire::pb::StatusRequest request;
  request.set_cell(cell);
  ask(*connection_, wire::MessageType::StatusRequest, std::move(request), deadline,
      [done = std::move(done)](Result<Bytes> body) mutable {
        if (!body) return done(fail(body.error()));
        done(wire::parse<wire::pb::StatusReply>(*body));
      });
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
  void read(const core::Plan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
            Callback<std::size_t> done) override {
    node_->read(plan, offset, into, deadline, std::move(done));
  }
  void region(const core::Plan& plan, TimePoint deadline, Callback<io::Descriptor> done) override {
    node_->region(plan, deadline, std::move(done));
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
