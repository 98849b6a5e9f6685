// What a process maps of its node's memory: whole objects (SharedObjects) and slabs (SlabLink), on a connection to it.
//
// Threading: read() from any thread, the rest in the connection's loop.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "client/client.h"
#include "client/node_connection.h"
#include "client/shared_objects.h"
#include "client/slab_link.h"

namespace forebay::client {

// Asks once for a whole object as a file: nobody waits for one where a node is too busy to say. See Client::region.
void askRegion(NodeConnection& connection, const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
               Callback<io::Descriptor> done, CallId call = 0);

class SharedMemory : public std::enable_shared_from_this<SharedMemory> {
 public:
  explicit SharedMemory(NodeConnection& connection)
      : connection_(connection), slabs_(std::make_shared<SlabLink>(connection)) {}

  // Copies what is mapped of [offset, offset + length), cut at the object's end: the number of bytes. Nothing: the
  // object isn't mapped, or `into` is too small for it.
  std::optional<std::uint64_t> read(const core::Plan& plan, std::uint64_t offset, std::uint64_t length,
                                    std::span<const MutableBytes> into);
  // An object was read through the node: perhaps its next read needn't.
  void wasRead(const core::Plan& plan);
  // All of an object, now or after asking for it, if the node has it in one place: then `done` is told, with null where
  // it hasn't.
  void whole(const core::Plan& plan, CallId call,
             std::move_only_function<void(std::shared_ptr<const MappedObject>)> done);
  const std::shared_ptr<SlabLink>& slabs() const { return slabs_; }

 private:
  void sweepLater();

  NodeConnection& connection_;
  SharedObjects objects_;
  const std::shared_ptr<SlabLink> slabs_;
  bool sweeps_ = false;
};

}  // namespace forebay::client
