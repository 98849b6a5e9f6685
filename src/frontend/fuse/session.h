// One mount's conversation with the kernel: takes requests, answers them through a Channel, asks the client for names
// and bytes. It owns nodes, handles, buffers and outstanding operations; no thread, descriptor or mount point.
//
//   handle()  a request as read from device `device`; answers at once what needs no client, and hands over the rest.
//             It waits only for a free place or buffer when a bound is reached, never for bytes.
//   tick()    a few times a second: answers EIO for what passed its deadline, EINTR for what a dying process waits for.
//   stop()    every operation is answered; nothing is sent and the client isn't called any more once it returned.
//             Callbacks may still arrive: they hold the session until then.
//
// Threading: handle, tick and client callbacks from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <sys/uio.h>
#include <unordered_map>
#include <unordered_set>

#include "base/log_limit.h"
#include "base/metrics.h"
#include "client/client.h"
#include "core/completion.h"
#include "frontend/fuse/buffer_pool.h"
#include "frontend/fuse/channel.h"
#include "frontend/fuse/directory_stream.h"
#include "frontend/fuse/fuse_metrics.h"
#include "frontend/fuse/node_table.h"
#include "frontend/fuse/operations.h"
#include "frontend/fuse/options.h"
#include "frontend/fuse/passthrough.h"
#include "frontend/fuse/protocol.h"
#include "frontend/fuse/remembered_names.h"

namespace forebay::fuse {

class Session : public std::enable_shared_from_this<Session> {
 public:
  static std::shared_ptr<Session> create(client::Client& client, Options options, Metrics& metrics, Channel& channel);
  ~Session();

  void handle(unsigned device, Bytes request);
  void tick(TimePoint now);
  void stop();

  enum class State { Waiting, Ready, Refused };
  State state() const { return state_.load(std::memory_order_acquire); }
  std::string refusal() const;                      // why, once Refused
  bool ringAgreed() const { return ring_agreed_; }  // once Ready

  // Nodes that the kernel could be asked to forget, as (parent's node, name).
  struct Prunable {
    NodeNumber parent = 0;
    std::string name;
  };
  std::vector<Prunable> prunable();
  // What was remembered of names at and below a path is asked for anew: all that the kernel may know of objects there.
  std::vector<Prunable> forgetBelow(std::string_view path);

  // For tests and status.
  std::size_t nodes() const;
  std::size_t openHandles() const;
  std::uint32_t outstanding() const { return operations_.outstanding(); }

 private:
  struct File {
    NodeNumber node = 0;
    std::shared_ptr<const Inode> inode;  // with its plan
    bool tracked = false;                // by passthrough_
    bool by_kernel = false;              // its reads aren't seen
    std::shared_ptr<const client::MappedObject> map;
    mutable std::atomic<std::uint64_t> asked = 0;  // bytes that were
  };
  struct Directory {
    NodeNumber node = 0;
    std::shared_ptr<const Inode> inode;
    std::mutex mutex;
    DirectoryStream stream;
  };
  struct ReadDir;  // a READDIR under way
  using Handle = std::uint64_t;

  Session(client::Client& client, Options options, Metrics& metrics, Channel& channel);

  // session.cc: dispatch, and what is answered at once
  void on(const Ticket& ticket, const InitRequest& request);
  void on(const Ticket& ticket, const ForgetRequest& request);
  void on(const Ticket& ticket, const BatchForgetRequest& request);
  void on(const Ticket& ticket, const GetAttrRequest& request);
  void on(const Ticket& ticket, const ReleaseRequest& request);
  void on(const Ticket& ticket, const StatFsRequest& request);
  void on(const Ticket& ticket, const AccessRequest& request);
  void on(const Ticket& ticket, const SyncRequest& request);
  void on(const Ticket& ticket, const ListXattrRequest& request);
  void on(const Ticket& ticket, const InterruptRequest& request);
  void on(const Ticket& ticket, const DestroyRequest& request);
  void on(const Ticket& ticket, const WriteRequest& request);
  void on(const Ticket& ticket, const UnknownRequest& request);

  // session_names.cc: what asks the client for names
  void on(const Ticket& ticket, const LookupRequest& request);
  void on(const Ticket& ticket, const OpenRequest& request);
  void on(const Ticket& ticket, const ReadDirRequest& request);
  void lookedUp(Operation& op, std::string path, bool revalidated, Result<client::Attributes> result);
  bool takeSuperseded(const Inode& inode);
  void answerEntry(const Ticket& ticket, Inode looked_up, Duration ttl);
  void lookUp(const Ticket& ticket, std::string path, bool revalidate);
  void revalidateForOpen(const Ticket& ticket, const std::shared_ptr<const Inode>& inode);
  void openedFor(Operation& op, const std::shared_ptr<const Inode>& inode, Result<client::Attributes> result);
  void openDirectory(const Ticket& ticket, std::shared_ptr<const Inode> inode);
  void regionOrAnswer(Operation& op, const std::shared_ptr<const Inode>& inode);
  void regionFor(Operation& op, const std::shared_ptr<const Inode>& inode, const Result<io::Descriptor>& file);
  void openAs(Operation& op, const std::shared_ptr<const Inode>& inode, const Passthrough::Way& way);
  client::RegionWish wishFor(const Inode& inode) const;
  void noteUse(const File& file);
  void answerOpen(const Ticket& ticket, const std::shared_ptr<const Inode>& inode, const Passthrough::Way& way);
  void walk(Operation& op, ReadDir read);
  void listed(Operation& op, ReadDir read, const WantPage& want, Result<client::DirectoryPage> result);
  void answerReadDir(const Ticket& ticket, const ReadDir& read, const Page* page);
  void addNames(const ReadDir& read, const Page& page, DirectoryReply& reply, std::vector<NodeNumber>& counted);
  bool addDots(const ReadDir& read, DirectoryReply& reply) const;
  void reportHidden(const Inode& directory, std::uint64_t hidden);

  // session_data.cc: bytes and extended attributes
  void on(const Ticket& ticket, const ReadRequest& request);
  void on(const Ticket& ticket, const GetXattrRequest& request);
  void haveRead(Operation& op, Result<std::size_t> result);
  void located(Operation& op, const std::string& name, std::uint32_t size, Result<client::Where> result);
  void answerXattr(const Ticket& ticket, std::string_view value, std::uint32_t size);

  // Answers. True: the kernel took it.
  bool reply(const Ticket& ticket, std::span<const iovec> parts);
  bool replyBytes(const Ticket& ticket, Bytes bytes);
  template <class T>
  bool replyStruct(const Ticket& ticket, const T& out) {
    return replyBytes(ticket, std::as_bytes(std::span(&out, 1)));
  }
  void refuse(const Ticket& ticket, int error);
  // Refuses by the error's code, and logs what a person should know.
  void refuse(const Ticket& ticket, std::string_view path, const Error& error);
  // Claims and refuses; for callbacks.
  void refuseClaimed(Operation& op, const Error& error);
  void endLate(Operation& op, int error, std::string_view why);
  void warn(const Ticket& ticket, std::string_view path, std::string_view why);
  void warn(std::string_view line);

  // An operation for a request that needs the client; null when it was refused because nothing became free.
  Operation* begin(const Ticket& ticket, std::string_view path, std::shared_ptr<const Inode> inode = nullptr);
  // Runs `call`, which calls the client, unless the session stops. False: it didn't.
  template <class F>
  bool whileRunning(F&& call);
  // For a call that was not made: its callback won't come.
  void abandon(Operation& op);

  fuse_attr attributesOf(const Inode& inode) const;
  fuse_entry_out entryOf(NodeNumber node, const Inode& inode, Duration entry_ttl) const;
  Duration entryTtl(Duration ttl) const;
  std::vector<Prunable> namesOf(const std::vector<std::shared_ptr<const Inode>>& inodes) const;
  std::shared_ptr<const Inode> find(NodeNumber node) const;
  std::shared_ptr<const File> findFile(Handle handle) const;
  std::shared_ptr<Directory> findDirectory(Handle handle) const;

  client::Client& client_;
  const Options options_;
  Channel& channel_;
  FuseMetrics metrics_;
  const std::int64_t started_ns_;  // since 1970: the time of directories that have none

  std::atomic<State> state_{State::Waiting};
  std::atomic<bool> ring_agreed_{false};
  mutable std::mutex refusal_mutex_;
  std::string refusal_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> calling_{0};  // threads inside whileRunning

  mutable std::mutex nodes_mutex_;
  NodeTable nodes_;
  RememberedNames names_;  // under nodes_mutex_

  mutable std::mutex handles_mutex_;
  std::unordered_map<Handle, std::shared_ptr<const File>> files_;
  std::unordered_map<Handle, std::shared_ptr<Directory>> directories_;
  Handle next_handle_ = 1;

  Passthrough passthrough_;
  mutable std::mutex use_mutex_;
  core::DirectoryUse use_;
  OperationTable operations_;
  BufferPool buffers_;
  std::atomic<std::int64_t> next_trim_ns_{0};

  LogLimit log_limit_{20, 10s};
  std::mutex hidden_mutex_;
  std::unordered_set<std::uint64_t> hidden_reported_;  // inode numbers of directories, kMaxHiddenReports at most
};

template <class F>
bool Session::whileRunning(F&& call) {
  calling_.fetch_add(1);  // seq_cst against stop(), which sets stopping_ and then waits for this count
  const bool run = !stopping_.load();
  if (run) call();
  calling_.fetch_sub(1);
  return run;
}

}  // namespace forebay::fuse
