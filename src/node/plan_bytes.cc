#include "node/plan_bytes.h"

#include "base/log.h"
#include "wire/messages.h"

namespace forebay::node {

void SendingPlanBytes::add(const std::shared_ptr<const NameAnswer>& answer, wire::pb::Resolved& item) {
  if (answer->kind != NameAnswer::Kind::Object) return;
  const core::Plan& plan = answer->plan;
  if (plan.size == 0 || plan.size > most_ || plan.chunks() != 1 || plan.size > wire::kMaxBulk - bytes_) return;
  const auto size = static_cast<std::uint32_t>(plan.size);
  auto view = deps_.arena.view(io::Reactor::now(), plan.key, 0, 0, size);
  if (!view || bulk_.size() + view->pieces().size() > io::Connection::kMaxBulkPieces) return;
  const WantOptions want{.may_ask = true, .asker = asker_};
  if (!deps_.chunks.inMyStead(SharedPlan(answer, &plan), {0, 0, size}, want).empty()) return;
  item.set_bytes(size);
  for (std::uint32_t i = 0; i < view->granules(); ++i) item.add_crcs(view->crc(i));
  for (const store::Piece& piece : view->pieces()) bulk_.push_back(piece.bytes);
  views_.push_back(std::move(*view));
  bytes_ += size;
}

Status SendingPlanBytes::send(io::Reply& reply, wire::pb::ResolveReply& message) {
  if (bytes_ == 0) return reply.send(wire::MessageType::ResolveReply, message);
  const std::size_t objects = views_.size();
  auto keep = std::make_shared<const std::vector<store::View>>(std::move(views_));
  const Status sent = reply.send(wire::MessageType::ResolveReply, message, bulk_, std::move(keep));
  if (sent) {
    mount_.metrics->requests.add(objects);
    mount_.metrics->hits.add(objects);
    mount_.metrics->bytes_served.add(bytes_);
    mount_.metrics->sent_with_plans.add(objects);
    return sent;
  }
  if (sent.error().code != Code::Busy && sent.error().code != Code::InvalidArgument) return sent;
  for (auto& item : *message.mutable_items()) {
    item.clear_bytes();
    item.clear_crcs();
  }
  return reply.send(wire::MessageType::ResolveReply, message);
}

void SayingPlaces::add(const NameAnswer& answer, wire::pb::Resolved& item) {
  if (answer.kind != NameAnswer::Kind::Object) return;
  const core::Plan& plan = answer.plan;
  if (plan.size == 0 || plan.size > most_) return;
  const auto size = static_cast<std::uint32_t>(plan.size);
  const auto view = arena_.view(io::Reactor::now(), plan.key, 0, 0, size);
  if (!view || view->pieces().size() != 1) return;
  const auto place = arena_.placeOf(view->pieces()[0]);
  if (!place) return;
  item.set_placed_bytes(size);
  item.set_place(place->offset);
  item.set_generation(place->generation);
  ++objects_;
  bytes_ += size;
}

Status SayingPlaces::send(io::Reply& reply, wire::pb::ResolveReply& message) {
  if (objects_ != 0) message.set_slab(arena_.slabId());
  TRY(reply.send(wire::MessageType::ResolveReply, message));
  mount_.metrics->requests.add(objects_);
  mount_.metrics->hits.add(objects_);
  mount_.metrics->bytes_served.add(bytes_);
  mount_.metrics->sent_with_plans.add(objects_);
  return {};
}

bool ArrivingPlanBytes::place(std::size_t item, const wire::pb::Resolved& said, io::BulkTarget& target) {
  const core::Plan plan = wire::fromMessage(said.plan());
  if (plan.mount != mount_.id || !mount_.owns(plan)) return false;
  if (arena_.present(plan.key, 0).count() != 0 || cell_.busy(core::chunkId(plan.key, 0))) return false;
  const bool keep = mount_.keep_remote == KeepRemote::Always;
  auto place = arena_.reserve(io::Reactor::now(), plan,
                              {.chunk = 0, .runs = core::runsOf(0, said.bytes()), .transit = !keep, .copy = keep});
  if (!place) return false;
  for (const MutableBytes room : place->spans()) target.add(room);
  places_.push_back({.item = item, .at = std::move(*place), .crcs = {said.crcs().begin(), said.crcs().end()}});
  return true;
}

void ArrivingPlanBytes::take(bool direct) {
  std::size_t wrong = 0;
  for (Place& place : places_) {
    if (!came(place.item)) {
      ++wrong;
      continue;
    }
    place.at.commit(place.crcs);
    mount_.metrics->peer_bytes.add(place.at.size());
    if (direct) mount_.metrics->direct_bytes.add(place.at.size());
  }
  places_.clear();
  if (wrong > 0)
    log::warn("mount", "{}: {} objects came with their plans and don't match their checksums; they are read again",
              mount_.name, wrong);
}

void ArrivingPlanBytes::lost() {
  PlanBytes::lost();
  places_.clear();
}

}  // namespace forebay::node
