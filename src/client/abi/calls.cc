#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <fmt/format.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/abi/handles.h"
#include "client/operation.h"
#include "io/reactor.h"

static_assert(static_cast<int>(forebay::Code::ReadOnly) == FOREBAY_READ_ONLY);
static_assert(static_cast<int>(forebay::Code::Gone) == FOREBAY_GONE);

namespace forebay::abi {
namespace {

thread_local bool in_callback = false;

forebay_completion completionOf(std::uint64_t id, void* user, const Status& status) {
  forebay_completion completion = {};
  completion.size = sizeof completion;
  completion.id = id;
  completion.user = user;
  completion.code = codeOf(status);
  if (!status) {
    completion.retry_after_ms = status.error().retry_after_ms;
    copyText(completion.message, status.error().message);
  }
  return completion;
}

// The waiting form. A semaphore, because it may be gone as soon as sem_post has let the waiting thread go; with a
// condition variable the lock would have to be held meanwhile, and the thread would be woken only to wait for it.
class Waiter {
 public:
  Waiter() { sem_init(&told_, 0, 0); }
  ~Waiter() { sem_destroy(&told_); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void tell(Status status) {
    status_ = std::move(status);
    is_told_ = true;
    sem_post(&told_);
  }
  // In the thread that is told.
  bool told() const { return is_told_; }
  Status wait() {
    while (sem_wait(&told_) != 0 && errno == EINTR) {
    }
    return std::move(status_);
  }

 private:
  sem_t told_;
  bool is_told_ = false;
  Status status_;
};

Status checkCall(const Session& session, const forebay_call* call) {
  if (session.process != processGeneration())
    return fail(Code::InvalidArgument, "this handle was made before a fork: the child must connect anew");
  if (call == nullptr) return {};
  TRY(checkSize("forebay_call", call->size, sizeof *call));
  if (call->callback != nullptr && call->queue != nullptr)
    return fail(Code::InvalidArgument, "a call has a callback or a queue, not both");
  return {};
}

bool waitsFor(const forebay_call* call) {
  return call == nullptr || (call->callback == nullptr && call->queue == nullptr);
}

Done teller(const forebay_call& call, client::CallId id) {
  if (call.queue != nullptr) {
    return [queue = call.queue, user = call.user, id](Status status) { queue->push(id, user, status); };
  }
  return [callback = call.callback, user = call.user, id](Status status) {
    const forebay_completion completion = completionOf(id, user, status);
    in_callback = true;
    callback(&completion);
    in_callback = false;
  };
}

}  // namespace

unsigned processGeneration() {
  static std::atomic<unsigned> generation = 0;
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { ++generation; }); });
  return generation.load(std::memory_order_relaxed);
}

bool inCallback() {
  return in_callback;
}

bool mayReadHere(const Session& session, const forebay_call* call) {
  return !in_callback && checkCall(session, call) && waitsFor(call);
}

void copyText(std::span<char> to, std::string_view text) {
  if (to.empty()) return;
  to[text.copy(to.data(), to.size() - 1)] = '\0';
}

Status checkSize(const char* what, std::size_t size, std::size_t needed) {
  if (size >= needed) return {};
  return fail(Code::InvalidArgument,
              fmt::format("{}.size is {}, at least {} is needed: set it to sizeof", what, size, needed));
}

forebay_code fill(forebay_error* error, const Error& from) {
  constexpr std::size_t kMessage = offsetof(forebay_error, message);
  if (error != nullptr && error->size > kMessage) {
    error->code = static_cast<forebay_code>(from.code);
    error->retry_after_ms = from.retry_after_ms;
    copyText(std::span(error->message).first(std::min(sizeof error->message, error->size - kMessage)), from.message);
  }
  return static_cast<forebay_code>(from.code);
}

forebay_code run(const std::shared_ptr<Session>& session, forebay_call* call, forebay_error* error, Start start) {
  if (const Status good = checkCall(*session, call); !good) return fill(error, good.error());
  const bool waits = waitsFor(call);
  if (waits && in_callback)
    return fill(error, {Code::InvalidArgument, "a callback must not wait: give the call a callback or a queue", 0});
  if (!waits && call->queue != nullptr && !call->queue->reserve()) {
    return fill(
        error,
        {Code::Busy,
         fmt::format("the queue's {} places are taken: drain it, or make a larger one", call->queue->capacity), 0});
  }
  Duration timeout = session->timeout;
  if (call != nullptr && call->timeout_ms != 0) timeout = std::chrono::milliseconds(call->timeout_ms);
  const client::CallId id = client::CellReader::newCall();
  if (call != nullptr) call->id = id;
  Waiter waiter;
  Done done = waits ? Done() : teller(*call, id);
  client::OperationLoop* guest_of = nullptr;
  const Status started = session->with([&](client::CellReader& cell) {
    client::OperationLoop& loop = cell.loop();
    if (waits) {
      if (loop.enter()) guest_of = &loop;
      done = [&waiter, &loop](Status status) {
        loop.stepAside();
        waiter.tell(std::move(status));
      };
    }
    start({.cell = cell, .deadline = io::Reactor::now() + timeout, .id = id}, std::move(done));
  });
  if (guest_of != nullptr) {
    guest_of->drive([&] { return waiter.told(); });
    guest_of->leave();
  }
  if (!started) {
    if (!waits && call->queue != nullptr) call->queue->giveBack();
    return fill(error, started.error());
  }
  if (!waits) return FOREBAY_OK;
  const Status status = waiter.wait();
  return status ? FOREBAY_OK : fill(error, status.error());
}

}  // namespace forebay::abi

// ---- queues ----

bool forebay_queue::reserve() {
  const std::lock_guard lock(mutex);
  if (open == capacity) return false;
  ++open;
  return true;
}

void forebay_queue::giveBack() {
  const std::lock_guard lock(mutex);
  --open;
}

void forebay_queue::push(std::uint64_t id, void* user, const forebay::Status& status) {
  const std::lock_guard lock(mutex);
  if (ended.empty()) eventfd_write(fd, 1);
  ended.push_back({.id = id, .user = user, .status = status});
}

std::size_t forebay_queue::drain(std::byte* to, std::size_t stride, std::size_t max) {
  const std::lock_guard lock(mutex);
  std::size_t count = 0;
  for (; count < max && !ended.empty(); ++count) {
    forebay_completion completion =
        forebay::abi::completionOf(ended.front().id, ended.front().user, ended.front().status);
    completion.size = stride;
    const std::size_t size = std::min(stride, sizeof completion);
    std::memcpy(to + count * stride, &completion, size);
    to[count * stride + size - 1] = std::byte{0};  // the message's end, also where it was cut
    ended.pop_front();
    --open;
  }
  if (count != 0 && ended.empty()) {
    eventfd_t told = 0;
    eventfd_read(fd, &told);
  }
  return count;
}

forebay_code forebay_queue_new(std::size_t capacity, forebay_queue** queue, forebay_error* error) {
  constexpr std::size_t kMost = 1'048'576;
  if (queue == nullptr || capacity == 0 || capacity > kMost) {
    return forebay::abi::fill(
        error, {forebay::Code::InvalidArgument, fmt::format("a queue has 1 to {} places, not {}", kMost, capacity), 0});
  }
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return forebay::abi::fill(error, forebay::failErrno("make an eventfd", errno).error());
  *queue = new forebay_queue(capacity, fd);
  return FOREBAY_OK;
}

int forebay_queue_fd(const forebay_queue* queue) {
  return queue->fd;
}

std::size_t forebay_drain(forebay_queue* queue, forebay_completion* completions, std::size_t max) {
  // Up to the message's first byte a completion can be told by: an element that is smaller isn't one.
  if (max == 0 || completions == nullptr || completions->size <= offsetof(forebay_completion, message)) return 0;
  return queue->drain(reinterpret_cast<std::byte*>(completions), completions->size, max);
}

forebay_code forebay_queue_free(forebay_queue* queue) {
  if (queue == nullptr) return FOREBAY_OK;
  if (forebay::abi::inCallback()) return FOREBAY_INVALID_ARGUMENT;
  {
    const std::lock_guard lock(queue->mutex);
    if (queue->open != queue->ended.size()) return FOREBAY_BUSY;
  }
  close(queue->fd);
  delete queue;
  return FOREBAY_OK;
}
