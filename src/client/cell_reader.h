// What the library asks of a cell, about any mount: names, plans and bytes. Attached, through a node (NodeClient), or
// direct, from the nodes that hold the bytes (DirectClient).
//
// Threading: calls from any thread; callbacks on the I/O thread, exactly once, never inside the call. The destructor
// fails what is open with Cancelled and joins; it must not be called from a callback. A deadline of kNever is taken for
// a minute.
#pragma once

#include <boost/container/small_vector.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/client.h"

namespace forebay::client {

class OperationLoop;

// Of the caller's memory, in order.
using Rooms = boost::container::small_vector<MutableBytes, 1>;

struct ResolveOptions {
  bool object_only = false;  // an object of exactly this name, whatever else there is
  bool revalidate = false;
  // With object_only: a name that nobody knows yet is opened at the origin with so many of its first bytes (at most
  // 1 MiB), in one request, so that reading a small object next costs none. 0: only looked up.
  std::uint32_t fill_up_to = 0;
  // By name, or empty: memory for objects that are to be read whole. Those of at most `fill_up_to` bytes are put there
  // with the same request where that can be (Attributes::read); what is there otherwise means nothing.
  std::vector<Rooms> into = {};
};

struct ListOptions {
  std::uint32_t max = 0;  // names of a page; 0: the node's choice
  bool raw = false;       // as the origin has them
  // What the origin has now, raw, with checksums where it gives them: asked for this page alone, whatever is known.
  bool from_origin = false;
};

// Names one call, so that it can be cancelled. 0: nobody will.
using CallId = std::uint64_t;

// A range of an object and where its bytes go: the pieces in order, together at least as long as what is read.
struct BatchItem {
  core::SharedPlan plan;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // cut at the object's end
  Rooms into;
};

// Bytes of one version of an object, which stay where and what they are for as long as `keep` lives.
struct BytesView {
  Bytes bytes;
  bool pinned = false;  // in the node's memory, which has less for others meanwhile; false: a copy of this process's
  std::shared_ptr<const void> keep;
};

class CellReader {
 public:
  using Answers = std::vector<Result<Attributes>>;  // by name, in order
  // What a batch of ranges came to: for each item, in order, the bytes read (or warmed) or why not.
  using BatchResults = std::vector<Result<std::uint64_t>>;

  virtual ~CellReader() = default;
  CellReader(const CellReader&) = delete;
  CellReader& operator=(const CellReader&) = delete;

  // Many names at once; an answer for each. The outer error is the mount's or the cell's.
  virtual void resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options,
                          TimePoint deadline, Callback<Answers> done, CallId call) = 0;
  // How few names are worth a request of their own where their bytes are wanted with them.
  virtual std::size_t namesWithBytes() const { return 512; }
  // One page of a directory of the POSIX view.
  virtual void list(std::string mount, std::string path, std::string cursor, ListOptions options, TimePoint deadline,
                    Callback<DirectoryPage> done, CallId call) = 0;
  // Many ranges at once, in as few requests as they fit in. `warm_only`: brings them into the cell, and no byte here.
  virtual void readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                         std::move_only_function<void(BatchResults)> done, CallId call) = 0;

  // Bytes [offset, offset + length), cut at the object's end, without a copy where that can be: in this machine's node,
  // where they lie in one piece of what it holds, and it holds no more than node.max_pinned for its clients.
  virtual void view(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                    Callback<BytesView> done, CallId call);

  // Reads now, in the calling thread, from what this process has mapped of this machine's node: the number of bytes,
  // as readBatch would give it. Nothing: it isn't mapped, ask readBatch.
  virtual std::optional<std::uint64_t> readMapped(const core::Plan& /*plan*/, std::uint64_t /*offset*/,
                                                  std::uint64_t /*length*/, std::span<const MutableBytes> /*into*/) {
    return std::nullopt;
  }
  // See Client::region.
  virtual void region(const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
                      Callback<io::Descriptor> done) = 0;

  // What the calls run on: for a thread that waits for one.
  virtual OperationLoop& loop() = 0;
  // Runs `task` on the I/O thread, after what was asked before has been started. Not once the destructor runs.
  virtual void post(std::move_only_function<void()> task) = 0;
  // Ends what runs under this id with Cancelled, unless it has just ended otherwise. After its callback the caller's
  // memory isn't touched any more.
  virtual void cancel(CallId call) = 0;
  static CallId newCall();

 protected:
  CellReader() = default;
};

}  // namespace forebay::client
