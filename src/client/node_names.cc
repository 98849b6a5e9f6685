#include "client/node_names.h"

#include <algorithm>

#include "client/answers.h"
#include "client/parts.h"

namespace forebay::client {

NodeResolve::NodeResolve(NodeConnection& connection, std::shared_ptr<SlabLink> slabs, std::string mount,
                         std::span<const std::string> paths, ResolveOptions options, TimePoint deadline,
                         Callback<Answers> done, CallId call)
    : NodeOperation(connection, deadline, call),
      slabs_(options.into.size() == paths.size() ? std::move(slabs) : nullptr),
      into_(std::move(options.into)),
      bytes_up_to_(options.fill_up_to),
      done_(std::move(done)) {
  request_message_.set_mount(std::move(mount));
  request_message_.mutable_paths()->Assign(paths.begin(), paths.end());
  request_message_.set_object_only(options.object_only);
  request_message_.set_revalidate(options.revalidate);
  request_message_.set_fill_up_to(options.fill_up_to);
  request_message_.set_relay(true);
}

void NodeResolve::attempt() {
  slab_ = slabs_ ? slabs_->slab() : nullptr;
  request_message_.set_slab(slab_ ? slab_->name() : 0);
  request_message_.set_bytes_up_to(slab_ ? bytes_up_to_ : 0);
  request_ = channel().call(wire::MessageType::ResolveRequest, request_message_, deadline_,
                            [this, self = shared_from_this()](Result<reader::Answer> answer) {
                              request_ = 0;
                              if (!answer) return failed(answer.error());
                              auto answers = answersIn(answer->body);
                              close();
                              done_(std::move(answers));
                            });
}

Result<CellReader::Answers> NodeResolve::answersIn(Bytes body) {
  google::protobuf::ArenaOptions blocks;
  blocks.start_block_size = std::clamp<std::size_t>(2 * body.size(), 512, 32 * kKiB);
  google::protobuf::Arena arena(blocks);
  const wire::pb::ResolveReply& reply = *TRY(wire::parseIn<wire::pb::ResolveReply>(arena, body));
  if (reply.items_size() != request_message_.paths_size()) return fail(notAnswered());
  Answers answers;
  answers.reserve(static_cast<std::size_t>(reply.items_size()));
  for (const auto& item : reply.items()) {
    if (copied(answers.size(), item, reply.slab())) {
      Attributes read{.ttl = std::chrono::milliseconds(item.ttl_ms()), .read = true};
      read.plan.size = item.placed_bytes();
      answers.emplace_back(std::move(read));
    } else {
      answers.push_back(attributesOf(item));
    }
  }
  return answers;
}

// False: the caller reads it.
bool NodeResolve::copied(std::size_t name, const wire::pb::Resolved& item, std::uint64_t slab) const {
  if (item.placed_bytes() == 0 || !slab_ || slab != slab_->id()) return false;
  const wire::Place place{.offset = item.place(), .length = item.placed_bytes(), .generation = item.generation()};
  return slab_->copy(place, into_[name]);
}

}  // namespace forebay::client
