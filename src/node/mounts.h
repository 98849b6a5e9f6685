// The mounts that a node serves: where their bytes come from, how they are cached, what they cost so far.
//
// Made from the configuration, or by a one-command mount while the node runs; never removed once it was served (a plan
// may still name it). Threading: the node's loop.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "core/types.h"
#include "node/config.h"
#include "node/frozen_origin.h"
#include "node/manifest.h"
#include "origin/origin.h"

namespace forebay::node {

// How long an answer about a name may be used, counted from the moment that the origin was asked. On `open` mounts each
// open asks the origin, so only what is looked at in between is that old; on `frozen` ones it holds for ever.
Duration timeToLive(const Consistency& consistency);
// Of "nothing there": a name may appear, so wait less for it than for a change of what is known.
Duration absentTimeToLive(const Consistency& consistency);

struct MountMetrics {
  MountMetrics(Metrics& metrics, std::string_view mount);
  Counter& bytes_served;  // to clients and peers
  Counter& requests;      // ranges asked for
  Counter& hits;          // of those: wholly in the arena
  Counter& misses;
  Counter& peer_bytes;       // received from other nodes
  Counter& direct_bytes;     // of those: from the owner that was asked first
  Counter& asks;             // ranges that were answered with who else has them
  Counter& copies;           // that other nodes made of chunks of this one
  Counter& sent_with_plans;  // objects whose bytes went with the answer about their names
  Counter& hedges;           // to holders of copies, because an owner was slow
  Counter& hidden_names;
  Counter& slow_reads;
  Counter& open_waits;       // opens that waited for their object to be complete here
  Counter& open_waits_late;  // of those: it wasn't, when their time was over
  Histogram& read_time;      // from a range's arrival to its last byte handed to the socket
};

struct Mount {
  std::string name;
  core::MountId id = 0;
  std::string url;  // without credentials
  MountClass mount_class = MountClass::Dataset;
  Consistency consistency;
  std::uint32_t chunk_bits = core::kDefaultChunkBits;
  std::uint32_t read_copies = 1;
  KeepRemote keep_remote = KeepRemote::Hot;
  Duration request_timeout = 60s;  // of one call to the origin, with its retries
  std::vector<std::byte> secret;
  std::unique_ptr<origin::OriginMetrics> origin_metrics;
  std::unique_ptr<MountMetrics> metrics;
  std::unique_ptr<origin::Origin> origin;
  std::shared_ptr<const Manifest> manifest;      // of a frozen mount: its names; null for others
  std::optional<Error> refusal;                  // why nothing is said about its names; of a frozen mount
  std::string whole_objects, whole_objects_why;  // MountStatus has them
  std::string transport, transport_why;          // those too
  bool splits_pages = false;                     // its names are so long that a page of the origin's doesn't fit ours
  bool said_hidden = false;                      // hidden names are logged once
  bool offered = true;  // false: its origin hasn't answered yet, and if it doesn't, the mount goes again

  // Where its bytes live for good, also where its names come from a manifest: to list what is there now.
  origin::Origin& source() const {
    return manifest != nullptr ? static_cast<FrozenOrigin&>(*origin).source() : *origin;
  }
  Duration ttl() const { return timeToLive(consistency); }
  Duration absentTtl() const { return absentTimeToLive(consistency); }
  core::Plan plan(std::string path, const origin::ObjectInfo& info) const;
  // Whether a key that came over the wire belongs to what its plan claims: nobody without the secret can make one.
  bool owns(const core::Plan& plan) const;
};

class Mounts {
 public:
  // InvalidArgument: the name (or its id) is taken.
  Result<Mount*> add(std::unique_ptr<Mount> mount);
  Mount* find(std::string_view name);
  Mount* find(core::MountId id);
  std::vector<Mount*> all();
  std::vector<const Mount*> all() const;
  const Mount* find(core::MountId id) const;
  // Only for a mount that nobody has got a plan of.
  void remove(core::MountId id) { by_id_.erase(id); }
  void clear() { by_id_.clear(); }

 private:
  std::map<core::MountId, std::unique_ptr<Mount>> by_id_;
};

}  // namespace forebay::node
