// What the commands need of a running cell, in calls that wait. The real one speaks to this machine's node
// (connectCell); tests use FakeCell (fake_cell_test.h).
//
// Threading: all calls from any thread, several at once: `load` has dozens in flight, each on a thread of its own.
// Failure: each call ends within its own deadline (the connection's `timeout`), having been repeated where that helps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "cli/object_name.h"
#include "client/client.h"
#include "client/node_client.h"
#include "core/types.h"
#include "io/socket.h"
#include "wire/messages.pb.h"

namespace forebay::cli {

class Cell {
 public:
  virtual ~Cell() = default;

  // What is at each path of a mount ("" is its root): in the POSIX view (a prefix wins over an object of its name), or,
  // with `object_only`, an object of exactly this name. One answer for each path, in order; the outer error is the
  // mount's or the node's.
  virtual Result<std::vector<Result<client::Attributes>>> resolve(const std::string& mount,
                                                                  std::span<const std::string> paths,
                                                                  bool object_only) = 0;

  // One page of a directory. Raw: names as the origin has them, with those that a mount hides.
  virtual Result<client::DirectoryPage> list(const ObjectName& directory, const std::string& cursor, bool raw) = 0;

  // Bytes [offset, offset + into.size()) of the plan's version, cut at its end; how many.
  // The same of what the origin has now, raw, with checksums where it gives them, whatever the cell knows.
  virtual Result<client::DirectoryPage> listOrigin(const ObjectName& directory, const std::string& cursor) = 0;

  virtual Result<std::size_t> read(const std::string& mount, const core::Plan& plan, std::uint64_t offset,
                                   MutableBytes into) = 0;

  // One step of bringing objects into the cell (client::NodeClient::load): how far each is, after about half a second.
  virtual Result<wire::pb::LoadReply> load(std::span<const core::Plan> plans, const client::LoadTarget& target) = 0;

  virtual Result<client::Where> where(const ObjectName& object) = 0;

  // Of the node that we are connected to, or of all nodes of its cell (those that don't answer have reachable = false).
  virtual Result<wire::pb::StatusReply> status(bool whole_cell) = 0;

  // All nodes forget what they know of names, or drop what they hold of objects, at and below these paths of a mount
  // ("": all of it). At most wire::kMaxPathsPerForget of them.
  virtual Result<wire::pb::RefreshReply> refresh(const std::string& mount, std::span<const std::string> paths) = 0;
  virtual Result<wire::pb::EvictReply> evict(const std::string& mount, std::span<const std::string> paths) = 0;

  // What is at one path.
  Result<client::Attributes> lookup(const ObjectName& name, bool object_only);
};

struct ConnectOptions {
  io::Address address;
  Duration timeout = 60s;  // of each call
};
// Unavailable, with the address and what to do, if no node answers there.
Result<std::unique_ptr<Cell>> connectCell(const ConnectOptions& options);

// Where the node is: what `--node` says ("unix:PATH" or "host:port"), else FOREBAY_NODE, else this user's own socket
// (config::defaultSocketPath()).
Result<io::Address> nodeAddress(std::string_view flag);

}  // namespace forebay::cli
