#include "client/shared_memory.h"

#include <algorithm>
#include <cstring>

#include "client/answers.h"
#include "wire/messages.h"

namespace forebay::client {
namespace {

constexpr Duration kAnswer = 2s;  // the next read asks again

class RegionQuestion : public NodeOperation {
 public:
  RegionQuestion(NodeConnection& connection, const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
                 Callback<io::Descriptor> done, CallId call)
      : NodeOperation(connection, deadline, call), bytes_(plan.size), done_(std::move(done)) {
    *message_.mutable_plan() = wire::toMessage(plan);
    message_.set_wait_us(static_cast<std::uint32_t>(std::clamp<std::int64_t>(toUs(wish.wait), 0, UINT32_MAX)));
    message_.set_reads(wish.reads);
    message_.set_why(wish.why);
  }

 private:
  void attempt() override {
    const auto self = std::static_pointer_cast<RegionQuestion>(shared_from_this());
    request_ = channel().call(wire::MessageType::RegionRequest, message_, deadline_,
                              [self](Result<reader::Answer> answer) { self->answered(std::move(answer)); });
  }
  void answered(Result<reader::Answer> answer) {
    request_ = 0;
    close();
    if (!answer) return done_(fail(answer.error()));
    const auto reply = wire::parse<wire::pb::RegionReply>(answer->body);
    if (!reply) return done_(fail(reply.error()));
    if (answer->descriptor == nullptr || reply->bytes() != bytes_) return done_(fail(notAnswered()));
    done_(std::move(*answer->descriptor));
  }
  void finish(const Error& error) override { done_(fail(error)); }

  const std::uint64_t bytes_;
  wire::pb::RegionRequest message_;
  Callback<io::Descriptor> done_;
};

}  // namespace

void askRegion(NodeConnection& connection, const core::Plan& plan, const RegionWish& wish, TimePoint deadline,
               Callback<io::Descriptor> done, CallId call) {
  connection.run(std::make_shared<RegionQuestion>(connection, plan, wish, deadline, std::move(done), call));
}

std::optional<std::uint64_t> SharedMemory::read(const core::Plan& plan, std::uint64_t offset, std::uint64_t length,
                                                std::span<const MutableBytes> into) {
  if (plan.size < SharedObjects::kLeast) return std::nullopt;
  const auto object = objects_.find(io::Reactor::now(), plan.key);
  if (!object) return std::nullopt;
  length = offset < plan.size ? std::min(length, plan.size - offset) : 0;
  std::uint64_t room = 0;
  for (const MutableBytes piece : into) room += piece.size();
  if (room < length) return std::nullopt;
  Bytes left = object->bytes(offset < plan.size ? offset : 0, length);
  for (const MutableBytes piece : into) {
    const Bytes part = left.first(std::min(left.size(), piece.size()));
    if (part.empty()) continue;
    std::memcpy(piece.data(), part.data(), part.size());
    left = left.subspan(part.size());
  }
  return length;
}

void SharedMemory::wasRead(const core::Plan& plan) {
  if (plan.size < SharedObjects::kLeast || !objects_.wants(io::Reactor::now(), plan)) return;
  askRegion(connection_, plan, RegionWish{}, io::Reactor::now() + kAnswer,
            [self = shared_from_this(), plan](const Result<io::Descriptor>& file) {
              self->objects_.answered(io::Reactor::now(), plan, file);
              self->sweepLater();
            });
}

void SharedMemory::whole(const core::Plan& plan, CallId call,
                         std::move_only_function<void(std::shared_ptr<const MappedObject>)> done) {
  if (plan.size < SharedObjects::kLeast) return done(nullptr);
  if (auto object = objects_.find(io::Reactor::now(), plan.key)) return done(std::move(object));
  if (!objects_.wants(io::Reactor::now(), plan)) return done(nullptr);
  askRegion(
      connection_, plan, RegionWish{}, io::Reactor::now() + kAnswer,
      [self = shared_from_this(), plan, done = std::move(done)](const Result<io::Descriptor>& file) mutable {
        self->objects_.answered(io::Reactor::now(), plan, file);
        self->sweepLater();
        done(self->objects_.find(io::Reactor::now(), plan.key));
      },
      call);
}

void SharedMemory::sweepLater() {
  if (sweeps_ || objects_.mapped() == 0) return;
  sweeps_ = true;
  connection_.reactor().after(SharedObjects::kIdle, [self = shared_from_this()] {
    self->sweeps_ = false;
    self->objects_.sweep(io::Reactor::now());
    self->sweepLater();
  });
}

}  // namespace forebay::client
