#include "frontend/fuse/ring.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <future>
#include <liburing.h>
#include <mutex>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "frontend/fuse/mount_point.h"
#include "frontend/fuse/protocol.h"

namespace forebay::fuse {
namespace {

constexpr std::uint64_t kWake = UINT64_MAX;  // the completion that is no place's
constexpr std::size_t kHeaderRoom = 512;     // of a RingHeader
// So much is answered in one system call with the requests that came along; more is on its way at once.
constexpr std::size_t kBatchBytes = 64 * kKiB;

static_assert(sizeof(RingHeader) <= kHeaderRoom);

bool connectionIsOver(int error) {
  return error == ENOTCONN || error == ECONNABORTED || error == ECANCELED || error == ENODEV;
}

}  // namespace

struct Ring::Place {
  RingHeader* header = nullptr;
  std::byte* payload = nullptr;
  std::array<iovec, 2> parts{};  // the same, for the kernel
  std::uint16_t queue = 0;
  Server* server = nullptr;
  std::uint32_t command = kRingRegister;  // the last one
  std::uint64_t commit_id = 0;
  std::size_t answer = 0;  // its bytes
};

// One thread with one io_uring, for the places of a few queues. It isn't bound to a CPU: where it was, a sequential
// reader waited for its own CPU to be free and got 0.6 of what it gets otherwise (2 cores, 1 MiB reads).
struct Ring::Server {
  explicit Server(Ring& of) : owner(of) {}
  ~Server() {
    if (made) ::io_uring_queue_exit(&uring);
  }

  Status setUp();
  void run(std::promise<Status> registered);
  Status enroll();
  void serve();
  void submitAnswers();
  bool reap();  // false: nothing was there
  void completed(const io_uring_cqe& cqe);
  void handle(Place& place);
  void refuse(Place& place, int error);
  void submit(Place& place, std::uint32_t command);
  void waitForWake();
  void post(Place& place);
  void wake();
  bool mayRest();
  unsigned numberOf(const Place& place) const { return static_cast<unsigned>(&place - owner.places_.data()); }

  Ring& owner;
  std::vector<Place*> places;
  int device = -1;
  io_uring uring{};
  bool made = false;
  Descriptor event;
  std::uint64_t event_value = 0;
  std::thread thread;
  std::unique_ptr<std::array<std::byte, kRequestBuffer>> request;
  std::size_t prepared = 0;  // bytes of answers that wait for a system call

  std::mutex mutex;
  std::vector<Place*> answered;  // by other threads
  bool resting = false;          // a wake-up is needed
  bool stopping = false;
};

namespace {
thread_local const void* serving = nullptr;  // the server whose thread this is
}  // namespace

Result<std::unique_ptr<Ring>> Ring::create(const RingShape& shape) {
  std::unique_ptr<Ring> ring(new Ring(shape));
  TRY(ring->setUp());
  return ring;
}

Ring::Ring(const RingShape& shape) : shape_(shape), places_(shape.places()) {}

Ring::~Ring() {
  stop();
  servers_.clear();
  if (memory_ != nullptr) ::munmap(memory_, memory_size_);
}

Status Ring::setUp() {
  memory_size_ = places_.size() * (kHeaderRoom + shape_.payload);
  void* memory =
      ::mmap(nullptr, memory_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return failErrno(fmt::format("{} bytes of memory", memory_size_), errno);
  memory_ = static_cast<std::byte*>(memory);
  ::madvise(memory_, memory_size_, MADV_DONTFORK);
  for (unsigned i = 0; i < shape_.threads; ++i) servers_.push_back(std::make_unique<Server>(*this));
  std::byte* payload = memory_;
  std::byte* header = memory_ + (places_.size() * shape_.payload);
  std::size_t next = 0;
  for (unsigned queue = 0; queue < shape_.cpus; ++queue) {
    for (unsigned i = 0; i < shape_.depthOf(queue); ++i, payload += shape_.payload, header += kHeaderRoom) {
      Place& place = places_[next++];
      place.header = new (header) RingHeader;
      place.payload = payload;
      place.parts = {{{header, sizeof(RingHeader)}, {payload, shape_.payload}}};
      place.queue = static_cast<std::uint16_t>(queue);
      place.server = servers_[queue % servers_.size()].get();
      place.server->places.push_back(&place);
    }
  }
  for (const auto& server : servers_) TRY(server->setUp());
  return {};
}

Status Ring::start(int device, Handle handle) {
  handle_ = std::move(handle);
  std::vector<std::future<Status>> answers;
  for (const auto& server : servers_) {
    std::promise<Status> registered;
    answers.push_back(registered.get_future());
    server->device = device;
    server->thread = std::thread(
        [&server = *server, registered = std::move(registered)]() mutable { server.run(std::move(registered)); });
  }
  Status status;
  for (auto& answer : answers)
    if (Status one = answer.get(); !one) status = std::move(one);
  return status;
}

int Ring::send(unsigned number, std::span<const iovec> parts) {
  Place& place = places_[number];
  std::size_t size = 0;
  for (const iovec& part : parts.subspan(1)) size += part.iov_len;
  if (size > shape_.payload) {
    place.server->refuse(place, EIO);
    return EIO;
  }
  std::memcpy(place.header->message.data(), parts[0].iov_base, sizeof(fuse_out_header));
  std::byte* to = place.payload;
  for (const iovec& part : parts.subspan(1)) {
    std::memcpy(to, part.iov_base, part.iov_len);
    to += part.iov_len;
  }
  place.answer = size;
  place.server->post(place);
  return 0;
}

void Ring::stop() {
  for (const auto& server : servers_) {
    const std::lock_guard lock(server->mutex);
    server->stopping = true;
    server->wake();
  }
  for (const auto& server : servers_)
    if (server->thread.joinable()) server->thread.join();
}

// --- one server

// Completions are delivered when the thread asks for them, not by interrupting it; the thread that enables the ring is
// the only one that uses it.
Status Ring::Server::setUp() {
  io_uring_params params{};
  params.flags =
      IORING_SETUP_SQE128 | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int error = ::io_uring_queue_init_params(static_cast<unsigned>(places.size()) + 1, &uring, &params);
  if (error != 0) return failErrno("io_uring_setup", -error);
  made = true;
  event = Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!event) return failErrno("eventfd", errno);
  answered.reserve(places.size());
  request = std::make_unique<std::array<std::byte, kRequestBuffer>>();
  return {};
}

void Ring::Server::run(std::promise<Status> registered) {
  serving = this;
  const Status enrolled = enroll();
  registered.set_value(enrolled);
  serve();
}

Status Ring::Server::enroll() {
  // liburing 2.3 has a function for it, and doesn't export it.
  if (::syscall(__NR_io_uring_register, uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) != 0)
    return failErrno("enable an io_uring", errno);
  waitForWake();
  for (Place* place : places) submit(*place, kRingRegister);
  if (const int n = ::io_uring_submit(&uring); n < 0) return failErrno("io_uring_enter", -n);
  // What the kernel doesn't take completes at once.
  io_uring_cqe* cqe = nullptr;
  if (::io_uring_peek_cqe(&uring, &cqe) == 0 && cqe->res < 0)
    return failErrno("register a place of the io_uring with the kernel", -cqe->res);
  return {};
}

void Ring::Server::serve() {
  for (;;) {
    submitAnswers();
    const bool rest = mayRest();
    const int n = ::io_uring_submit_and_wait(&uring, rest ? 1 : 0);
    prepared = 0;
    {
      const std::lock_guard lock(mutex);
      resting = false;
      if (stopping && answered.empty()) return;
    }
    if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY) {
      log::error("fuse", "io_uring_enter: {}: {} queues of the kernel are served no more", ::strerrordesc_np(-n),
                 places.size());
      return;
    }
    while (reap()) {
    }
  }
}

// Whether there is nothing to do until the kernel or another thread comes.
bool Ring::Server::mayRest() {
  const std::lock_guard lock(mutex);
  resting = answered.empty() && !stopping;
  return resting;
}

void Ring::Server::submitAnswers() {
  std::vector<Place*> mine;
  {
    const std::lock_guard lock(mutex);
    if (answered.empty()) return;
    mine.swap(answered);
    answered.reserve(places.size());
  }
  for (Place* place : mine) submit(*place, kRingCommitAndFetch);
}

bool Ring::Server::reap() {
  io_uring_cqe* cqe = nullptr;
  if (::io_uring_peek_cqe(&uring, &cqe) != 0) return false;
  const io_uring_cqe done = *cqe;
  ::io_uring_cqe_seen(&uring, cqe);
  completed(done);
  if (prepared >= kBatchBytes) {
    (void)::io_uring_submit(&uring);  // trouble shows in the next call
    prepared = 0;
  }
  return true;
}

void Ring::Server::completed(const io_uring_cqe& cqe) {
  if (cqe.user_data == kWake) return waitForWake();
  Place& place = owner.places_[cqe.user_data];
  if (cqe.res >= 0) return handle(place);
  if (cqe.res == -EAGAIN || cqe.res == -EINTR) return submit(place, place.command);
  if (!connectionIsOver(-cqe.res))
    log::warn("fuse", "the kernel gave up a place of queue {}: {}", place.queue, ::strerrordesc_np(-cqe.res));
}

void Ring::Server::handle(Place& place) {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;  // it stays with the kernel, which ends it with the connection
  }
  place.commit_id = place.header->commit_id;
  const auto joined = joinRequest(*place.header, {place.payload, owner.shape_.payload}, *request);
  const auto header = joined ? parseHeader(*joined) : fail(Error(joined.error()));
  if (!header || !wantsReply(header->opcode)) {
    log::warn("fuse", "{}", header ? "a request in the ring that has no answer" : header.error().message);
    return refuse(place, EIO);
  }
  owner.handle_(numberOf(place), *joined);
}

void Ring::Server::refuse(Place& place, int error) {
  fuse_out_header out{};
  out.len = sizeof out;
  out.error = -error;
  out.unique = place.commit_id;
  std::memcpy(place.header->message.data(), &out, sizeof out);
  place.answer = 0;
  post(place);
}

void Ring::Server::post(Place& place) {
  if (serving == this) return submit(place, kRingCommitAndFetch);
  const std::lock_guard lock(mutex);
  answered.push_back(&place);
  wake();
}

// With the lock.
void Ring::Server::wake() {
  if (!std::exchange(resting, false)) return;
  const std::uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);
}

void Ring::Server::waitForWake() {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&uring);
  std::memset(sqe, 0, 2 * sizeof *sqe);
  ::io_uring_prep_read(sqe, event.get(), &event_value, sizeof event_value, 0);
  sqe->user_data = kWake;
}

// A place has one command at a time, and the queue of submissions room for all of them.
void Ring::Server::submit(Place& place, std::uint32_t command) {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&uring);
  std::memset(sqe, 0, 2 * sizeof *sqe);
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->fd = device;  // not registered with the ring, which would keep it open until long after the ring's end
  sqe->cmd_op = command;
  if (command == kRingRegister) {
    sqe->addr = reinterpret_cast<std::uint64_t>(place.parts.data());
    sqe->len = static_cast<std::uint32_t>(place.parts.size());
  } else {
    place.header->payload_size = static_cast<std::uint32_t>(place.answer);
    prepared += place.answer;
  }
  sqe->user_data = numberOf(place);
  const RingCommand own{.commit_id = command == kRingRegister ? 0 : place.commit_id, .queue = place.queue};
  std::memcpy(sqe->cmd, &own, sizeof own);
  place.command = command;
}

}  // namespace forebay::fuse
