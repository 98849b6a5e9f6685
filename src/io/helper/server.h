// `forebay helper`: does for nodes and mounts without capabilities what io/privileged.h lists, over a Unix socket.
//
//   auto server = TRY(Server::start({.socket = path, .allowed = {1000}, .max_memory_bytes = 64 * kGiB}));
//   server->run();                 // until stop(), from any thread
//
// Who may: root, and the users of `allowed`, by the kernel's word at accept (SO_PEERCRED). Everybody may connect: those
// who may not are told so, and why. What each operation checks: helper/checks.h. It keeps nothing of what it is handed,
// but for the length of the call: above all no /dev/fuse, whose mount would outlive its process.
//
// Bounds. Memory directories: max_memory_bytes for all that live of one user. One lives as long as anybody has it, or a
// file of it, open, mapped or given to the kernel; the kernel tells when that is over (inotify's IN_UNMOUNT), so
// nothing depends on connections. (A helper that was started anew doesn't count those that its predecessor made.) FUSE
// mounts: max_mounts that stand of one user. Backing files: max_backings on one connection, less those closed; they end
// with their mount. Connections, in all and of one user; messages of at most 1 KiB and two descriptors.
//
// Threading: one thread for each connection, because a client may hand in a file of a FUSE file system of its own,
// whose process need never answer: then only that client waits. run() accepts, and hears of directories that have gone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/descriptor.h"

namespace forebay::io::helper {

struct Client;

struct ServerOptions {
  std::string socket;
  std::vector<uid_t> allowed;
  std::uint64_t max_memory_bytes = 0;
  unsigned max_connections = 256;
  unsigned max_connections_per_user = 64;
  unsigned max_directories = 64;  // of one user
  unsigned max_mounts = 256;      // of one user
  unsigned max_backings = 65'536;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerOptions options);
  // Ends its connections, and waits for their threads, for two seconds at most.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void run();
  void stop();

  // For tests: bytes that a user's directories may hold together.
  std::uint64_t memoryOf(uid_t user) const;

 private:
  struct State;
  explicit Server(std::shared_ptr<State> state);
  void startServing(Descriptor socket, const Client& client);
  const std::shared_ptr<State> state_;
};

}  // namespace forebay::io::helper
