// Where bytes live for good, behind one interface: Azure Blob, S3, or a directory.
//
// Paths are relative to the mount's prefix, '/' between components, no slash at the start, any bytes else (an object
// store's names are not POSIX names). A version is the origin's own word for one content of an object; get() reads
// exactly that version or fails with Gone: bytes of two versions never mix.
//
// Threading: every call and every callback happens in the loop of the reactor that the origin was made with. A
// callback never runs inside the call that it belongs to. Destroying an origin drops its calls: their callbacks don't
// run. Each call has a deadline, in which retries (with jitter, within a budget, honouring Retry-After) happen.
// Bounds: `max_concurrent` requests at once; what comes above waits in order, at most `max_waiting`, then Busy.
//
// Errors: NotFound; Gone (the version is no longer there); Unauthenticated, PermissionDenied (credentials: say which
// kind was used, never their content); Unavailable; DeadlineExceeded; Busy; Corrupt (an answer that can't be right: a
// length that lies, a range that wasn't asked); InvalidArgument.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace forebay::origin {

struct ObjectInfo {
  std::uint64_t size = 0;
  std::string version;
  std::int64_t mtime_ns = 0;  // since 1970
};

using Md5 = std::array<std::byte, 16>;

struct ListEntry {
  std::string name;        // what follows the listed prefix; a common prefix without its final '/'
  bool directory = false;  // a common prefix: names go on below it
  std::optional<Md5> md5;  // of an object's bytes, where the listing says it (Azure, if whoever wrote it did)
  ObjectInfo info;         // of an object
};
struct ListPage {
  std::vector<ListEntry> entries;  // objects and common prefixes, in the origin's order
  std::string next;                // opaque; empty: this was the last page. A page may be empty and have a next one
};

// Receives the bytes of one get(), in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Where the next bytes go: at least one byte of room, contiguous. Valid until the next call.
  virtual MutableBytes room() = 0;
  // `n` bytes were written at the start of room().
  virtual void wrote(std::size_t n) = 0;
};

// Receives what open() finds: what the object is, then its first bytes.
class OpenSink : public ByteSink {
 public:
  // Once, before any byte: `length` of them follow, from the object's start.
  virtual void begins(const ObjectInfo& info, std::uint64_t length) = 0;
};

template <class T>
using Callback = std::move_only_function<void(Result<T>)>;
using DoneCallback = std::move_only_function<void(Status)>;
// Where the page after the one that was asked for begins.
using NextPageCallback = std::move_only_function<void(const std::string& next)>;

class Origin {
 public:
  virtual ~Origin() = default;

  // Whether credentials and place are right: one cheap authorised request. Its error is what a person sees at mount.
  virtual void probe(TimePoint deadline, DoneCallback done) = 0;

  virtual void head(std::string path, TimePoint deadline, Callback<ObjectInfo> done) = 0;

  // Exactly `length` bytes from `offset` of that version into the sink, then done(). A retry continues where the last
  // attempt stopped; the sink sees each byte once. `sink` must live until done() has run or the origin is destroyed.
  virtual void get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, ByteSink& sink,
                   TimePoint deadline, DoneCallback done) = 0;

  // What the object is, and its first `most` bytes (all of them, if it has no more), in one request: what is small
  // needs no look-up before it is read. The bytes belong to the version that begins() was told: a retry asks for that
  // version, and where it is gone by then the call fails with Gone. An empty object may cost a second request (there is
  // no range of nothing), and if it grew in between, begins() hears of the new version and of 0 bytes. `most` is at
  // least 1; `sink` must live until done() has run or the origin is destroyed.
  virtual void open(std::string path, std::uint64_t most, OpenSink& sink, TimePoint deadline,
                    Callback<ObjectInfo> done) = 0;

  // Names that start with `prefix` ("" or ends with '/'), cut at the next '/'. At most `max` entries (a hint).
  // `next_page`, where there is one, may run before `done`, once: an origin can know where the next page begins before
  // it has read this one. What it says is to be believed when the page says the same. It must not destroy the origin.
  virtual void list(std::string prefix, std::string next, std::uint32_t max, TimePoint deadline,
                    NextPageCallback next_page, Callback<ListPage> done) = 0;

  // Whether a directory can be there without names below it (a directory's can; a prefix of an object store can't: a
  // listing without entries then means that there is nothing).
  virtual bool hasEmptyDirectories() const { return false; }

  // The URL as a person wrote it, without credentials.
  virtual std::string url() const = 0;
};

// What people pay for, and what went wrong; one set per mount. Names and labels as in docs/metrics.md.
struct OriginMetrics {
  OriginMetrics(Metrics& metrics, std::string_view mount);
  Counter& bytes;  // of objects' bodies that arrived (no listings), also of attempts that failed later
  Counter& gets;   // requests sent, retries included
  Counter& heads;
  Counter& lists;
  Counter& retries;
  Counter& checked;               // bytes that the origin's own checksum was compared for, and fits
  Counter& bad_checksums;         // ranges whose checksum didn't
  Counter& errors;                // calls that failed in the end (NotFound is an answer, not an error)
  Counter& credential_refreshes;  // temporary credentials that were got, and attempts that gave none
  Counter& credential_failures;
  Histogram& first_byte;  // from sending a get to its first byte
  Histogram& wait;        // from the call to the start of its first attempt: the concurrency limit's queue
};

}  // namespace forebay::origin
