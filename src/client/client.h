// What every frontend and the CLI use to read Forebay: names, plans and bytes, through the node of this machine.
//
// Asynchronous: a call returns at once, its callback runs on the client's I/O thread (never inside the call) exactly
// once, also when the deadline passes, the node dies or the client is destroyed. A lost connection is made again;
// calls in flight are repeated within their deadlines (reading is idempotent). BlockingClient (client/blocking.h)
// wraps it for programs that wait.
//
// Threading: calls from any thread. A callback must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/types.h"
#include "io/descriptor.h"

namespace forebay::client {

struct Attributes {
  bool directory = false;
  core::Plan plan;    // of an object: size, version, mtime
  Duration ttl{0};    // how long this answer may be used, by the mount's consistency
  bool read = false;  // its bytes came with it, into ResolveOptions::into; of its plan the size alone may be there
};

struct DirectoryEntry {
  std::string name;  // one component
  bool directory = false;
  std::uint64_t size = 0;
  std::string version;
  std::int64_t mtime_ns = 0;
  std::string md5;  // 16 bytes, of a listing from the origin that gives it; else empty
};
struct DirectoryPage {
  std::vector<DirectoryEntry> entries;  // sorted by name; '.' and '..' are not among them
  std::string next_cursor;              // empty: the last page
  std::uint64_t hidden = 0;             // names of this page that POSIX can't hold
  Duration ttl{0};
};

struct ChunkPlacement {
  std::uint32_t chunk = 0;
  core::Slot slot = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> owners;                             // primary first
  std::vector<std::pair<std::string, std::uint64_t>> holders;  // node, bytes of the chunk that it holds
};
struct Where {
  core::Plan plan;
  std::vector<ChunkPlacement> chunks;
  std::vector<std::string> unreachable;
};

// What a mount says with Client::region.
struct RegionWish {
  Duration wait{0};   // for the object to be complete
  std::string reads;  // how it reads complete objects, "passthrough" or "mapped", and why: for `forebay status`
  std::string why;
};

template <class T>
using Callback = std::move_only_function<void(Result<T>)>;

class Client {
 public:
  virtual ~Client() = default;

  // The POSIX view of a path ("" is the root): a prefix wins over an object of its name. NotFound if neither.
  // `revalidate`: ask the origin, whatever is cached (what `open` mounts do at each open).
  virtual void lookup(std::string path, bool revalidate, TimePoint deadline, Callback<Attributes> done) = 0;

  // One page of a directory of the POSIX view.
  virtual void list(std::string path, std::string cursor, std::uint32_t max, TimePoint deadline,
                    Callback<DirectoryPage> done) = 0;

  // Bytes [offset, offset + into.size()) of that version, cut at its end: the number of bytes read, 0 at or beyond
  // the end. `into` must stay until `done` has run. Either all of them or an error: Gone if the version left the
  // origin before its bytes were cached.
  virtual void read(const core::SharedPlan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
                    Callback<std::size_t> done) = 0;

  // A file whose content is that version, whole and verified, for reading and mapping. It stays what it is for as long
  // as it is open, whatever the node does. NotFound: the node doesn't have all of it in one place now; Busy: it has
  // given away as much as it may; Unsupported: it never will. What the node can have complete within `wish.wait`, as
  // far as it knows, it completes first.
  virtual void region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
                      Callback<io::Descriptor> done) = 0;

  // Who owns and who holds the chunks of an object.
  virtual void where(std::string path, TimePoint deadline, Callback<Where> done) = 0;
};

}  // namespace forebay::client
