#include "frontend/fuse/fuse_mount.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "frontend/fuse/devices.h"
#include "frontend/fuse/session.h"

namespace forebay::fuse {
namespace {

constexpr Duration kInitPatience = 10s;
constexpr Duration kTick = 100ms;
constexpr Duration kPruneEvery = 100ms, kPruneAtMost = 20ms;
constexpr std::size_t kMaxToForget = 1'000;  // paths that wait
constexpr unsigned kMaxThreads = 64;
constexpr unsigned kMaxReadFailures = 100;

// Ends a worker's blocking read(2): the one way that works without privileges once the mount is detached and the
// kernel sends no more requests. It does nothing else; no other thread is ever sent it.
int pokeSignal() {
  return SIGRTMAX - 3;
}

void installPoke() {
  static const bool done = [] {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    return ::sigaction(pokeSignal(), &action, nullptr) == 0;  // without SA_RESTART
  }();
  if (!done) log::error("fuse", "sigaction: {}", std::strerror(errno));
}

class SignalsBlocked {
 public:
  explicit SignalsBlocked(bool but_poke) {
    sigset_t all;
    sigfillset(&all);
    if (but_poke) sigdelset(&all, pokeSignal());
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

struct RequestBuffer {
  alignas(8) std::array<std::byte, kRequestBuffer> bytes;
};

Status checkOptions(const Options& options) {
  if (options.threads == 0 || options.threads > kMaxThreads)
    return fail(Code::InvalidArgument, fmt::format("threads = {}: 1 to {} are allowed", options.threads, kMaxThreads));
  if (options.deadline < 1ms)
    return fail(Code::InvalidArgument, fmt::format("deadline = {} ms: it must be positive", toMs(options.deadline)));
  if (options.max_outstanding == 0) return fail(Code::InvalidArgument, "max_outstanding must be positive");
  if (options.reply_bytes < kMaxRead)
    return fail(Code::InvalidArgument,
                fmt::format("reply_bytes = {}: one reply of {} must fit", options.reply_bytes, kMaxRead));
  return {};
}

constexpr const char* kRingParameter = "/sys/module/fuse/parameters/enable_uring";
constexpr const char* kPossibleCpus = "/sys/devices/system/cpu/possible";
constexpr const char* kOnlineCpus = "/sys/devices/system/cpu/online";

std::string shortFile(const char* path) {
  const Descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text;
  const ssize_t n = file ? ::read(file.get(), text.data(), text.size()) : 0;
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

std::unexpected<Error> noRing(const Options& options, std::string_view why) {
  return fail(Code::Unsupported, fmt::format("mount {}: no FUSE over io_uring: {}", options.mount_point, why));
}

// A ring to offer to the kernel. It must be there before INIT is answered: a kernel that has agreed to one keeps all
// requests back until it is registered.
Result<std::unique_ptr<Ring>> makeRing(const Options& options) {
  if (options.transport == Transport::Plain) return fail(Code::Unsupported, "the mount was told not to");
  const std::string parameter = shortFile(kRingParameter);
  if (parameter.empty()) return fail(Code::Unsupported, "this kernel has none (Linux 6.14 has)");
  if (!parameter.starts_with('Y'))
    return fail(Code::Unsupported,
                fmt::format("it is off in this kernel; root turns it on: echo Y > {}", kRingParameter));
  const unsigned cpus = cpusIn(shortFile(kPossibleCpus));
  if (cpus == 0) return fail(Code::Unsupported, fmt::format("{} isn't readable", kPossibleCpus));
  const auto shape = TRY(RingShape::within(options.reply_bytes / 2, cpus, cpusIn(shortFile(kOnlineCpus))));
  return Ring::create(shape);
}

}  // namespace

Result<std::unique_ptr<FuseMount>> FuseMount::mount(client::Client& client, Options options, Metrics& metrics) {
  TRY(checkOptions(options));
  options.mount_point = TRY(prepareMountPoint(options));
  auto ring = makeRing(options);
  TransportChoice transport{.name = "plain", .why = ring ? "" : ring.error().message};
  if (!ring && options.transport == Transport::IoUring) return noRing(options, transport.why);
  auto privileged = io::makePrivileged({.helper = options.helper});
  auto devices = std::make_unique<Devices>(TRY(mountThere(options, *privileged)), *privileged);
  if (ring) devices->prepareRing(std::move(*ring));
  auto session = Session::create(client, options, metrics, *devices);
  std::unique_ptr<FuseMount> mount(new FuseMount(std::move(options), std::move(privileged), std::move(session),
                                                 std::move(devices), std::move(transport)));
  TRY(mount->greet());  // the destructor takes the mount away
  TRY(mount->startRing());
  mount->start();
  return mount;
}

FuseMount::FuseMount(Options options, std::unique_ptr<io::Privileged> privileged, std::shared_ptr<Session> session,
                     std::unique_ptr<Devices> devices, TransportChoice transport)
    : options_(std::move(options)),
      privileged_(std::move(privileged)),
      session_(std::move(session)),
      devices_(std::move(devices)),
      transport_(std::move(transport)) {}

FuseMount::~FuseMount() {
  if (const Status status = unmount(); !status) log::warn("fuse", "{}", status.error().text());
}

// INIT, which the kernel sends first.
Status FuseMount::greet() {
  const auto buffer = std::make_unique<RequestBuffer>();
  running_.store(1, std::memory_order_release);  // so that unmount() has something to take away
  while (session_->state() == Session::State::Waiting) {
    if (!devices_->waitReadable(0, kInitPatience))
      return fail(Code::Unavailable, fmt::format("mount {}: the kernel did not begin the conversation within {} s",
                                                 options_.mount_point, kInitPatience / 1s));
    const auto request = devices_->receive(0, buffer->bytes);
    if (request) {
      session_->handle(0, *request);
    } else if (request.error().code == Code::Gone) {
      running_.store(0, std::memory_order_release);
      return fail(Code::Unavailable, fmt::format("mount {}: it was unmounted at once", options_.mount_point));
    }
  }
  if (session_->state() == Session::State::Refused)
    return fail(Code::Unsupported, fmt::format("mount {}: {}", options_.mount_point, session_->refusal()));
  return {};
}

// Once the kernel has agreed to a ring it asks for nothing until all places are registered, or one was refused.
Status FuseMount::startRing() {
  Status started;
  if (session_->ringAgreed()) {
    const SignalsBlocked blocked(false);
    started = devices_->startRing([this](unsigned device, Bytes request) { session_->handle(device, request); });
    if (started) transport_ = {.name = "io_uring", .why = {}};
  } else if (devices_->ring() != nullptr) {
    devices_->dropRing();
    started = fail(Code::Unsupported, "the kernel didn't offer it");
  }
  if (!started) {
    transport_.why = started.error().message;
    if (options_.transport == Transport::IoUring) return noRing(options_, transport_.why);
  }
  if (const RingShape* ring = devices_->ring(); ring != nullptr && started)
    log::info("fuse", "{}: requests come over io_uring: {} queues, {} at once from each CPU, {} KiB each",
              options_.mount_point, ring->cpus, ring->depth, ring->payload / kKiB);
  else
    log::info("fuse", "{}: requests come over /dev/fuse, not io_uring: {}", options_.mount_point, transport_.why);
  return {};
}

void FuseMount::start() {
  installPoke();
  // Beside a ring there is little to read: what was forgotten, and interrupts.
  const unsigned threads = transport_.name == "io_uring" ? 1 : options_.threads;
  devices_->cloneTo(threads);
  running_.store(threads, std::memory_order_release);
  {
    const SignalsBlocked blocked(true);
    for (unsigned worker = 0; worker < threads; ++worker) workers_.emplace_back([this, worker] { work(worker); });
  }
  {
    const SignalsBlocked blocked(false);
    watch_ = std::thread([this] { watch(); });
    prune_ = std::thread([this] { prune(); });
  }
  setReadahead();
}

void FuseMount::work(unsigned worker) {
  const unsigned device = worker % devices_->count();
  const auto buffer = std::make_unique<RequestBuffer>();
  unsigned failures = 0;
  while (!stopping_.load(std::memory_order_acquire)) {
    const auto request = devices_->receive(device, buffer->bytes);
    if (request) {
      failures = 0;
      session_->handle(device, *request);
      continue;
    }
    const Code code = request.error().code;
    if (code == Code::Gone) break;
    if (code == Code::Cancelled || code == Code::InvalidArgument) continue;
    if (++failures < kMaxReadFailures) continue;  // such as ENOMEM: it passes
    log::error("fuse", "{}: {}: giving up", options_.mount_point, request.error().message);
    stopping_.store(true, std::memory_order_release);
    break;
  }
  session_->stop();  // the connection is over: whoever waits for a buffer needs none
  running_.fetch_sub(1, std::memory_order_acq_rel);
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

// Deadlines, and processes that die while they wait.
void FuseMount::watch() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kTick, [&] { return ended(); })) {
    lock.unlock();
    session_->tick(std::chrono::steady_clock::now());
    lock.lock();
  }
}

// Asks the kernel to forget names beyond the bound. A thread of its own: the kernel takes the directory's lock for it,
// behind which lookups under way may hold it for as long as they take. For the same reason it works a fifth of the time
// at most, so that lookups of a full table stay quick.
void FuseMount::prune() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, kPruneEvery, [&] { return ended() || !to_forget_.empty(); });
    if (ended()) return;
    const std::deque<std::string> told = std::exchange(to_forget_, {});
    lock.unlock();
    for (const std::string& path : told) {
      for (const Session::Prunable& name : session_->forgetBelow(path)) {
        if (stopping_.load(std::memory_order_acquire)) break;
        devices_->forgetName(name.parent, name.name);
      }
    }
    const TimePoint enough = std::chrono::steady_clock::now() + kPruneAtMost;
    for (const Session::Prunable& name : session_->prunable()) {
      if (stopping_.load(std::memory_order_acquire) || std::chrono::steady_clock::now() > enough) break;
      devices_->forgetName(name.parent, name.name);
    }
    lock.lock();
  }
}

void FuseMount::forgetNames(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (to_forget_.size() >= kMaxToForget)
    to_forget_.assign(1, "");  // all of it is shorter
  else
    to_forget_.push_back(path);
  changed_.notify_all();
}

// The kernel starts at 128 KiB and INIT can only lower that.
void FuseMount::setReadahead() const {
  struct stat root{};
  if (::stat(options_.mount_point.c_str(), &root) != 0) return;
  const std::string path = fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", major(root.st_dev), minor(root.st_dev));
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(options_.readahead / kKiB);
  if (!file || ::write(file.get(), text.data(), text.size()) < 0)
    log::info("fuse", "{}: readahead stays at the kernel's 128 KiB ({}: {}); root can set it", options_.mount_point,
              path, std::strerror(errno));
}

void FuseMount::wait() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended(); });
  }
  finish();
}

bool FuseMount::waitFor(Duration patience) {
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return ended(); })) return false;
  }
  finish();
  return true;
}

Status FuseMount::unmount() {
  Status status;
  if (!ended()) status = takeAway();
  end();
  finish();
  return status;
}

Status FuseMount::takeAway() {
  const std::lock_guard one_at_a_time(take_away_mutex_);
  if (std::exchange(taken_away_, true)) return {};
  const TimePoint grace_ends = std::chrono::steady_clock::now() + options_.unmount_grace;
  for (;;) {
    const Status status = unmountThere(options_, *privileged_, false);
    if (status || ended() || !mountedAt(options_.mount_point)) return {};  // or somebody else did it meanwhile
    if (status.error().code != Code::Busy) {
      taken_away_ = false;
      return status;
    }
    if (std::chrono::steady_clock::now() >= grace_ends) break;
    std::this_thread::sleep_for(20ms);
  }
  log::warn("fuse", "{} is still in use after {} ms: detached it under its users, whose open files give errors now",
            options_.mount_point, toMs(options_.unmount_grace));
  return unmountThere(options_, *privileged_, true);
}

// Ends the workers, whether or not the kernel has told them so.
void FuseMount::end() {
  stopping_.store(true, std::memory_order_release);
  session_->stop();
  const std::lock_guard finishing(finish_mutex_);
  if (finished_) return;
  if (workers_.empty()) running_.store(0, std::memory_order_release);  // it was never started
  std::unique_lock lock(mutex_);
  // Again and again: one that comes just before the read(2) is lost.
  while (!changed_.wait_for(lock, 10ms, [&] { return ended(); }))
    for (std::thread& worker : workers_) ::pthread_kill(worker.native_handle(), pokeSignal());
}

void FuseMount::finish() {
  const std::lock_guard finishing(finish_mutex_);
  if (std::exchange(finished_, true)) return;
  session_->stop();
  for (std::thread& worker : workers_) worker.join();
  if (watch_.joinable()) watch_.join();
  if (prune_.joinable()) prune_.join();
  devices_->close();
}

std::size_t FuseMount::nodes() const {
  return session_->nodes();
}
std::size_t FuseMount::openHandles() const {
  return session_->openHandles();
}

}  // namespace forebay::fuse
