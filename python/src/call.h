// One call of Forebay's library from Python: it runs without the GIL, and Ctrl-C ends it.
//
// The library's waiting form would hold a Ctrl-C back until its timeout. So calls are made with a callback, and the
// Python thread that made one waits here: without the GIL, and in the main thread with a look at Python's signals ten
// times a second. A signal handler that raises cancels the call; the exception leaves only when the library has told
// the end, because until then what the call fills in is the library's.
//
// Threading: a Call is told once, from the client's I/O thread, which never takes the GIL. Everything else here is
// called with the GIL held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <forebay/forebay.h>
#include <functional>
#include <memory>
#include <mutex>
#include <nanobind/nanobind.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace forebay_python {

namespace nb = nanobind;

// A connection, ended with its last user: Client.close() in one thread leaves another's running call unharmed.
using Connection = std::shared_ptr<forebay_client>;

// Lets other Python threads run while it lives. A thread that asks for the GIL while the interpreter ends is unwound by
// it (before Python 3.14), which no C++ frame between survives: such a thread stops here instead, and ends with the
// process.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // glibc's pthread_exit
      for (;;) ::pause();
    }
  }

 private:
  PyThreadState* state_;
};

struct Outcome {
  forebay_code code = FOREBAY_OK;
  std::uint32_t retry_after_ms = 0;
  std::string message;
};

// Text of the library. Names keep their bytes ("surrogateescape"); messages, which may be cut in the middle of a
// character, stay printable ("replace").
inline nb::object textOf(std::string_view text, const char* errors) {
  nb::object decoded = nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), errors));
  if (!decoded.is_valid()) throw nb::python_error();
  return decoded;
}
inline nb::object nameText(std::string_view name) {
  return textOf(name, "surrogateescape");
}
inline nb::object messageText(std::string_view message) {
  return textOf(message, "replace");
}

// Throws what forebay._errors makes of it.
[[noreturn]] inline void raise(const Outcome& outcome) {
  const nb::object error =
      nb::module_::import_("forebay._errors")
          .attr("make")(forebay_code_name(outcome.code), messageText(outcome.message), outcome.retry_after_ms);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

class Call : public std::enable_shared_from_this<Call> {
 public:
  // Starts a call: `start` hands its arguments to the library. Throws if it isn't accepted. `owned` lives until the
  // end was told, whoever else has forgotten the call by then.
  using Start = std::function<forebay_code(forebay_call*, forebay_error*)>;
  static std::shared_ptr<Call> start(const Connection& client, const Start& start, std::shared_ptr<void> owned = {}) {
    auto call = std::make_shared<Call>();
    call->client_ = client;
    call->owned_ = std::move(owned);
    auto told = std::make_unique<std::shared_ptr<Call>>(call);
    forebay_call request = {};
    request.size = sizeof request;
    request.callback = [](const forebay_completion* completion) {
      const std::unique_ptr<std::shared_ptr<Call>> self(static_cast<std::shared_ptr<Call>*>(completion->user));
      (*self)->tell(*completion);
    };
    request.user = told.get();
    forebay_error error = {};
    error.size = sizeof error;
    forebay_code code = FOREBAY_OK;
    {
      const WithoutGil without;
      code = start(&request, &error);
    }
    if (code != FOREBAY_OK) raise({.code = code, .retry_after_ms = error.retry_after_ms, .message = error.message});
    static_cast<void>(told.release());  // the callback's now
    call->id_ = request.id;
    return call;
  }

  // Waits for the end, whatever its outcome. Throws what a signal handler raised.
  Outcome wait() {
    if (!isMainThread()) {
      const WithoutGil without;
      waitFor(std::chrono::hours(24 * 365));
      return outcome_;
    }
    while (!pause(std::chrono::milliseconds(100))) {
      if (PyErr_CheckSignals() == 0) continue;
      nb::python_error raised;  // takes it over
      cancel();
      while (!pause(std::chrono::seconds(1))) {
      }
      throw nb::python_error(std::move(raised));
    }
    return outcome_;
  }

  // Waits for at most `time`; true if it has ended.
  bool pause(std::chrono::nanoseconds time) {
    const WithoutGil without;
    return waitFor(time);
  }

  void cancel() {
    if (const Connection client = client_.lock()) forebay_cancel(client.get(), id_);
  }

  bool done() {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  void tell(const forebay_completion& completion) {
    const std::lock_guard lock(mutex_);
    outcome_ = {.code = completion.code, .retry_after_ms = completion.retry_after_ms, .message = completion.message};
    done_ = true;
    ended_.notify_all();
  }

  bool waitFor(std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, time, [&] { return done_; });
  }

  // Python runs its signal handlers there. Where the interpreter's main thread is another one, Ctrl-C waits.
  static bool isMainThread() { return gettid() == getpid(); }

  std::weak_ptr<forebay_client> client_;
  std::shared_ptr<void> owned_;
  std::uint64_t id_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  Outcome outcome_;
};

// Starts, waits, and throws unless all went well.
inline void run(const Connection& client, const Call::Start& start) {
  const Outcome outcome = Call::start(client, start)->wait();
  if (outcome.code != FOREBAY_OK) raise(outcome);
}

}  // namespace forebay_python
