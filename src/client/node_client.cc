#include "client/node_client.h"

#include <algorithm>
#include <atomic>
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
    Op(Impl& client, TimePoint deadline, CallId call) : client_(client), deadline_(orDefault(deadline)), call_(call) {}
    virtual ~Op() = default;
    virtual void attempt() = 0;
    virtual void forget() {}                      // the request was cancelled: nobody calls back
    virtual void finish(const Error& error) = 0;  // for good, with an error

    // After a failed attempt: again, if that can help and there is time.
    void failed(const Error& error, bool enough = false) {
      request_ = 0;
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
    void cancelCall() {
      const auto self = shared_from_this();
      if (timer_ != 0) client_.reactor_->cancel(timer_);
      timer_ = 0;
      if (request_ != 0) client_.channel_->cancel(request_);
      request_ = 0;
      client_.ops_.erase(self);
      forget();
      finish({Code::Cancelled, "the caller cancelled it", 0});
    }
    void ended() { client_.ops_.erase(shared_from_this()); }
    CallId call() const { return call_; }

   protected:
    Impl& client_;
    const TimePoint deadline_;
    reader::RequestId request_ = 0;  // on its way

   private:
    const CallId call_;
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

  // A call that a callback makes is known at once, so that cancel() finds the second step of a call as it does the
  // first.
  void run(std::shared_ptr<Op> op) {
    const bool in_loop = reactor_->inLoop();
    if (in_loop) ops_.insert(op);
    reactor_->post([this, in_loop, op = std::move(op)] {
      if (in_loop && !ops_.contains(op)) return;  // cancelled since
      ops_.insert(op);
      if (closing_) return op->failed({Code::Cancelled, "the client is shutting down", 0});
      op->attempt();
    });
  }
  // As one: `started` runs in the loop after the last.
  void runAll(std::vector<std::shared_ptr<Op>> ops, std::move_only_function<void()> started) {
    for (auto& op : ops) run(std::move(op));
    reactor_->post(std::move(started));
  }
  void cancel(CallId call) {
    reactor_->post([this, call] {
      const auto running = ops_;
      for (const auto& op : running)
        if (op->call() == call && ops_.contains(op)) op->cancelCall();
    });
  }
  template <class Message>
  void call(wire::MessageType type, Message message, TimePoint deadline,
            std::move_only_function<void(Result<Bytes>)> done, CallId call = 0);

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
           std::move_only_function<void(Result<Bytes>)> done, CallId call)
      : Base(client, deadline, call),
        channel_(channel),
        type_(type),
        message_(std::move(message)),
        done_(std::move(done)) {}

  void attempt() override {
    this->request_ = channel_.call(type_, message_, this->deadline_,
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
  std::vector<MutableBytes> into;
  std::optional<Error> error;  // for good
  std::optional<Error> last;   // of the running request
  int answered_failures = 0;
};

// Gives `target` the part [offset, offset + length) of what `pieces` make together.
void addRoom(std::span<const MutableBytes> pieces, std::uint64_t offset, std::uint64_t length, io::BulkTarget& target) {
  for (const MutableBytes piece : pieces) {
    if (length == 0) return;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const std::uint64_t part = std::min(length, piece.size() - offset);
    target.add(piece.subspan(offset, part));
    length -= part;
    offset = 0;
  }
}

// Ranges of objects, cut into their chunks. What has arrived isn't asked for again.
template <class Base>
class ReadOp : public Base, public reader::ReadObserver {
 public:
  using Done = std::move_only_function<void(std::span<Wanted>)>;  // `error` says which failed

  template <class Client>
  ReadOp(Client& client, reader::Channel& channel, std::vector<Wanted> wanted, bool warm_only, TimePoint deadline,
         Done done, CallId call = 0)
      : Base(client, deadline, call),
        channel_(channel),
        wanted_(std::move(wanted)),
        warm_only_(warm_only),
        done_(std::move(done)) {
    for (std::size_t i = 0; i < wanted_.size(); ++i) cut(i);
  }

  void attempt() override {
    std::vector<wire::ReadObject> objects;
    std::vector<wire::ReadItem> items;
    gather(objects, items);
    if (items.empty()) return complete();
    for (Wanted& wanted : wanted_) wanted.last.reset();
    keep_ = this->shared_from_this();
    this->request_ = channel_.read({.objects = objects, .items = items}, *this, this->deadline_);
  }
  void forget() override { keep_.reset(); }
  void finish(const Error& error) override {
    for (const Part& part : parts_)
      if (part.range.length != 0 && !wanted_[part.wanted].error) wanted_[part.wanted].error = error;
    done_(wanted_);
  }

  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    if (warm_only_) return;
    const Part& part = parts_[asked_[item]];
    const Wanted& wanted = wanted_[part.wanted];
    const std::uint64_t at = (std::uint64_t{part.range.chunk} << wanted.plan.chunk_bits) + offset;
    addRoom(wanted.into, at - wanted.offset, length, target);
  }
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override {
    core::ChunkRange& range = parts_[asked_[item]].range;
    if (view.head().offset != range.offset) return;  // out of order: asked again
    range.offset += view.head().length;
    range.length -= view.head().length;
  }
  void finished(std::uint16_t item, const reader::ItemResult& result) override {
    Part& part = parts_[asked_[item]];
    if (result.outcome == wire::ReadOutcome::Ok) {
      if (warm_only_) part.range.length = 0;
      return;
    }
    Wanted& wanted = wanted_[part.wanted];
    Error error = result.error;
    if (result.outcome == wire::ReadOutcome::Busy) error.code = Code::Busy;
    if (result.outcome == wire::ReadOutcome::Gone) error.code = Code::Gone;
    if (result.outcome == wire::ReadOutcome::Moved) error.code = Code::Unavailable;
    // The error that ends the read counts: one that passes hides none that stays.
    if (wanted.last && !wanted.last->retryable()) return;
    if (result.outcome == wire::ReadOutcome::Error && !wanted.last) ++wanted.answered_failures;
    wanted.last = std::move(error);
  }
  void done(Status status) override {
    const auto keep = std::move(keep_);
    this->request_ = 0;
    std::optional<Error> passing;
    if (!status) {
      if (!status.error().retryable()) return this->failed(status.error());
      passing = status.error();
    }
    for (Wanted& wanted : wanted_) {
      if (!wanted.last) continue;
      if (wanted.last->retryable() && wanted.answered_failures < kAnsweredFailures)
        passing = wanted.last;
      else
        wanted.error = wanted.last;
    }
    std::erase_if(parts_, [&](const Part& part) { return part.range.length == 0 || wanted_[part.wanted].error; });
    if (parts_.empty()) return complete();
    if (passing) return this->failed(*passing);
    attempt();  // more parts than one request holds
  }

 private:
  struct Part {
    std::size_t wanted = 0;
    core::ChunkRange range;  // what is still missing
  };

  void cut(std::size_t index) {
    const Wanted& wanted = wanted_[index];
    const std::uint64_t end = wanted.offset + wanted.length;
    for (std::uint64_t at = wanted.offset; at < end;) {
      const auto chunk = static_cast<std::uint32_t>(at >> wanted.plan.chunk_bits);
      const std::uint64_t start = std::uint64_t{chunk} << wanted.plan.chunk_bits;
      const std::uint64_t stop = std::min(end, start + wanted.plan.chunkLength(chunk));
      parts_.push_back({index, {chunk, static_cast<std::uint32_t>(at - start), static_cast<std::uint32_t>(stop - at)}});
      at = stop;
    }
  }
  // The next request. Parts of one range follow each other, so its object is named once.
  void gather(std::vector<wire::ReadObject>& objects, std::vector<wire::ReadItem>& items) {
    asked_.clear();
    std::size_t last = wanted_.size();
    for (std::size_t i = 0; i < parts_.size() && items.size() < wire::kMaxReadItems; ++i) {
      const Part& part = parts_[i];
      if (part.range.length == 0) continue;
      if (part.wanted != last) {
        if (objects.size() == wire::kMaxReadObjects) break;
        objects.push_back(wire::ReadObject::of(wanted_[part.wanted].plan));
        last = part.wanted;
      }
      wire::ReadItem item;
      item.object = static_cast<std::uint16_t>(objects.size() - 1);
      item.flags = warm_only_ ? wire::kRelay | wire::kNoBytes : wire::kRelay;
      item.range = part.range;
      items.push_back(item);
      asked_.push_back(i);
    }
  }
  void complete() {
    const auto self = this->shared_from_this();
    this->ended();
    done_(wanted_);
  }

  reader::Channel& channel_;
  std::vector<Wanted> wanted_;
  const bool warm_only_;
  Done done_;
  std::vector<Part> parts_;
  std::vector<std::size_t> asked_;  // parts, by item of the running request
  std::shared_ptr<void> keep_;      // while the channel knows us
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
                            std::move_only_function<void(Result<Bytes>)> done, CallId call) {
  run(std::make_shared<Question<Op, Message>>(*this, *channel_, type, std::move(message), deadline, std::move(done),
                                              call));
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
                         Callback<Attributes> done, CallId call) {
  resolveAll(
      std::move(mount), {&path, 1}, options, deadline,
      [done = std::move(done)](Result<std::vector<Result<Attributes>>> all) mutable {
        if (!all) return done(fail(all.error()));
        done(std::move(all->front()));
      },
      call);
}

void NodeClient::resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options,
                            TimePoint deadline, Callback<std::vector<Result<Attributes>>> done, CallId call) {
  wire::pb::ResolveRequest request;
  request.set_mount(std::move(mount));
  for (const std::string& path : paths) request.add_paths(path);
  request.set_object_only(options.object_only);
  request.set_revalidate(options.revalidate);
  request.set_fill_up_to(options.fill_up_to);
  request.set_relay(true);
  impl_->call(
      wire::MessageType::ResolveRequest, std::move(request), deadline,
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
  request.set_relay(true);
  impl_->call(
      wire::MessageType::ListRequest, std::move(request), deadline,
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
std::uint64_t inside(const core::Plan& plan, std::uint64_t offset, std::uint64_t length) {
  return offset >= plan.size ? 0 : std::min(length, plan.size - offset);
}
}  // namespace

namespace {
Wanted wantedOf(core::Plan plan, std::uint64_t offset, std::uint64_t length, std::vector<MutableBytes> into) {
  Wanted wanted;
  wanted.length = inside(plan, offset, length);
  wanted.plan = std::move(plan);
  wanted.offset = offset;
  wanted.into = std::move(into);
  return wanted;
}
template <class T>
auto oneResult(Callback<T> done) {
  return [done = std::move(done)](std::span<Wanted> all) mutable {
    const Wanted& wanted = all.front();
    done(wanted.error ? Result<T>(fail(*wanted.error)) : Result<T>(static_cast<T>(wanted.length)));
  };
}
}  // namespace

void NodeClient::read(const core::Plan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
                      Callback<std::size_t> done) {
  std::vector<Wanted> wanted;
  wanted.push_back(wantedOf(plan, offset, into.size(), {into}));
  impl_->run(std::make_shared<ReadOp<Impl::Op>>(*impl_, impl_->channel(), std::move(wanted), false, deadline,
                                                oneResult<std::size_t>(std::move(done))));
}

void NodeClient::warm(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<std::uint64_t> done) {
  std::vector<Wanted> wanted;
  wanted.push_back(wantedOf(plan, offset, length, {}));
  impl_->run(std::make_shared<ReadOp<Impl::Op>>(*impl_, impl_->channel(), std::move(wanted), true, deadline,
                                                oneResult<std::uint64_t>(std::move(done))));
}

void NodeClient::readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                           std::move_only_function<void(BatchResults)> done, CallId call) {
  // Small enough that a batch's requests take turns with others, large enough that their number doesn't count.
  constexpr std::size_t kItems = 256;
  constexpr std::uint64_t kBytes = 64 * kMiB;
  struct Batch {
    BatchResults results;
    std::size_t groups = 1;  // open, and the loop below
    std::move_only_function<void(BatchResults)> done;
    void groupDone() {
      if (--groups == 0) done(std::move(results));
    }
  };
  auto batch = std::make_shared<Batch>();
  batch->results.resize(items.size());
  batch->done = std::move(done);
  std::vector<std::shared_ptr<Impl::Op>> ops;
  for (std::size_t first = 0; first < items.size();) {
    std::vector<Wanted> group;
    std::uint64_t bytes = 0;
    std::size_t at = first;
    for (; at < items.size() && group.size() < kItems && (group.empty() || bytes + items[at].length <= kBytes); ++at) {
      bytes += items[at].length;
      group.push_back(
          wantedOf(std::move(items[at].plan), items[at].offset, items[at].length, std::move(items[at].into)));
    }
    ++batch->groups;
    ops.push_back(std::make_shared<ReadOp<Impl::Op>>(
        *impl_, impl_->channel(), std::move(group), warm_only, deadline,
        [batch, first](std::span<Wanted> all) {
          for (std::size_t i = 0; i < all.size(); ++i) {
            batch->results[first + i] =
                all[i].error ? Result<std::uint64_t>(fail(*all[i].error)) : Result<std::uint64_t>(all[i].length);
          }
          batch->groupDone();
        },
        call));
    first = at;
  }
  impl_->runAll(std::move(ops), [batch] { batch->groupDone(); });
}

CallId NodeClient::newCall() {
  static std::atomic<CallId> last = 0;
  return ++last;
}

void NodeClient::cancel(CallId call) {
  if (call != 0) impl_->cancel(call);
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
