// A connection of this process to one node: every question that a client may ask, about any mount.
//
// It has one I/O thread. Questions that fail because the node can't be reached, or is busy, are repeated with backoff
// until their deadlines; a deadline of kNever is taken for a minute. mount() gives the Client of one mount.
//
// Threading: calls from any thread; callbacks on the I/O thread, exactly once, never inside the call. The destructor
// fails what is open with Cancelled and joins; it must not be called from a callback.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/cell_reader.h"
#include "io/socket.h"
#include "wire/messages.h"

namespace forebay::client {

// What load() shall bring, and where to.
struct LoadTarget {
  std::uint32_t copies = 1;           // of each chunk, on as many nodes; 0: on every node of the cell
  std::vector<core::NodeId> without;  // nodes that didn't answer: others stand in for them
  std::uint32_t at_once = 0;          // chunks that a node fetches at once; 0: its choice
  bool anew = false;                  // the first call for these objects; those that ask how far they are don't say so
};

class NodeConnection;
class SharedMemory;
class SlabLink;

class NodeClient : public CellReader {
 public:
  // Connects when first used. InvalidArgument: no such address.
  static Result<std::shared_ptr<NodeClient>> create(const io::Address& node, std::string name);
  ~NodeClient() override;

  // The frontend's view of one mount. It keeps the connection.
  static std::unique_ptr<Client> mount(std::shared_ptr<NodeClient> node, std::string name);

  void resolve(std::string mount, std::string path, ResolveOptions options, TimePoint deadline,
               Callback<Attributes> done, CallId call = 0);
  // In one request: at most 4,096 names, and as many as a frame's body holds.
  void resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options, TimePoint deadline,
                  Callback<Answers> done, CallId call = 0) override;
  // What comes first is copied while the node looks for the next.
  std::size_t namesWithBytes() const override { return 64; }
  void list(std::string mount, std::string path, std::string cursor, ListOptions options, TimePoint deadline,
            Callback<DirectoryPage> done, CallId call = 0) override;
  void read(core::SharedPlan plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
            Callback<std::size_t> done);
  // Brings [offset, offset + length) into the cell, and no byte here: the number of bytes that are there now.
  void warm(core::SharedPlan plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
            Callback<std::uint64_t> done);

  // In requests of up to 256 ranges or about 64 MiB, 16 open at a time.
  void readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                 std::move_only_function<void(BatchResults)> done, CallId call = 0) override;

  void view(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
            Callback<BytesView> done, CallId call = 0) override;

  std::optional<std::uint64_t> readMapped(const core::Plan& plan, std::uint64_t offset, std::uint64_t length,
                                          std::span<const MutableBytes> into) override;
  // Whether reads ask for the node's memory in the background, and read from it (client/shared_memory.h): before the
  // first read. They do.
  void shareMemory(bool share);

  OperationLoop& loop() override;
  void post(std::move_only_function<void()> task) override;
  void cancel(CallId call) override;

  // Begins to bring at most kMaxPlansPerLoad objects into the cell, or goes on with it, and says after at most a few
  // seconds how far it is. Repeat it with those that aren't over; nodes drop what nobody asks about for 10 s.
  void load(std::span<const core::Plan> plans, const LoadTarget& target, TimePoint deadline,
            Callback<wire::pb::LoadReply> done);
  void region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
              Callback<io::Descriptor> done) override;
  void where(std::string mount, std::string path, TimePoint deadline, Callback<Where> done);
  void status(bool cell, TimePoint deadline, Callback<wire::pb::StatusReply> done);
  // Of a mount's process, for `forebay status`: how it gets the kernel's requests, and why not otherwise.
  void reportTransport(std::string mount, std::string transport, std::string why, TimePoint deadline,
                       Callback<wire::pb::StatusReply> done);
  // What is known of names, and what is held of objects, at and below each path of a mount ("": all of it) goes, on
  // every node of the cell: what each said, or why not.
  void refresh(std::string mount, std::span<const std::string> paths, TimePoint deadline,
               Callback<wire::pb::RefreshReply> done);
  void evict(std::string mount, std::span<const std::string> paths, TimePoint deadline,
             Callback<wire::pb::EvictReply> done);
  // Over a Unix socket only. The name under which it is mounted.
  void addMount(const wire::pb::AddMountRequest& request, TimePoint deadline, Callback<std::string> done);

 private:
  explicit NodeClient(std::unique_ptr<NodeConnection> connection);
  std::shared_ptr<SlabLink> slabs() const;
  std::unique_ptr<NodeConnection> connection_;
  std::shared_ptr<SharedMemory> shared_;  // null: not wanted
};

// For programs that wait: runs an asynchronous call and returns its result. Not on an I/O thread.
//   const auto attributes = wait<Attributes>([&](auto done) { client.lookup(path, false, deadline, std::move(done));
//   });
template <class T, class Call>
Result<T> wait(Call&& call);

}  // namespace forebay::client

#include <condition_variable>
#include <mutex>

namespace forebay::client {

template <class T, class Call>
Result<T> wait(Call&& call) {
  struct State {
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<Result<T>> result;
  } state;
  call([&state](Result<T> result) {
    const std::lock_guard lock(state.mutex);
    state.result = std::move(result);
    state.ready.notify_one();
  });
  std::unique_lock lock(state.mutex);
  state.ready.wait(lock, [&] { return state.result.has_value(); });
  return std::move(*state.result);
}

}  // namespace forebay::client
