// Forebay's client library in C++17: classes over forebay.h, in headers alone. Link libforebay.
//
//   forebay::Result<forebay::Client> client = forebay::Client::connect();
//   if (!client) return complain(client.error().message);
//   forebay::Result<forebay::Object> shard = client->open("imagenet/train/shard-0001.tar");
//   std::vector<char> bytes(shard->bytes());
//   forebay::Result<std::uint64_t> got = shard->read(0, bytes);
//
// forebay.h says what holds for both: names, units, threads, fork, what is repeated. Here:
//
// OUTCOMES. Every function that can fail returns a Result: a value, or an Error with a code to decide by and a message
// for people. Nothing throws, but for value() of a Result that has none, where exceptions are on.
//
// THREE FORMS. Without a handler a function waits. With one it returns at once: the id of the call, for cancel(), or
// why the call wasn't accepted; then the handler never runs. An accepted call's handler runs exactly once, with the
// Result:
//   client.open(name, [](forebay::Result<forebay::Object> object) { ... });             on the client's I/O thread, or
//   client.open(name, [](forebay::Result<forebay::Object> object) { ... }, {5s, &queue});  in queue.drain(), which an
// event loop calls when queue.descriptor() is readable. A handler may be moved only. It must not throw. On the I/O
// thread it must not wait, nor destroy the client or a queue; in drain() it may do anything but destroy that queue.
//
// LIFETIMES. Classes are moved, not copied, and end what they hold. A moved-from one may only be destroyed or assigned
// to. Memory that bytes are read into is the caller's, and the library's until the call has ended; the rest of a call
// (names, handlers, batches) is kept by the call. An Object outlives its Client, to be destroyed: it can't be read
// then.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forebay/forebay.h>
#include <forebay/result.hpp>
#include <iterator>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace forebay {
inline namespace cxx0 {  // result.hpp

using CallId = std::uint64_t;

class Queue;

struct CallOptions {
  std::chrono::milliseconds timeout{0};  // 0: the client's
  Queue* queue = nullptr;                // whose drain() runs the handler; null: the client's I/O thread does
  bool revalidate = false;               // open() alone: ask the origin for the version, whatever is cached
};

namespace detail {

struct CloseObject {
  void operator()(forebay_object* object) const { forebay_close(object); }
};
struct Unmap {
  void operator()(forebay_mapping* mapping) const { forebay_unmap(mapping); }
};
struct ReleaseView {
  void operator()(forebay_view* view) const { forebay_view_release(view); }
};
struct FreePage {
  void operator()(forebay_page* page) const { forebay_page_free(page); }
};
struct Disconnect {
  void operator()(forebay_client* client) const { forebay_disconnect(client); }
};

inline forebay_error noError() {
  forebay_error error{};
  error.size = sizeof error;
  return error;
}
inline Error errorOf(forebay_code code, const char* message, std::uint32_t retry_after_ms) {
  return {static_cast<Code>(code), message, std::chrono::milliseconds(retry_after_ms)};
}
inline Result<void> outcomeOf(forebay_code code, const forebay_error& error) {
  if (code == FOREBAY_OK) return {};
  return errorOf(code, error.message, error.retry_after_ms);
}
inline Result<void> outcomeOf(const forebay_completion& told) {
  if (told.code == FOREBAY_OK) return {};
  return errorOf(told.code, told.message, told.retry_after_ms);
}
inline forebay_attributes emptyAttributes() {
  forebay_attributes attributes{};
  attributes.size = sizeof attributes;
  return attributes;
}
inline std::uint32_t milliseconds(std::chrono::milliseconds time) {
  if (time.count() <= 0) return 0;
  return time.count() >= 0xffffffff ? 0xffffffffU : static_cast<std::uint32_t>(time.count());
}
inline forebay_call callOf(const CallOptions& options) {
  forebay_call call{};
  call.size = sizeof call;
  call.timeout_ms = milliseconds(options.timeout);
  return call;
}

// What a call that doesn't wait needs until it has ended: where its results go, and who is told. Each kind of call has
// fields of its own, makes its Result of them in result(), and is deleted when that was told.
struct Pending {
  virtual ~Pending() = default;
  virtual void told(const forebay_completion& completion) noexcept = 0;
};
inline void tell(const forebay_completion* completion) {
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(completion->user));
  pending->told(*completion);
}
template <class Asked, class Handler>
struct PendingCall final : Pending {
  PendingCall(Asked from, Handler to) : asked(std::move(from)), handler(std::move(to)) {}
  void told(const forebay_completion& completion) noexcept override { asked.tell(outcomeOf(completion), handler); }
  Asked asked;
  Handler handler;
};

// Each of these is one question: where C puts its results, how it is asked, and the Result that they make.
template <class Asked>
Result<void> ask(Asked& asked, const CallOptions& options) {
  forebay_call call = callOf(options);
  forebay_error error = noError();
  const forebay_code code = asked.ask(&call, &error);
  return outcomeOf(code, error);
}
template <class Asked>
auto waitFor(Asked asked, const CallOptions& options) {
  const Result<void> outcome = ask(asked, options);
  return asked.result(outcome);
}
template <class Asked, class Handler>
Result<CallId> start(Asked asked, Handler&& handler, const CallOptions& options);

template <class Handler, class... Told>
using IfHandler = std::enable_if_t<std::is_invocable_v<std::decay_t<Handler>&, Told...>, int>;

}  // namespace detail

// ---- completions ----

// Handlers that wait to be run where drain() is called: for event loops. At most `capacity` calls (1 to 1,048,576) may
// be on their way or waiting; one more isn't accepted (Busy). The destructor waits for calls that are on their way, and
// runs no handler: cancel() and drain() first where that matters.
class Queue {
 public:
  static Result<Queue> make(std::size_t capacity) {
    forebay_queue* queue = nullptr;
    forebay_error error = detail::noError();
    const forebay_code code = forebay_queue_new(capacity, &queue, &error);
    if (code != FOREBAY_OK) return detail::errorOf(code, error.message, 0);
    return Queue(queue);
  }
  Queue(Queue&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Queue& operator=(Queue&& other) noexcept {
    if (this != &other) {
      end();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Queue() { end(); }

  // Readable (poll, epoll, io_uring) while handlers wait to be run. Don't read or close it.
  int descriptor() const { return forebay_queue_fd(handle_); }
  // Runs up to `max` handlers that wait, and returns how many. Doesn't wait itself.
  std::size_t drain(std::size_t max = SIZE_MAX) {
    std::size_t ran = 0;
    for (forebay_completion one = empty(); ran < max && forebay_drain(handle_, &one, 1) == 1; ++ran) detail::tell(&one);
    return ran;
  }
  // Waits for handlers, for at most `time`, and runs them: how many. For programs without a loop of their own.
  std::size_t drainWithin(std::chrono::milliseconds time) {
    pollfd wake{descriptor(), POLLIN, 0};
    const std::uint32_t most = detail::milliseconds(time);
    poll(&wake, 1, most > 0x7fffffff ? 0x7fffffff : static_cast<int>(most));
    return drain();
  }
  forebay_queue* handle() const { return handle_; }

 private:
  explicit Queue(forebay_queue* handle) : handle_(handle) {}
  static forebay_completion empty() {
    forebay_completion completion{};
    completion.size = sizeof completion;
    return completion;
  }
  void end() {
    if (handle_ == nullptr) return;
    // Every call has a deadline, so this ends.
    do {
      for (forebay_completion one = empty(); forebay_drain(handle_, &one, 1) == 1;)
        delete static_cast<detail::Pending*>(one.user);
      if (forebay_queue_free(handle_) != FOREBAY_BUSY) break;
      pollfd wake{descriptor(), POLLIN, 0};
      poll(&wake, 1, 1'000);
    } while (true);
    handle_ = nullptr;
  }
  forebay_queue* handle_;
};

// From here on the call owns what was made for it: it may have been told, and be gone, before ask() returns.
template <class Asked, class Handler>
Result<CallId> detail::start(Asked asked, Handler&& handler, const CallOptions& options) {
  auto pending =
      std::make_unique<PendingCall<Asked, std::decay_t<Handler>>>(std::move(asked), std::forward<Handler>(handler));
  forebay_call call = callOf(options);
  call.user = static_cast<Pending*>(pending.get());
  if (options.queue != nullptr)
    call.queue = options.queue->handle();
  else
    call.callback = &tell;
  forebay_error error = noError();
  Asked& kept = pending.get()->asked;
  Pending* const owned = pending.release();
  const forebay_code code = kept.ask(&call, &error);
  if (code == FOREBAY_OK) return call.id;
  delete owned;
  return errorOf(code, error.message, error.retry_after_ms);
}

// ---- names ----

struct Attributes {
  Code code = Code::Ok;  // of this name; what follows is set if Ok
  bool directory = false;
  std::uint64_t bytes = 0;  // of an object, as all that follows
  std::int64_t mtime_ns = 0;
  std::uint64_t chunk_bytes = 0;  // reads that are whole chunks are the cheapest
  std::string version;            // the origin's word for it (an ETag)

  static Attributes of(const forebay_attributes& from) {
    return {
        static_cast<Code>(from.code), from.directory != 0, from.bytes, from.mtime_ns, from.chunk_bytes, from.version};
  }
};

struct Entry {
  std::string_view name;  // one component; lives as long as its page
  bool directory = false;
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
};

// Some names of a directory, in order.
//   for (forebay::Entry entry : page) ...
class Page {
 public:
  explicit Page(forebay_page* page) : handle_(page) {}
  std::size_t size() const { return forebay_page_count(handle_.get()); }
  Entry operator[](std::size_t index) const {
    forebay_entry entry{};
    entry.size = sizeof entry;
    if (forebay_page_entry(handle_.get(), index, &entry) != FOREBAY_OK) return {};
    return {entry.name, entry.directory != 0, entry.bytes, entry.mtime_ns};
  }
  // Where the next page starts; "": this was the last.
  std::string cursor() const { return forebay_page_cursor(handle_.get()); }

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using pointer = const Entry*;
    using reference = Entry;
    Iterator(const Page* page, std::size_t index) : page_(page), index_(index) {}
    Entry operator*() const { return (*page_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const Page* page_;
    std::size_t index_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  std::unique_ptr<forebay_page, detail::FreePage> handle_;
};

// ---- bytes ----

// The caller's memory: a pointer and a length, or what has data() and size() (a vector, string, array, span).
struct Buffer : forebay_piece {
  Buffer(void* memory, std::size_t bytes) : forebay_piece{memory, bytes} {}
  template <class Memory, class Element = std::remove_pointer_t<decltype(std::declval<Memory&>().data())>,
            std::enable_if_t<std::is_trivially_copyable_v<Element> && !std::is_const_v<Element>, int> = 0>
  Buffer(Memory&& memory) : forebay_piece{memory.data(), memory.size() * sizeof(Element)} {}
};

// All of an object's bytes as this machine's node holds them, for reading and without a copy. They stay what they are
// until this is destroyed, whatever becomes of the object, the client and the node, also in a forked child.
class Mapping {
 public:
  Mapping(forebay_mapping* mapping, const void* base, std::uint64_t bytes)
      : handle_(mapping), base_(static_cast<const std::byte*>(base)), bytes_(bytes) {}
  const std::byte* data() const { return base_; }
  std::size_t size() const { return bytes_; }
  const std::byte* begin() const { return base_; }
  const std::byte* end() const { return base_ + bytes_; }

 private:
  std::unique_ptr<forebay_mapping, detail::Unmap> handle_;
  const std::byte* base_;
  std::uint64_t bytes_;
};

// Bytes of an object in view: in the memory of this machine's node where that can be (pinned), else a copy. They stay
// what they are until this is destroyed, whatever becomes of the object and the node; a forked child may not use them.
// Destroy it before the client: the node holds what goes later until this process ends.
class View {
 public:
  View(forebay_view* view, const void* base, std::uint64_t bytes)
      : handle_(view), base_(static_cast<const std::byte*>(base)), bytes_(bytes) {}
  const std::byte* data() const { return base_; }
  std::size_t size() const { return bytes_; }
  const std::byte* begin() const { return base_; }
  const std::byte* end() const { return base_ + bytes_; }
  bool pinned() const { return forebay_view_pinned(handle_.get()) != 0; }

 private:
  std::unique_ptr<forebay_view, detail::ReleaseView> handle_;
  const std::byte* base_;
  std::uint64_t bytes_;
};

class Object {
 public:
  explicit Object(forebay_object* object) : handle_(object) {}

  // One version, whatever comes later.
  std::uint64_t bytes() const { return forebay_object_bytes(handle_.get()); }
  Attributes attributes() const {
    forebay_attributes attributes = detail::emptyAttributes();
    forebay_object_attributes(handle_.get(), &attributes);
    return Attributes::of(attributes);
  }
  // As pread: the buffer's length at `offset`, fewer bytes at the object's end only, 0 at or beyond it.
  Result<std::uint64_t> read(std::uint64_t offset, Buffer into, CallOptions options = {}) const {
    return detail::waitFor(Read{handle_.get(), offset, into}, options);
  }
  // Handler: void(Result<std::uint64_t>).
  template <class Handler, detail::IfHandler<Handler, Result<std::uint64_t>> = 0>
  Result<CallId> read(std::uint64_t offset, Buffer into, Handler&& handler, CallOptions options = {}) const {
    return detail::start(Read{handle_.get(), offset, into}, std::forward<Handler>(handler), options);
  }
  // NotFound: the node couldn't have all of it in one place in time; Busy: it has given away as much as it may;
  // Unsupported: there is no node of this machine, or the object is small (forebay_map).
  Result<Mapping> map(CallOptions options = {}) const { return detail::waitFor(Map{handle_.get()}, options); }
  // `length` bytes at `offset`, fewer at the object's end only, without a copy where that can be (forebay_view_bytes).
  Result<View> view(std::uint64_t offset, std::uint64_t length, CallOptions options = {}) const {
    return detail::waitFor(InView{handle_.get(), offset, length}, options);
  }
  // Handler: void(Result<View>).
  template <class Handler, detail::IfHandler<Handler, Result<View>> = 0>
  Result<CallId> view(std::uint64_t offset, std::uint64_t length, Handler&& handler, CallOptions options = {}) const {
    return detail::start(InView{handle_.get(), offset, length}, std::forward<Handler>(handler), options);
  }
  forebay_object* handle() const { return handle_.get(); }

 private:
  struct InView {
    forebay_object* object;
    std::uint64_t offset, length;
    forebay_view* view = nullptr;
    const void* base = nullptr;
    std::uint64_t got = 0;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return forebay_view_bytes(object, offset, length, &view, &base, &got, call, error);
    }
    Result<View> result(const Result<void>& outcome) const {
      if (!outcome) return outcome.error();
      return View(view, base, got);
    }
    template <class Handler>
    void tell(const Result<void>& outcome, Handler& handler) {
      handler(result(outcome));
    }
  };
  struct Map {
    forebay_object* object;
    forebay_mapping* mapping = nullptr;
    const void* base = nullptr;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return forebay_map(object, &mapping, &base, call, error);
    }
    Result<Mapping> result(const Result<void>& outcome) const {
      if (!outcome) return outcome.error();
      return Mapping(mapping, base, forebay_object_bytes(object));
    }
  };
  struct Read {
    forebay_object* object;
    std::uint64_t offset;
    Buffer into;
    std::uint64_t got = 0;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return forebay_read(object, offset, into.base, into.length, &got, call, error);
    }
    Result<std::uint64_t> result(const Result<void>& outcome) const {
      if (!outcome) return outcome.error();
      return got;
    }
    template <class Handler>
    void tell(const Result<void>& outcome, Handler& handler) {
      handler(result(outcome));
    }
  };
  std::unique_ptr<forebay_object, detail::CloseObject> handle_;
};

// Ranges of objects, by name or open, and where their bytes go: read or prefetched at once, in as few requests as they
// fit in. Every range has an outcome of its own.
//   forebay::Batch batch;
//   for (auto& sample : samples) batch.add(sample.name, sample.room);          // the whole object
//   batch.add(shard, offset, length, {header, body});                          // scattered over two buffers
//   forebay::Result<void> all = client.read(batch);                            // the first error, if there is one
//   for (std::size_t i = 0; i < batch.size(); ++i) use(batch.code(i), batch.bytes(i));
class Batch {
 public:
  static constexpr std::uint64_t kToTheEnd = UINT64_MAX;

  // `length` is cut at the object's end; the buffers, one after the other, hold that or more. prefetch() ignores them.
  // The object must be open until the batch is given to the client.
  void add(const Object& object, std::uint64_t offset, std::uint64_t length, std::vector<Buffer> into) {
    place(object.handle(), {}, offset, length, std::move(into));
  }
  void add(std::string name, std::uint64_t offset, std::uint64_t length, std::vector<Buffer> into) {
    place(nullptr, std::move(name), offset, length, std::move(into));
  }
  void add(const Object& object, Buffer into) { add(object, 0, kToTheEnd, {into}); }
  void add(std::string name, Buffer into) { add(std::move(name), 0, kToTheEnd, {into}); }

  std::size_t size() const { return ranges_.size(); }
  bool empty() const { return ranges_.empty(); }
  // Of a batch that was read or prefetched: how the range ended, and its bytes that were read, or are in the cell.
  Code code(std::size_t range) const { return static_cast<Code>(ranges_[range].code); }
  std::uint64_t bytes(std::size_t range) const { return ranges_[range].got; }
  void clear() {
    ranges_.clear();
    kept_.clear();
  }

 private:
  friend class Client;
  struct Kept {
    std::string name;
    std::vector<Buffer> into;
  };
  void place(forebay_object* object, std::string name, std::uint64_t offset, std::uint64_t length,
             std::vector<Buffer> into) {
    static_assert(sizeof(Buffer) == sizeof(forebay_piece), "an array of Buffers is one of pieces");
    const Kept& kept = kept_.emplace_back(Kept{std::move(name), std::move(into)});
    forebay_range range{};
    range.size = sizeof range;
    range.object = object;
    range.name = object == nullptr ? kept.name.c_str() : nullptr;
    range.offset = offset;
    range.length = length;
    range.pieces = kept.into.data();
    range.piece_count = kept.into.size();
    ranges_.push_back(range);
  }
  // A deque, because ranges point to what is kept: it doesn't move, also when the batch does.
  std::deque<Kept> kept_;
  std::vector<forebay_range> ranges_;
};

// ---- the client ----

struct ConnectOptions {
  std::string node;                      // "unix:PATH" or "HOST:PORT"; empty: FOREBAY_NODE, else this machine's node
  std::vector<std::string> direct;       // HOST:PORT of members of a cell, to read it without a node of this machine
  std::chrono::milliseconds timeout{0};  // of each call that gives none; 0: a minute
  std::chrono::milliseconds connect_timeout{0};  // of the first answer; 0: 3 s
  bool shared_memory = true;  // what this machine's node holds whole is read from its memory (forebay.h)
};

class Listing;

class Client {
 public:
  static Result<Client> connect(const ConnectOptions& options = {}) {
    std::vector<const char*> direct;
    for (const std::string& member : options.direct) direct.push_back(member.c_str());
    forebay_options all{};
    all.size = sizeof all;
    all.node = options.node.empty() ? nullptr : options.node.c_str();
    all.direct = direct.empty() ? nullptr : direct.data();
    all.direct_count = direct.size();
    all.timeout_ms = detail::milliseconds(options.timeout);
    all.connect_timeout_ms = detail::milliseconds(options.connect_timeout);
    all.flags = options.shared_memory ? 0 : FOREBAY_NO_SHARED_MEMORY;
    forebay_client* client = nullptr;
    forebay_error error = detail::noError();
    const forebay_code code = forebay_connect(&all, &client, &error);
    if (code != FOREBAY_OK) return detail::errorOf(code, error.message, error.retry_after_ms);
    return Client(client);
  }

  Result<Object> open(const std::string& name, CallOptions options = {}) {
    return detail::waitFor(Open{handle_.get(), name, options.revalidate}, options);
  }
  // Handler: void(Result<Object>).
  template <class Handler, detail::IfHandler<Handler, Result<Object>> = 0>
  Result<CallId> open(const std::string& name, Handler&& handler, CallOptions options = {}) {
    return detail::start(Open{handle_.get(), name, options.revalidate}, std::forward<Handler>(handler), options);
  }

  // Of one name: an error if it isn't there.
  Result<Attributes> stat(const std::string& name, CallOptions options = {}) {
    Stat asked(handle_.get(), {name});
    const Result<void> outcome = detail::ask(asked, options);
    if (!outcome) return outcome.error();
    return Attributes::of(asked.attributes.front());
  }
  // Of many, in a few requests: each has a code of its own, and an error is one of the call.
  // Handler: void(Result<std::vector<Attributes>>).
  Result<std::vector<Attributes>> stat(std::vector<std::string> names, CallOptions options = {}) {
    return detail::waitFor(Stat(handle_.get(), std::move(names)), options);
  }
  template <class Handler, detail::IfHandler<Handler, Result<std::vector<Attributes>>> = 0>
  Result<CallId> stat(std::vector<std::string> names, Handler&& handler, CallOptions options = {}) {
    return detail::start(Stat(handle_.get(), std::move(names)), std::forward<Handler>(handler), options);
  }

  // All names of a directory, page by page.
  Listing list(std::string directory, CallOptions options = {});
  // One page: from the start, or from where another page's cursor() says. `most`: names; 0: the node's choice.
  Result<Page> page(const std::string& directory, const std::string& cursor = {}, std::uint32_t most = 0,
                    CallOptions options = {}) {
    return detail::waitFor(List{handle_.get(), directory, cursor, most}, options);
  }
  // Handler: void(Result<Page>).
  template <class Handler, detail::IfHandler<Handler, Result<Page>> = 0>
  Result<CallId> page(const std::string& directory, const std::string& cursor, std::uint32_t most, Handler&& handler,
                      CallOptions options = {}) {
    return detail::start(List{handle_.get(), directory, cursor, most}, std::forward<Handler>(handler), options);
  }

  Result<void> read(Batch& batch, CallOptions options = {}) {
    return detail::waitFor(Ranges<Batch&>{handle_.get(), batch, &forebay_read_batch}, options);
  }
  // Into the cell, and no byte here.
  Result<void> prefetch(Batch& batch, CallOptions options = {}) {
    return detail::waitFor(Ranges<Batch&>{handle_.get(), batch, &forebay_prefetch}, options);
  }
  // The call keeps the batch, and gives it back with its outcomes. Handler: void(Result<void>, Batch).
  template <class Handler, detail::IfHandler<Handler, Result<void>, Batch> = 0>
  Result<CallId> read(Batch batch, Handler&& handler, CallOptions options = {}) {
    return detail::start(Ranges<Batch>{handle_.get(), std::move(batch), &forebay_read_batch},
                         std::forward<Handler>(handler), options);
  }
  template <class Handler, detail::IfHandler<Handler, Result<void>, Batch> = 0>
  Result<CallId> prefetch(Batch batch, Handler&& handler, CallOptions options = {}) {
    return detail::start(Ranges<Batch>{handle_.get(), std::move(batch), &forebay_prefetch},
                         std::forward<Handler>(handler), options);
  }

  // Asks a call to end with Cancelled; its handler runs in any case. Ids of calls that have ended are ignored.
  void cancel(CallId call) { forebay_cancel(handle_.get(), call); }
  // Ends it before the destructor does: open calls end with Cancelled. Not on the I/O thread.
  void disconnect() { handle_.reset(); }
  forebay_client* handle() const { return handle_.get(); }

 private:
  explicit Client(forebay_client* client) : handle_(client) {}

  struct Open {
    forebay_client* client;
    std::string name;
    bool revalidate;
    forebay_object* object = nullptr;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return forebay_open(client, name.c_str(), revalidate ? std::uint32_t{FOREBAY_REVALIDATE} : 0, &object, call,
                          error);
    }
    Result<Object> result(const Result<void>& outcome) const {
      if (!outcome) return outcome.error();
      return Object(object);
    }
    template <class Handler>
    void tell(const Result<void>& outcome, Handler& handler) {
      handler(result(outcome));
    }
  };
  struct Stat {
    Stat(forebay_client* of, std::vector<std::string> all)
        : client(of), names(std::move(all)), attributes(names.size(), detail::emptyAttributes()) {}
    forebay_client* client;
    std::vector<std::string> names;
    std::vector<forebay_attributes> attributes;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      std::vector<const char*> texts;  // copied before the function returns
      texts.reserve(names.size());
      for (const std::string& name : names) texts.push_back(name.c_str());
      return forebay_stat(client, texts.data(), texts.size(), attributes.data(), call, error);
    }
    Result<std::vector<Attributes>> result(const Result<void>& outcome) const {
      bool answered = static_cast<bool>(outcome);  // a call that failed as a whole set no name's code
      for (const forebay_attributes& one : attributes) answered = answered || one.code != FOREBAY_OK;
      if (!answered) return outcome.error();
      std::vector<Attributes> all;
      all.reserve(attributes.size());
      for (const forebay_attributes& one : attributes) all.push_back(Attributes::of(one));
      return all;
    }
    template <class Handler>
    void tell(const Result<void>& outcome, Handler& handler) {
      handler(result(outcome));
    }
  };
  struct List {
    forebay_client* client;
    std::string directory, cursor;
    std::uint32_t most;
    forebay_page* page = nullptr;
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return forebay_list(client, directory.c_str(), cursor.c_str(), most, &page, call, error);
    }
    Result<Page> result(const Result<void>& outcome) const {
      if (!outcome) return outcome.error();
      return Page(page);
    }
    template <class Handler>
    void tell(const Result<void>& outcome, Handler& handler) {
      handler(result(outcome));
    }
  };
  template <class Held>
  struct Ranges {
    forebay_client* client;
    Held batch;
    forebay_code (*function)(forebay_client*, forebay_range*, size_t, forebay_call*, forebay_error*);
    forebay_code ask(forebay_call* call, forebay_error* error) {
      return function(client, batch.ranges_.data(), batch.ranges_.size(), call, error);
    }
    static Result<void> result(Result<void> outcome) { return outcome; }
    template <class Handler>
    void tell(Result<void> outcome, Handler& handler) {
      handler(std::move(outcome), std::move(batch));
    }
  };

  std::unique_ptr<forebay_client, detail::Disconnect> handle_;
};

// The names of a directory, in order; pages are asked for as they are needed. The client must outlive it.
//   forebay::Listing listing = client.list("imagenet/train");
//   while (listing.next()) use(listing->name, listing->bytes);
//   if (!listing.outcome()) complain(listing.outcome().error());
class Listing {
 public:
  // False after the last name, and after an error: outcome() says which.
  bool next() {
    while (outcome_ && (!page_ || ++index_ >= page_->size())) {
      if (page_ && cursor_.empty()) return false;
      Result<Page> page = client_->page(directory_, cursor_, 0, options_);
      if (!page) {
        outcome_ = page.error();
        return false;
      }
      page_.emplace(*std::move(page));
      cursor_ = page_->cursor();
      index_ = SIZE_MAX;  // before the first
    }
    if (!outcome_) return false;
    entry_ = (*page_)[index_];
    return true;
  }
  // After a next() that was true; its name lives until the following next().
  const Entry& operator*() const { return entry_; }
  const Entry* operator->() const { return &entry_; }
  const Result<void>& outcome() const { return outcome_; }

 private:
  friend class Client;
  Listing(Client& client, std::string directory, CallOptions options)
      : client_(&client), directory_(std::move(directory)), options_(options) {}
  Client* client_;
  std::string directory_, cursor_;
  CallOptions options_;
  std::optional<Page> page_;
  std::size_t index_ = 0;
  Entry entry_;
  Result<void> outcome_;
};

inline Listing Client::list(std::string directory, CallOptions options) {
  return {*this, std::move(directory), options};
}

}  // namespace cxx0
}  // namespace forebay
