// Answers LoadRequest: a peer's with this node's own part, a client's by asking every node that shall hold something.
//
// A node that doesn't answer is named in the reply, and nothing is over then: the client decides how often it asks
// again before it does without that node (LoadRequest.without). Threading: the node's loop.
#pragma once

#include <memory>

#include "io/server.h"
#include "node/checked_plans.h"
#include "node/loads.h"
#include "reader/channels.h"
#include "wire/messages.h"

namespace forebay::node {

class LoadRequests {
 public:
  struct Deps {
    core::NodeId self;
    core::ChunkServer& cell;
    reader::Channels& channels;
    Mounts& mounts;
    CheckedPlans& plans;
    Loads& loads;
  };
  explicit LoadRequests(Deps deps) : deps_(deps) {}

  Status serve(const io::Request& request, Bytes body, io::Reply& reply);

 private:
  struct Answering;
  // The plans of one node's part, and where in the request they are.
  struct Share {
    std::vector<SharedPlan> plans;
    std::vector<int> items;
  };

  Status serveShare(const Share& share, const std::shared_ptr<Answering>& answering, TimePoint until);
  void askOthers(const wire::pb::LoadRequest& message, const std::shared_ptr<Answering>& answering, TimePoint until);
  void ask(const core::Member& member, const wire::pb::LoadRequest& message, Share share,
           const std::shared_ptr<Answering>& answering, TimePoint until);
  Share shareOf(core::NodeId node, const Answering& answering) const;

  Deps deps_;
};

}  // namespace forebay::node
