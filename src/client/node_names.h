// Names asked of one node, with the bytes of small objects where the node says where they are in its slabs
// (client/slab_link.h): those are copied from there, and cost no second question.
//
// Threading: the connection's loop, but for the constructor.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "client/cell_reader.h"
#include "client/node_connection.h"
#include "client/slab_link.h"
#include "wire/messages.h"

namespace forebay::client {

class NodeResolve : public NodeOperation {
 public:
  using Answers = CellReader::Answers;
  // At most as many names as one request holds. `slabs`: null: no bytes.
  NodeResolve(NodeConnection& connection, std::shared_ptr<SlabLink> slabs, std::string mount,
              std::span<const std::string> paths, ResolveOptions options, TimePoint deadline, Callback<Answers> done,
              CallId call);

 private:
  void attempt() override;
  void finish(const Error& error) override { done_(fail(error)); }
  Result<Answers> answersIn(Bytes body);
  bool copied(std::size_t name, const wire::pb::Resolved& item, std::uint64_t slab) const;

  const std::shared_ptr<SlabLink> slabs_;
  std::shared_ptr<const SharedSlab> slab_;  // that the request named
  wire::pb::ResolveRequest request_message_;
  const std::vector<Rooms> into_;
  const std::uint32_t bytes_up_to_;
  Callback<Answers> done_;
};

}  // namespace forebay::client
