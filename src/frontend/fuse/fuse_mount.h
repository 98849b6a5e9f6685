// A read-only mount of what a client::Client reads, in the kernel's own FUSE protocol.
//
//   auto mount = TRY(FuseMount::mount(client, {.mount_point = "/mnt/data", .name = "az://acme/data"}, metrics));
//   mount->wait();     // until somebody unmounts it: umount, fusermount3 -u, or unmount() from another thread
//
// mount() returns when the mount can be used, or says why not and leaves nothing behind. It starts threads of its own,
// which block all signals: the program's handlers run on the program's threads. (A program that goes into the
// background forks before it mounts.)
//
// What users see. Files are 0444, directories 0555; a write is refused with EROFS. A name shows the version that the
// options' consistency promises; a file that is open or mapped keeps its version's bytes, or gives EIO once those are
// gone, never a mix. Every operation ends within Options::deadline: EIO, with a line in the log that says why. A dying
// process (SIGKILL, Ctrl-C) is released at once, but from an O_DIRECT read, which the kernel lets end first; other
// signals disturb nothing. user.forebay.{version,cached_bytes,holders} are extended attributes.
// Names that POSIX can't hold are not shown; they are counted, and logged once per directory.
//
// Memory: Options::reply_bytes of buffers, Options::max_nodes names (about), one page of names per open directory.
//
// Threading: any thread, but mount() and the destructor. The client must outlive the mount; its callbacks may come
// after the mount is gone, and find nothing to do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "client/client.h"
#include "frontend/fuse/options.h"

namespace forebay::fuse {

class Devices;
class Session;

class FuseMount {
 public:
  static Result<std::unique_ptr<FuseMount>> mount(client::Client& client, Options options, Metrics& metrics);
  ~FuseMount();  // unmounts
  FuseMount(const FuseMount&) = delete;
  FuseMount& operator=(const FuseMount&) = delete;

  // Until the mount has ended, however that came.
  void wait();
  // False: it stands still after `patience`.
  bool waitFor(Duration patience);

  // Takes the mount away and ends its threads. While files there are in use it waits, for Options::unmount_grace at
  // most; then it detaches the mount under its users, whose open files give errors from then on, and says so in the
  // log. Does nothing where the mount has ended already.
  Status unmount();

  // The kernel forgets, soon, what it knows of the names of objects at and below a path ("" is all): the next look asks
  // the client. Directories stay (one may be somebody's working directory), and so does what is open. Never waits.
  void forgetNames(const std::string& path);

  const std::string& mountPoint() const { return options_.mount_point; }  // absolute

  // "io_uring" or "plain", and why not io_uring.
  struct TransportChoice {
    std::string name = "plain";
    std::string why;
  };
  const TransportChoice& transport() const { return transport_; }

  // For tests and status.
  std::size_t nodes() const;
  std::size_t openHandles() const;

 private:
  FuseMount(Options options, std::unique_ptr<io::Privileged> privileged, std::shared_ptr<Session> session,
            std::unique_ptr<Devices> devices, TransportChoice transport);

  Status greet();
  Status startRing();
  void start();
  void work(unsigned worker);
  void watch();
  void prune();
  void setReadahead() const;
  Status takeAway();
  void end();
  void finish();
  bool ended() const { return running_.load(std::memory_order_acquire) == 0; }

  const Options options_;
  const std::unique_ptr<io::Privileged> privileged_;
  const std::shared_ptr<Session> session_;
  const std::unique_ptr<Devices> devices_;
  TransportChoice transport_;
  std::vector<std::thread> workers_;
  std::thread watch_;
  std::thread prune_;

  std::atomic<unsigned> running_{0};  // workers
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> to_forget_;  // paths
  std::mutex take_away_mutex_;
  bool taken_away_ = false;
  std::mutex finish_mutex_;
  bool finished_ = false;
};

}  // namespace forebay::fuse
