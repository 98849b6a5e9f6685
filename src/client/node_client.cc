#include "client/node_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <thread>

#include "core/backoff.h"
#include "io/reactor.h"
#include "reader/channel.h"

namespace forebay::client {
namespace {

constexpr Duration kDefaultDeadline = 60s;
constexpr core::Backoff kBackoff{.first = 20ms, .most = 1s};
// A failure that a node answers is one that it did much against itself: its origin's retries, a peer's alternates. So
// it is asked a few times more, for a node or a peer that was just going away, and then the failure counts. (Asking on
// until the deadline would defeat the origin's retry budget, and hide its reason behind "too late".)
constexpr int kAnsweredFailures = 3;

TimePoint orDefault(TimePoint deadline) {
  return deadline == kNever ? io::Reactor::now() + kDefaultDeadline : deadline;
}

Status notAnswered() {
  return fail(Code::Corrupt, "the node's answer isn't one to this question");
}

}  // namespace

class NodeClient::Impl : public std::enable_shared_from_this<NodeClient::Impl> {
 public:
  // One question, repeated until it is answered for good.
  class Op : public std::enable_shared_from_this<Op> {
   public:
    Op(Impl& client, TimePoint deadline) : client_(client), deadline_(orDefault(deadline)) {}
    virtual ~Op() = default;
    virtual void attempt() = 0;
    virtual void finish(const Error& error) = 0;  // for good, with an error

    // After a failed attempt: again, if that can help and there is time.
    void failed(const Error& error, bool enough = false) {
      const Duration wait =
          kBackoff.wait(attempts_++, client_.random_, std::chrono::milliseconds(error.retry_after_ms));
      const bool again = !enough && error.retryable() && !client_.closing_ && io::Reactor::now() + wait < deadline_;
      if (!again) {
        client_.ops_.erase(shared_from_this());
        finish(error);
        return;
      }
      timer_ = client_.reactor_->after(wait, [self = shared_from_this()] {
        self->timer_ = 0;
        self->attempt();
      });
    }
    void cancelWait() {
      if (timer_ == 0) return;
      client_.reactor_->cancel(timer_);
      timer_ = 0;
      client_.ops_.erase(shared_from_this());
      finish({Code::Cancelled, "the client is shutting down", 0});
    }
    void ended() { client_.ops_.erase(shared_from_this()); }

   protected:
    Impl& client_;
    const TimePoint deadline_;

   private:
    std::uint32_t attempts_ = 0;
    io::TimerId timer_ = 0;
  };

  explicit Impl(std::string name) : name_(std::move(name)), random_(systemRandom()) {}

  Status start(const io::Address& node) {
    reactor_ = TRY(io::Reactor::create());
    reader::ChannelOptions options;
    options.connection.self.name = name_;
    options.max_in_flight = 4'096;
    options.max_backoff = 500ms;
    resolver_ = std::make_unique<io::WorkerPool>(*reactor_, 1, 16);
    options.resolver = resolver_.get();
    channel_ = std::make_unique<reader::Channel>(*reactor_, node, options);
    thread_ = std::thread([this] { reactor_->run(); });
    return {};
  }

  void stop() {
    reactor_->post([this] {
      closing_ = true;
      channel_->close();
      const auto waiting = ops_;
      for (const auto& op : waiting) op->cancelWait();
      // What the channel failed is told in later rounds of the loop: stop when all of it was.
      stopWhenIdle();
    });
    thread_.join();
    resolver_.reset();
    channel_.reset();
  }

  void run(std::shared_ptr<Op> op) {
    reactor_->post([this, op = std::move(op)] {
      ops_.insert(op);
      if (closing_) return op->failed({Code::Cancelled, "the client is shutting down", 0});
      op->attempt();
    });
  }
  template <class Message>
  void call(wire::MessageType type, Message message, TimePoint deadline,
            std::move_only_function<void(Result<Bytes>)> done);

  reader::Channel& channel() { return *channel_; }

 private:
  friend class Op;
  void stopWhenIdle() {
    if (ops_.empty()) return reactor_->stop();
    reactor_->after(1ms, [this] { stopWhenIdle(); });
  }

  const std::string name_;
  std::unique_ptr<io::Reactor> reactor_;
  std::unique_ptr<io::WorkerPool> resolver_;
  std::unique_ptr<reader::Channel> channel_;
  std::thread thread_;
  std::set<std::shared_ptr<Op>> ops_;
  Random random_;
  bool closing_ = false;
};

namespace {

// ---- questions whose answer is one message ----

template <class Base, class Message>
class Question : public Base {
 public:
  template <class Client>
  Question(Client& client, reader::Channel& channel, wire::MessageType type, Message message, TimePoint deadline,
           std::move_only_function<void(Result<Bytes>)> done)
      : Base(client, deadline), channel_(channel), type_(type), message_(std::move(message)), done_(std::move(done)) {}

  void attempt() override {
    channel_.call(type_, message_, this->deadline_,
                  [self = this->shared_from_this(), this](Result<reader::Answer> answer) {
                    if (!answer) return this->failed(answer.error());
                    this->ended();
                    done_(answer->body);
                  });
  }
  void finish(const Error& error) override { done_(fail(error)); }

 private:
  reader::Channel& channel_;
  const wire::MessageType type_;
  const Message message_;
  std::move_only_function<void(Result<Bytes>)> done_;
};

// ---- bytes ----

struct Wanted {
  core::Plan plan;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // inside the object
  MutableBytes into;         // empty: only warm
};

// One read of a range of an object, cut into its chunks. What has arrived isn't asked for again.
template <class Base>
class ReadOp : public Base, public reader::ReadObserver {
 public:
  template <class Client>
  ReadOp(Client& client, reader::Channel& channel, Wanted wanted, TimePoint deadline,
         std::move_only_function<void(Status)> done)
      : Base(client, deadline), channel_(channel), wanted_(std::move(wanted)), done_(std::move(done)) {
    const std::uint64_t end = wanted_.offset + wanted_.length;
    for (std::uint64_t at = wanted_.offset; at < end;) {
      const auto chunk = static_cast<std::uint32_t>(at >> wanted_.plan.chunk_bits);
      const std::uint64_t start = std::uint64_t{chunk} << wanted_.plan.chunk_bits;
      const std::uint64_t stop = std::min(end, start + wanted_.plan.chunkLength(chunk));
      parts_.push_back({chunk, static_cast<std::uint32_t>(at - start), static_cast<std::uint32_t>(stop - at)});
      at = stop;
    }
  }

  void attempt() override {
    const wire::ReadObject object = wire::ReadObject::of(wanted_.plan);
    asked_.clear();
    std::vector<wire::ReadItem> items;
    for (std::size_t i = 0; i < parts_.size() && items.size() < wire::kMaxReadItems; ++i) {
      if (parts_[i].length == 0) continue;
      wire::ReadItem item;
      item.flags = wanted_.into.empty() ? wire::kRelay | wire::kNoBytes : wire::kRelay;
      item.range = parts_[i];
      items.push_back(item);
      asked_.push_back(i);
    }
    if (items.empty()) {  // nothing was asked for
      this->ended();
      done_({});
      return;
    }
    error_.reset();
    answered_failure_ = false;
    keep_ = this->shared_from_this();
    channel_.read({.objects = {&object, 1}, .items = items}, *this, this->deadline_);
  }
  void finish(const Error& error) override { done_(fail(error)); }

  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    if (!wanted_.into.empty()) target.add(place(item, offset).first(length));
  }
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override {
    core::ChunkRange& part = parts_[asked_[item]];
    if (view.head().offset != part.offset) return;  // out of order: asked again
    part.offset += view.head().length;
    part.length -= view.head().length;
  }
  void finished(std::uint16_t item, const reader::ItemResult& result) override {
    core::ChunkRange& part = parts_[asked_[item]];
    if (result.outcome == wire::ReadOutcome::Ok) {
      if (wanted_.into.empty()) part.length = 0;
      return;
    }
    Error error = result.error;
    if (result.outcome == wire::ReadOutcome::Error) answered_failure_ = true;
    if (result.outcome == wire::ReadOutcome::Busy) error.code = Code::Busy;
    if (result.outcome == wire::ReadOutcome::Gone) error.code = Code::Gone;
    if (result.outcome == wire::ReadOutcome::Moved) error.code = Code::Unavailable;
    // The error that ends the read counts: one that passes hides none that stays.
    if (!error_ || error_->retryable()) error_ = std::move(error);
  }
  void done(Status status) override {
    const auto keep = std::move(keep_);
    if (!status && (!error_ || error_->retryable())) error_ = status.error();
    const bool whole = std::ranges::all_of(parts_, [](const auto& part) { return part.length == 0; });
    if (whole) {
      this->ended();
      done_({});
    } else if (error_) {
      if (answered_failure_) ++answered_failures_;
      this->failed(*error_, answered_failures_ >= kAnsweredFailures);
    } else {
      attempt();  // more parts than one request holds
    }
  }

 private:
  MutableBytes place(std::uint16_t item, std::uint32_t offset) const {
    const std::uint64_t at = (std::uint64_t{parts_[asked_[item]].chunk} << wanted_.plan.chunk_bits) + offset;
    return wanted_.into.subspan(at - wanted_.offset);
  }

  reader::Channel& channel_;
  const Wanted wanted_;
  std::move_only_function<void(Status)> done_;
  std::vector<core::ChunkRange> parts_;  // what is still missing of each
  std::vector<std::size_t> asked_;       // by item of the running request
  std::optional<Error> error_;
  bool answered_failure_ = false;  // in the running request
  int answered_failures_ = 0;
  std::shared_ptr<void> keep_;  // while the channel knows us
};

Attributes attributesOf(const wire::pb::Resolved& item) {
  Attributes attributes;
  attributes.directory = item.directory();
  attributes.ttl = std::chrono::milliseconds(item.ttl_ms());
  if (!item.directory()) attributes.plan = wire::fromMessage(item.plan());
  return attributes;
}

DirectoryPage pageOf(wire::pb::ListReply& reply) {
  DirectoryPage page;
  page.next_cursor = reply.next_cursor();
  page.hidden = reply.hidden();
  page.ttl = std::chrono::milliseconds(reply.ttl_ms());
  for (auto& e : *reply.mutable_entries())
    page.entries.push_back({.name = std::move(*e.mutable_name()),
                            .directory = e.directory(),
                            .size = e.size(),
                            .version = std::move(*e.mutable_version()),
                            .mtime_ns = e.mtime_ns()});
  return page;
}

client::Where whereOf(const wire::pb::WhereReply& reply) {
  client::Where where;
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

template <class Message>
void NodeClient::Impl::call(wire::MessageType type, Message message, TimePoint deadline,
                            std::move_only_function<void(Result<Bytes>)> done) {
  run(std::make_shared<Question<Op, Message>>(*this, *channel_, type, std::move(message), deadline, std::move(done)));
}

NodeClient::NodeClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
NodeClient::~NodeClient() {
  impl_->stop();
}

Result<std::shared_ptr<NodeClient>> NodeClient::create(const io::Address& node, std::string name) {
  auto impl = std::make_shared<Impl>(std::move(name));
  TRY(impl->start(node));
  return std::shared_ptr<NodeClient>(new NodeClient(std::move(impl)));
}

void NodeClient::resolve(std::string mount, std::string path, ResolveOptions options, TimePoint deadline,
                         Callback<Attributes> done) {
  resolveAll(std::move(mount), {&path, 1}, options, deadline,
             [done = std::move(done)](Result<std::vector<Result<Attributes>>> all) mutable {
               if (!all) return done(fail(all.error()));
               done(std::move(all->front()));
             });
}

void NodeClient::resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options,
                            TimePoint deadline, Callback<std::vector<Result<Attributes>>> done) {
  wire::pb::ResolveRequest request;
  request.set_mount(std::move(mount));
  for (const std::string& path : paths) request.add_paths(path);
  request.set_object_only(options.object_only);
  request.set_revalidate(options.revalidate);
  request.set_relay(true);
  impl_->call(wire::MessageType::ResolveRequest, std::move(request), deadline,
              [done = std::move(done), asked = paths.size()](Result<Bytes> body) mutable {
                if (!body) return done(fail(body.error()));
                auto reply = wire::parse<wire::pb::ResolveReply>(*body);
                if (!reply) return done(fail(reply.error()));
                if (static_cast<std::size_t>(reply->items_size()) != asked) return done(fail(notAnswered().error()));
                std::vector<Result<Attributes>> all;
                for (const auto& item : reply->items()) {
                  if (item.has_failure())
                    all.emplace_back(fail(wire::fromMessage(item.failure())));
                  else
                    all.emplace_back(attributesOf(item));
                }
                done(std::move(all));
              });
}

void NodeClient::list(std::string mount, std::string path, std::string cursor, ListOptions options, TimePoint deadline,
                      Callback<DirectoryPage> done) {
  wire::pb::ListRequest request;
  request.set_mount(std::move(mount));
  request.set_path(std::move(path));
  request.set_cursor(std::move(cursor));
  request.set_max_entries(options.max);
  request.set_raw(options.raw);
  request.set_relay(true);
  impl_->call(wire::MessageType::ListRequest, std::move(request), deadline,
              [done = std::move(done)](Result<Bytes> body) mutable {
                if (!body) return done(fail(body.error()));
                auto reply = wire::parse<wire::pb::ListReply>(*body);
                if (!reply) return done(fail(reply.error()));
                if (reply->has_failure()) return done(fail(wire::fromMessage(reply->failure())));
                done(pageOf(*reply));
              });
}

namespace {
std::uint64_t inside(const core::Plan& plan, std::uint64_t offset, std::uint64_t length) {
  return offset >= plan.size ? 0 : std::min(length, plan.size - offset);
}
}  // namespace

void NodeClient::read(const core::Plan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
                      Callback<std::size_t> done) {
  const auto length = static_cast<std::size_t>(inside(plan, offset, into.size()));
  impl_->run(std::make_shared<ReadOp<Impl::Op>>(
      *impl_, impl_->channel(), Wanted{plan, offset, length, into.first(length)}, deadline,
      [done = std::move(done), length](Status status) mutable {
        done(status ? Result<std::size_t>(length) : Result<std::size_t>(fail(status.error())));
      }));
}

void NodeClient::warm(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<std::uint64_t> done) {
  length = inside(plan, offset, length);
  impl_->run(std::make_shared<ReadOp<Impl::Op>>(*impl_, impl_->channel(), Wanted{plan, offset, length, {}}, deadline,
                                                [done = std::move(done), length](Status status) mutable {
                                                  done(status ? Result<std::uint64_t>(length)
                                                              : Result<std::uint64_t>(fail(status.error())));
                                                }));
}

void NodeClient::where(std::string mount, std::string path, TimePoint deadline, Callback<Where> done) {
  wire::pb::WhereRequest request;
  request.set_mount(std::move(mount));
  request.set_path(std::move(path));
  impl_->call(wire::MessageType::WhereRequest, std::move(request), deadline,
              [done = std::move(done)](Result<Bytes> body) mutable {
                if (!body) return done(fail(body.error()));
                auto reply = wire::parse<wire::pb::WhereReply>(*body);
                if (!reply) return done(fail(reply.error()));
                if (reply->has_failure()) return done(fail(wire::fromMessage(reply->failure())));
                done(whereOf(*reply));
              });
}

void NodeClient::status(bool cell, TimePoint deadline, Callback<wire::pb::StatusReply> done) {
  wire::pb::StatusRequest request;
  request.set_cell(cell);
  impl_->call(wire::MessageType::StatusRequest, std::move(request), deadline,
              [done = std::move(done)](Result<Bytes> body) mutable {
                if (!body) return done(fail(body.error()));
                done(wire::parse<wire::pb::StatusReply>(*body));
              });
}

void NodeClient::addMount(const wire::pb::AddMountRequest& request, TimePoint deadline, Callback<std::string> done) {
  impl_->call(wire::MessageType::AddMountRequest, request, deadline,
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
