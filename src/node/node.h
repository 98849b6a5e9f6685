// A node: one process's share of a cell. It holds chunks in its arena, fills them from origins, serves clients of its
// machine and the other nodes, and answers for the names that it owns.
//
//   auto node = TRY(Node::create(config));
//   node->run();                 // until stop(), which any thread may call
//
// create() makes everything and listens; it fails, with what to do, on what a person can mend (addresses in use, a bad
// origin, too little memory). Origins are probed once running; probe results are in ready() and the log.
//
// Threading: one loop runs everything but blocking file work (WorkerPool). Methods are for that loop (reactor().post),
// but for stop(), metrics() and reactor().
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "io/reactor.h"
#include "node/config.h"
#include "wire/messages.h"

namespace forebay::node {

class Node {
 public:
  static Result<std::unique_ptr<Node>> create(NodeConfig config);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void run();
  void stop();

  io::Reactor& reactor();
  Metrics& metrics();
  // "host:port" that it listens on for nodes; empty: none.
  const std::string& address() const;

  // Adds a mount while running. `done` hears whether its origin answered: InvalidArgument, NotFound, Unauthenticated,
  // PermissionDenied, Unavailable. Again with the same name and URL: fine, nothing changes.
  void addMount(MountConfig config, std::move_only_function<void(Status)> done);
  // Why this node isn't ready to serve; empty: it is. (Liveness is that it answers at all.)
  std::string notReady() const;
  wire::pb::NodeStatus status() const;
  // Calls `heard` in the loop each time that names at and below a path of a mount ("": all of it) were to be forgotten.
  // Replaces an earlier one; empty: nobody.
  void onRefresh(std::function<void(const std::string& mount, const std::string& path)> heard);
  // Connections of clients (not nodes) that are open.
  std::size_t clients() const;

 private:
  class Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace forebay::node
