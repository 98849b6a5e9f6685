// forebay._native: libforebay's C ABI as Python objects, and nothing that Python can say better (forebay/_client.py).
//
// Handles are shared: a call that is on its way keeps its client and object, so that close() in another thread is
// harmless. They are copied with the GIL held, which is all the locking they need. Buffers stay exported until the
// call's end was told.
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "call.h"

namespace forebay_python {
namespace {

// Names are UTF-8; what isn't survives as Python's surrogate escapes, as in the names of files.
std::string nameOf(nb::handle name) {
  if (!PyUnicode_Check(name.ptr())) throw nb::type_error("a name is a str");
  const nb::object bytes = nb::steal(PyUnicode_AsEncodedString(name.ptr(), "utf-8", "surrogateescape"));
  if (!bytes.is_valid()) throw nb::python_error();
  std::string text(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  if (text.find('\0') != std::string::npos) throw nb::value_error("a name holds no NUL character");
  return text;
}

std::uint64_t numberOf(nb::handle number) {
  const unsigned long long value = PyLong_AsUnsignedLongLong(number.ptr());
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  return value;
}

// Writable memory of a Python object, exported as long as this lives.
class Buffer {
 public:
  explicit Buffer(nb::handle from) {
    if (PyObject_GetBuffer(from.ptr(), &view_, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
  }
  Buffer(Buffer&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() { PyBuffer_Release(&view_); }
  void* data() const { return view_.buf; }
  std::uint64_t size() const { return static_cast<std::uint64_t>(view_.len); }

 private:
  Py_buffer view_ = {};
};

// A whole object as the node holds it, as a buffer.
class Mapping {
 public:
  explicit Mapping(std::uint64_t size) : size_(size) {}
  Mapping(Mapping&& other) noexcept
      : mapping_(std::exchange(other.mapping_, nullptr)), base_(other.base_), size_(other.size_) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() { forebay_unmap(mapping_); }

  forebay_code ask(forebay_object* object, forebay_call* call, forebay_error* error) {
    return forebay_map(object, &mapping_, &base_, call, error);
  }

  static int getBuffer(PyObject* self, Py_buffer* view, int flags) {
    const auto* const mapping = nb::inst_ptr<Mapping>(nb::handle(self));
    return PyBuffer_FillInfo(view, self, const_cast<void*>(mapping->base_), static_cast<Py_ssize_t>(mapping->size_), 1,
                             flags);
  }

 private:
  forebay_mapping* mapping_ = nullptr;
  const void* base_ = nullptr;
  std::uint64_t size_;
};

// A part of an object in view, as a buffer. It keeps its connection, over which it is given back.
class View {
 public:
  explicit View(Connection client) : client_(std::move(client)) {}
  View(View&& other) noexcept
      : client_(std::move(other.client_)),
        view_(std::exchange(other.view_, nullptr)),
        base_(other.base_),
        size_(other.size_) {}
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  View& operator=(View&&) = delete;
  ~View() { forebay_view_release(view_); }

  forebay_code ask(forebay_object* object, std::uint64_t offset, std::uint64_t length, forebay_call* call,
                   forebay_error* error) {
    return forebay_view_bytes(object, offset, length, &view_, &base_, &size_, call, error);
  }
  bool pinned() const { return forebay_view_pinned(view_) != 0; }

  static int getBuffer(PyObject* self, Py_buffer* view, int flags) {
    static const char kNothing = 0;  // a buffer needs an address
    const auto* const seen = nb::inst_ptr<View>(nb::handle(self));
    const void* const base = seen->size_ == 0 ? &kNothing : seen->base_;
    return PyBuffer_FillInfo(view, self, const_cast<void*>(base), static_cast<Py_ssize_t>(seen->size_), 1, flags);
  }

 private:
  Connection client_;
  forebay_view* view_ = nullptr;
  const void* base_ = nullptr;
  std::uint64_t size_ = 0;
};

class Object {
 public:
  Object(const Connection& client, forebay_object* object) : client_(client), object_(object, &forebay_close) {
    attributes_.size = sizeof attributes_;
    forebay_object_attributes(object, &attributes_);
  }

  std::uint64_t size() const { return attributes_.bytes; }
  std::int64_t mtimeNs() const { return attributes_.mtime_ns; }
  std::uint64_t chunkBytes() const { return attributes_.chunk_bytes; }
  nb::object version() const { return nameText(attributes_.version); }

  std::uint64_t readInto(std::uint64_t offset, nb::handle to) const {
    const Buffer buffer(to);
    return readTo(offset, buffer.data(), buffer.size());
  }

  nb::object read(std::uint64_t offset, std::uint64_t length) const {
    length = std::min(length, offset < size() ? size() - offset : 0);
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(length));
    if (bytes == nullptr) throw nb::python_error();
    nb::object owned = nb::steal(bytes);
    if (readTo(offset, PyBytes_AS_STRING(bytes), length) != length)
      raise({.code = FOREBAY_INTERNAL, .message = "an object gave fewer bytes than its size says"});
    return owned;
  }

  // All of it, as the node holds it.
  Mapping map() const {
    const std::shared_ptr<forebay_object> object = handle();
    const Connection client = client_.lock();
    if (!client) throw nb::value_error("the file's client is closed");
    const auto asked = std::make_shared<Mapping>(size());
    run(client,
        [asked, object](forebay_call* call, forebay_error* error) { return asked->ask(object.get(), call, error); });
    return std::move(*asked);
  }

  View view(std::uint64_t offset, std::uint64_t length) const {
    const std::shared_ptr<forebay_object> object = handle();
    const Connection client = client_.lock();
    if (!client) throw nb::value_error("the file's client is closed");
    const auto asked = std::make_shared<View>(client);
    run(client, [asked, object, offset, length](forebay_call* call, forebay_error* error) {
      return asked->ask(object.get(), offset, length, call, error);
    });
    return std::move(*asked);
  }

  void close() { object_.reset(); }

  // The handle, for as long as a call needs it.
  std::shared_ptr<forebay_object> handle() const {
    if (!object_) throw nb::value_error("I/O operation on a closed file");
    return object_;
  }

 private:
  std::uint64_t readTo(std::uint64_t offset, void* to, std::uint64_t length) const {
    const std::shared_ptr<forebay_object> object = handle();
    const Connection client = client_.lock();
    if (!client) throw nb::value_error("the file's client is closed");
    std::uint64_t got = 0;
    if (length == 0) return 0;
    run(client, [&](forebay_call* call, forebay_error* error) {
      return forebay_read(object.get(), offset, to, length, &got, call, error);
    });
    return got;
  }

  std::weak_ptr<forebay_client> client_;
  std::shared_ptr<forebay_object> object_;
  forebay_attributes attributes_ = {};
};

// Ranges and all that they point to. `from` is a list of (Object or name, offset, length or buffer).
struct Ranges {
  std::vector<forebay_range> ranges;
  std::vector<std::string> names;
  std::vector<std::shared_ptr<forebay_object>> objects;
  std::vector<forebay_piece> pieces;

  explicit Ranges(std::size_t count) : ranges(count), names(count), objects(count), pieces(count) {}

  void set(std::size_t index, const nb::tuple& from) {
    forebay_range& range = ranges[index];
    range.size = sizeof range;
    if (nb::isinstance<Object>(from[0])) {
      objects[index] = nb::cast<const Object&>(from[0]).handle();
      range.object = objects[index].get();
    } else {
      names[index] = nameOf(nb::object(from[0]));
      range.name = names[index].c_str();
    }
    range.offset = numberOf(nb::object(from[1]));
    range.length = std::numeric_limits<std::uint64_t>::max();
    range.code = FOREBAY_OK;
  }
};

// [(code's name, bytes)] of all ranges, and the first failure's message: of each alone, the library says the code.
nb::tuple outcomesOf(const Ranges& all, const Outcome& outcome) {
  const bool told = std::ranges::any_of(all.ranges, [](const auto& range) { return range.code != FOREBAY_OK; });
  if (outcome.code != FOREBAY_OK && !told) raise(outcome);  // it ended before any range did
  nb::list outcomes;
  for (const forebay_range& range : all.ranges)
    outcomes.append(nb::make_tuple(forebay_code_name(range.code), range.got));
  return nb::make_tuple(outcomes, messageText(outcome.message), outcome.retry_after_ms);
}

// Ranges on their way into the cell, while Python does something else.
class Pending {
 public:
  Pending() : ranges_(std::make_shared<Ranges>(0)) {}  // of nothing: done
  Pending(std::shared_ptr<Call> call, std::shared_ptr<Ranges> ranges)
      : call_(std::move(call)), ranges_(std::move(ranges)) {}

  bool done() const { return !call_ || call_->done(); }
  void cancel() const {
    if (call_) call_->cancel();
  }
  nb::tuple outcomes() const { return outcomesOf(*ranges_, call_ ? call_->wait() : Outcome{}); }

 private:
  std::shared_ptr<Call> call_;
  std::shared_ptr<Ranges> ranges_;
};

class Client {
 public:
  Client(const nb::object& node, const nb::list& direct, std::uint32_t timeout_ms, std::uint32_t connect_timeout_ms,
         bool shared_memory) {
    const std::string address = node.is_none() ? "" : nameOf(node);
    std::vector<std::string> members;
    for (const nb::handle member : direct) members.push_back(nameOf(member));
    std::vector<const char*> seeds;
    for (const std::string& member : members) seeds.push_back(member.c_str());
    forebay_options options = {};
    options.size = sizeof options;
    options.node = address.empty() ? nullptr : address.c_str();
    options.direct = seeds.empty() ? nullptr : seeds.data();
    options.direct_count = seeds.size();
    options.timeout_ms = timeout_ms;
    options.connect_timeout_ms = connect_timeout_ms;
    options.flags = shared_memory ? 0 : FOREBAY_NO_SHARED_MEMORY;
    forebay_error error = {};
    error.size = sizeof error;
    forebay_client* client = nullptr;
    {
      const WithoutGil without;
      forebay_connect(&options, &client, &error);
    }
    if (client == nullptr)
      raise({.code = error.code, .retry_after_ms = error.retry_after_ms, .message = error.message});
    client_ = Connection(client, &forebay_disconnect);
  }
  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(); }

  void close() {
    Connection last = std::move(client_);
    const WithoutGil without;
    last.reset();
  }

  Object open(const nb::str& name, bool revalidate) const {
    const Connection client = connection();
    const std::string text = nameOf(name);
    forebay_object* object = nullptr;
    run(client, [&](forebay_call* call, forebay_error* error) {
      return forebay_open(client.get(), text.c_str(), revalidate ? FOREBAY_REVALIDATE : 0U, &object, call, error);
    });
    return {client, object};
  }

  // ([(code's name, directory, bytes, mtime in ns, bytes of a chunk, version)], message, retry_after_ms)
  nb::tuple stat(const nb::list& names) const {
    const Connection client = connection();
    std::vector<std::string> texts;
    for (nb::handle name : names) texts.push_back(nameOf(name));
    std::vector<const char*> pointers;
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    std::vector<forebay_attributes> all(texts.size());
    for (forebay_attributes& one : all) one.size = sizeof one;
    Outcome outcome;
    if (!all.empty()) {
      outcome = Call::start(client, [&](forebay_call* call, forebay_error* error) {
                  return forebay_stat(client.get(), pointers.data(), pointers.size(), all.data(), call, error);
                })->wait();
    }
    const bool told = std::ranges::any_of(all, [](const auto& one) { return one.code != FOREBAY_OK; });
    if (outcome.code != FOREBAY_OK && !told) raise(outcome);
    nb::list result;
    for (const forebay_attributes& one : all) {
      result.append(nb::make_tuple(forebay_code_name(one.code), one.directory != 0, one.bytes, one.mtime_ns,
                                   one.chunk_bytes, nameText(one.version)));
    }
    return nb::make_tuple(result, messageText(outcome.message), outcome.retry_after_ms);
  }

  // ([(name, directory, bytes, mtime in ns)], cursor of the next page or "")
  nb::tuple list(const nb::str& directory, const nb::str& cursor, std::uint32_t max) const {
    const Connection client = connection();
    const std::string name = nameOf(directory);
    const std::string from = nameOf(cursor);
    forebay_page* got = nullptr;
    run(client, [&](forebay_call* call, forebay_error* error) {
      return forebay_list(client.get(), name.c_str(), from.c_str(), max, &got, call, error);
    });
    const std::unique_ptr<forebay_page, decltype(&forebay_page_free)> page(got, &forebay_page_free);
    nb::list entries;
    for (std::size_t i = 0; i < forebay_page_count(page.get()); ++i) {
      forebay_entry entry = {};
      entry.size = sizeof entry;
      if (forebay_page_entry(page.get(), i, &entry) != FOREBAY_OK) break;
      entries.append(nb::make_tuple(nameText(entry.name), entry.directory != 0, entry.bytes, entry.mtime_ns));
    }
    return nb::make_tuple(entries, nameText(forebay_page_cursor(page.get())));
  }

  // Of [(Object or name, offset, buffer)]: see outcomesOf.
  nb::tuple readBatch(const nb::list& requests) const {
    const Connection client = connection();
    const std::size_t count = nb::len(requests);
    Ranges all(count);
    std::vector<Buffer> buffers;
    buffers.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto request = nb::cast<nb::tuple>(requests[i]);
      all.set(i, request);
      const Buffer& buffer = buffers.emplace_back(request[2]);
      all.pieces[i] = {.base = buffer.data(), .length = buffer.size()};
      all.ranges[i].length = buffer.size();
      all.ranges[i].pieces = &all.pieces[i];
      all.ranges[i].piece_count = 1;
    }
    if (count == 0) return outcomesOf(all, {});
    return outcomesOf(all, Call::start(client, [&](forebay_call* call, forebay_error* error) {
                             return forebay_read_batch(client.get(), all.ranges.data(), count, call, error);
                           })->wait());
  }

  // Of [(Object or name, offset, length or None)].
  Pending prefetch(const nb::list& requests) const {
    const Connection client = connection();
    const std::size_t count = nb::len(requests);
    if (count == 0) return {};
    auto all = std::make_shared<Ranges>(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto request = nb::cast<nb::tuple>(requests[i]);
      all->set(i, request);
      if (!request[2].is_none()) all->ranges[i].length = numberOf(nb::object(request[2]));
    }
    const auto start = [&](forebay_call* call, forebay_error* error) {
      return forebay_prefetch(client.get(), all->ranges.data(), count, call, error);
    };
    return {Call::start(client, start, all), all};
  }

 private:
  Connection connection() const {
    if (!client_) throw nb::value_error("the client is closed");
    return client_;
  }

  Connection client_;
};

}  // namespace
}  // namespace forebay_python

NB_MODULE(_native, module) {
  using namespace forebay_python;  // NOLINT(google-build-using-namespace): the module's body is outside of it
  namespace nb = nanobind;
  nb::set_leak_warnings(false);  // an interpreter that ends under its daemon threads leaves what they hold
  static PyType_Slot mapping_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(&Mapping::getBuffer)}, {0, nullptr}};
  nb::class_<Mapping>(module, "Mapping", nb::type_slots(mapping_slots));
  static PyType_Slot view_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(&View::getBuffer)}, {0, nullptr}};
  nb::class_<View>(module, "View", nb::type_slots(view_slots)).def_prop_ro("pinned", &View::pinned);
  nb::class_<Object>(module, "Object")
      .def_prop_ro("size", &Object::size)
      .def_prop_ro("mtime_ns", &Object::mtimeNs)
      .def_prop_ro("chunk_size", &Object::chunkBytes)
      .def_prop_ro("version", &Object::version)
      .def("readinto", &Object::readInto, nb::arg("offset"), nb::arg("buffer"))
      .def("read", &Object::read, nb::arg("offset"), nb::arg("length"))
      .def("map", &Object::map)
      .def("view", &Object::view, nb::arg("offset"), nb::arg("length"))
      .def("close", &Object::close);
  nb::class_<Pending>(module, "Pending")
      .def("done", &Pending::done)
      .def("cancel", &Pending::cancel)
      .def("outcomes", &Pending::outcomes);
  nb::class_<Client>(module, "Client")
      .def(nb::init<const nb::object&, const nb::list&, std::uint32_t, std::uint32_t, bool>(), nb::arg("node").none(),
           nb::arg("direct"), nb::arg("timeout_ms"), nb::arg("connect_timeout_ms"), nb::arg("shared_memory"))
      .def("close", &Client::close)
      .def("open", &Client::open, nb::arg("name"), nb::arg("revalidate"))
      .def("stat", &Client::stat, nb::arg("names"))
      .def("list", &Client::list, nb::arg("directory"), nb::arg("cursor"), nb::arg("max"))
      .def("read_batch", &Client::readBatch, nb::arg("requests"))
      .def("prefetch", &Client::prefetch, nb::arg("requests"));
  module.def("version", &forebay_version);
}
