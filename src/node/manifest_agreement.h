// Whether the nodes of a cell serve the same manifest of each frozen mount; who doesn't is refused.
//
// A node compares when it starts, before it answers anything about the mount's names, and again every few seconds, by
// asking other nodes for their status: all of a small cell, a random few of a large one. Of two that differ, the one
// that serves already goes on and the newcomer refuses the mount's names; of two newcomers (or of two that met after a
// partition) the one with the smaller digest serves. Its error names both nodes and both digests, until the other has
// gone or says the same. So a node with a wrong file harms its own readers, never the cell's.
//
// Bytes are served to peers meanwhile: a chunk's id holds its version, so they are right whoever asks.
//
// Threading: the node's loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/chunk_server.h"
#include "io/reactor.h"
#include "node/mounts.h"
#include "reader/channels.h"
#include "wire/messages.h"

namespace forebay::node {

// What a node says of one frozen mount.
struct ManifestClaim {
  std::string node;
  std::string digest;  // empty: it serves the mount without a manifest
  bool serving = false;
};
// Of other nodes' claims one that keeps this node from serving; nothing if there is none.
std::optional<ManifestClaim> disagreement(const ManifestClaim& mine, const std::vector<ManifestClaim>& others);

class ManifestAgreement {
 public:
  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;
    reader::Channels& channels;
    Mounts& mounts;
    std::uint64_t seed;
  };
  explicit ManifestAgreement(Deps deps);
  ~ManifestAgreement();

  // Once, after the mounts of the configuration were made: in a cell of several, each frozen one is refused until the
  // first comparison is over.
  void start();

 private:
  struct Round;
  bool frozenMounts() const;
  std::vector<core::NodeId> somePeers();
  void compare();
  void compared(const Round& round);
  void judge(Mount& mount, const Round& round);

  Deps deps_;
  Random random_;
  io::TimerId timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
