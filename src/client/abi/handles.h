// What the C ABI's handles hold, and how its calls are told: include/forebay/forebay.h is the contract.
//
// A Session outlives its forebay_client as long as objects do; disconnecting takes the cell out of it, under the lock,
// so that what comes later is Cancelled and nothing but forebay_disconnect ever joins the I/O thread.
#pragma once

#include <deque>
#include <mutex>
#include <shared_mutex>

#include "client/cell_reader.h"
#include "client/mapped_object.h"
#include "forebay/forebay.h"

namespace forebay::abi {

struct Session {
  std::shared_mutex mutex;
  std::shared_ptr<client::CellReader> cell;  // null: disconnected
  Duration timeout{0};
  unsigned process = 0;  // processGeneration() when it was made

  // Runs `use` on the cell, which stays while it runs. Cancelled: disconnected.
  template <class Use>
  Status with(Use&& use) {
    const std::shared_lock lock(mutex);
    if (!cell) return fail(Code::Cancelled, "the client was disconnected");
    use(*cell);
    return {};
  }
};

// Counts forks: a child's differs from its parent's.
unsigned processGeneration();

using Done = std::move_only_function<void(Status)>;
struct Asked {
  client::CellReader& cell;
  TimePoint deadline;
  client::CallId id;
};
using Start = std::move_only_function<void(const Asked&, Done)>;

// Runs one call in the form that `call` asks for. `start` must tell `done` once, from the I/O thread.
forebay_code run(const std::shared_ptr<Session>& session, forebay_call* call, forebay_error* error, Start start);

// Whether `call` waits, and this thread and process may: then what needs no question can be done at once.
bool mayReadHere(const Session& session, const forebay_call* call);

forebay_code fill(forebay_error* error, const Error& from);
inline forebay_code codeOf(const Status& status) {
  return status ? FOREBAY_OK : static_cast<forebay_code>(status.error().code);
}
// "": cut to what fits; always ends with NUL.
void copyText(std::span<char> to, std::string_view text);
// That `size` of a struct of the caller's reaches `needed` bytes.
Status checkSize(const char* what, std::size_t size, std::size_t needed);
bool inCallback();

}  // namespace forebay::abi

// The names are the header's: NOLINTBEGIN(readability-identifier-naming)
struct forebay_client {
  std::shared_ptr<forebay::abi::Session> session;
};
struct forebay_object {
  std::shared_ptr<forebay::abi::Session> session;
  forebay::core::SharedPlan plan;
};
struct forebay_mapping {
  std::shared_ptr<const forebay::client::MappedObject> object;
};
struct forebay_view {
  forebay::client::BytesView view;
  unsigned process = 0;  // processGeneration() when it was made
};
struct forebay_page {
  forebay::client::DirectoryPage page;
  std::string cursor;  // the page's, as text: the node's word is any bytes
};

// Completions of calls, until they are drained.
struct forebay_queue {
  forebay_queue(std::size_t places, int event) : capacity(places), fd(event) {}
  bool reserve();  // a place for a call that starts; false: full
  void giveBack();
  void push(std::uint64_t id, void* user, const forebay::Status& status);
  std::size_t drain(std::byte* to, std::size_t stride, std::size_t max);

  struct Ended {
    std::uint64_t id;
    void* user;
    forebay::Status status;
  };
  const std::size_t capacity;
  const int fd;
  std::mutex mutex;
  std::size_t open = 0;  // on their way or in `ended`
  std::deque<Ended> ended;
};
// NOLINTEND(readability-identifier-naming)
