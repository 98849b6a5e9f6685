// Asks other nodes to have chunks, without sending the bytes along: they fetch them as any reader would, and keep them.
//
// A READ with NO_BYTES and KEEP: its answer says that the chunk is there. It may take as long as a fetch may.
// Threading: the node's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "core/chunk_server.h"
#include "core/types.h"
#include "reader/channels.h"

namespace forebay::node {

class CopyCalls {
 public:
  // `cell` and `channels` must outlive this.
  CopyCalls(core::ChunkServer& cell, reader::Channels& channels);
  ~CopyCalls();

  // `done` hears later whether the node has all of the chunk now; never inside the call, and not once this is gone.
  // False: the node can't be asked, and `done` isn't called.
  bool ask(core::NodeId node, const core::Plan& plan, std::uint32_t chunk, std::move_only_function<void(bool)> done);

 private:
  class Call;
  core::ChunkServer& cell_;
  reader::Channels& channels_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Call>> open_;
};

}  // namespace forebay::node
