#include "io/helper/server.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "io/helper/service.h"

namespace forebay::io::helper {
namespace {

constexpr int kBacklog = 64;
constexpr Duration kEndPatience = 2s;

Result<Client> clientOf(int socket) {
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0 || length != sizeof who)
    return failErrno("SO_PEERCRED", errno);
  return Client{.uid = who.uid, .gid = who.gid, .pid = who.pid};
}

// A socket that nobody listens on any more is taken away; anything else in its place is not ours to touch.
Status clearStale(const std::string& path) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) != 0) return {};
  if (!S_ISSOCK(there.st_mode))
    return fail(Code::InvalidArgument, fmt::format("{} is there and isn't a socket: choose another --socket", path));
  const auto other = connectTo(path);
  if (other || other.error().code != Code::Unavailable)
    return fail(Code::Busy, fmt::format("a helper listens on {} already", path));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failErrno(fmt::format("remove {}", path), errno);
  return {};
}

Result<Descriptor> listenOn(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path)
    return fail(Code::InvalidArgument, fmt::format("--socket {}: must be an absolute path of at most {} bytes", path,
                                                   sizeof address.sun_path - 1));
  TRY(clearStale(path));
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return failErrno("socket", errno);
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failErrno(fmt::format("make the socket {}", path), errno);
  // Everybody may ask, so that who may not is told why.
  if (::chmod(path.c_str(), 0666) != 0) return failErrno(fmt::format("chmod {}", path), errno);
  if (::listen(made.get(), kBacklog) != 0) return failErrno(fmt::format("listen on {}", path), errno);
  return made;
}

}  // namespace

struct Server::State {
  ServerOptions options;
  Descriptor listener, stop;  // an eventfd that is never read: once set, everybody sees it
  std::unique_ptr<MemoryAccount> account;
  LogLimit refusals{20, 10s};
  std::mutex mutex;
  std::condition_variable changed;
  std::map<uid_t, unsigned> connections;
  unsigned all = 0;

  Status admit(const Client& client);
  void leave(uid_t user);
  void serve(const Descriptor& socket, const Client& client);
};

Status Server::State::admit(const Client& client) {
  if (client.uid != 0 && std::ranges::find(options.allowed, client.uid) == options.allowed.end())
    return fail(Code::PermissionDenied,
                fmt::format("uid {} may not use this helper: start it with --allow {}", client.uid, client.uid));
  const std::lock_guard lock(mutex);
  if (all >= options.max_connections)
    return fail(Code::Busy, fmt::format("{} connections are open, and no more are allowed", all));
  unsigned& own = connections[client.uid];
  if (own >= options.max_connections_per_user)
    return fail(Code::Busy, fmt::format("uid {} has {} connections open, and may have no more", client.uid, own));
  ++own;
  ++all;
  return {};
}

void Server::State::leave(uid_t user) {
  const std::lock_guard lock(mutex);
  --all;
  const auto own = connections.find(user);
  if (own != connections.end() && --own->second == 0) connections.erase(own);
  changed.notify_all();
}

void Server::State::serve(const Descriptor& socket, const Client& client) {
  Service service(client, {.max_mounts = options.max_mounts, .max_backings = options.max_backings}, *account, refusals);
  for (;;) {
    std::array<pollfd, 2> waiting = {
        {{.fd = socket.get(), .events = POLLIN, .revents = 0}, {.fd = stop.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    if (waiting[0].revents == 0) continue;
    auto received = receive(socket.get(), Duration{0});
    if (!received) {
      if (received.error().code == Code::Corrupt && refusals.admit(std::chrono::steady_clock::now()))
        log::info("helper", "uid {} (pid {}): {}", client.uid, client.pid, received.error().message);
      return;
    }
    const Service::Done done = service.answer(*received);
    std::array<int, kMaxDescriptors> with{};
    for (std::size_t i = 0; i < done.descriptors.size(); ++i) with[i] = done.descriptors[i].get();
    if (!send(socket.get(), encode(done.reply), std::span(with).first(done.descriptors.size()))) return;
  }
}

// A thread of its own, if the machine has one.
void Server::startServing(Descriptor socket, const Client& client) {
  try {
    std::thread([state = state_, client, socket = std::move(socket)]() mutable {
      state->serve(socket, client);
      socket.reset();
      state->leave(client.uid);
    }).detach();
  } catch (const std::system_error& error) {
    log::warn("helper", "no thread for uid {} (pid {}): {}", client.uid, client.pid, error.what());
    state_->leave(client.uid);
  }
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  auto state = std::make_shared<State>();
  state->options = std::move(options);
  state->account = TRY(MemoryAccount::create(state->options.max_memory_bytes, state->options.max_directories));
  state->stop = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->stop.valid()) return failErrno("eventfd", errno);
  state->listener = TRY(listenOn(state->options.socket));
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() {
  stop();
  ::unlink(state_->options.socket.c_str());
  std::unique_lock lock(state_->mutex);
  if (!state_->changed.wait_for(lock, kEndPatience, [this] { return state_->all == 0; }))
    log::warn("helper", "{} connections wait for a file system of their client's: they are left behind", state_->all);
}

void Server::stop() {
  const std::uint64_t one = 1;
  (void)!::write(state_->stop.get(), &one, sizeof one);
}

std::uint64_t Server::memoryOf(uid_t user) const {
  return state_->account->of(user);
}

void Server::run() {
  for (;;) {
    std::array<pollfd, 3> waiting = {{{.fd = state_->listener.get(), .events = POLLIN, .revents = 0},
                                      {.fd = state_->account->descriptor(), .events = POLLIN, .revents = 0},
                                      {.fd = state_->stop.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[2].revents != 0) return;
    if (waiting[1].revents != 0) state_->account->collect();
    if (waiting[0].revents == 0) continue;
    Descriptor socket(::accept4(state_->listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      // Out of descriptors: one that waits would wake us at once again.
      if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    const auto client = clientOf(socket.get());
    if (!client) continue;
    if (const Status admitted = state_->admit(*client); !admitted) {
      if (state_->refusals.admit(std::chrono::steady_clock::now()))
        log::info("helper", "pid {}: {}", client->pid, admitted.error().message);
      (void)send(socket.get(),
                 encode(Reply{.code = admitted.error().code, .error = EACCES, .text = admitted.error().message}));
      continue;
    }
    startServing(std::move(socket), *client);
  }
}

}  // namespace forebay::io::helper
