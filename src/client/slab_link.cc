#include "client/slab_link.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/random.h"

namespace forebay::client {
namespace {
constexpr Duration kAnswer = 2s, kAskAgain = 5s, kUnpinTimeout = 10s, kUnpinAgain = 500ms;
constexpr int kMostUnpinFailures = 600;  // in a row: a node that is away for five minutes has ended
}  // namespace

SlabLink::SlabLink(NodeConnection& connection) : connection_(connection), next_pin_(systemRandom() | 1) {}

std::shared_ptr<const SharedSlab> SlabLink::slab() {
  if (state_ == State::Unknown) ask();
  return slab_;
}

void SlabLink::whenKnown(std::move_only_function<void()> then) {
  if (state_ == State::Unknown) ask();
  if (state_ != State::Asked) return then();
  waiting_.push_back(std::move(then));
}

void SlabLink::ask() {
  const TimePoint now = io::Reactor::now();
  if (now < ask_after_ || connection_.closing()) return;
  state_ = State::Asked;
  connection_.channel().call(wire::MessageType::SlabRequest, wire::pb::SlabRequest(), now + kAnswer,
                             [self = shared_from_this()](Result<reader::Answer> answer) { self->answered(answer); });
}

void SlabLink::answered(const Result<reader::Answer>& answer) {
  const auto reply = answer ? wire::parse<wire::pb::SlabReply>(answer->body) : fail(answer.error());
  state_ = State::Known;
  if (reply && answer->descriptor != nullptr) {
    slab_ = SharedSlab::of(std::move(*answer->descriptor), reply->id(), reply->page_bytes());
  } else if (!reply && reply.error().code != Code::Unsupported) {
    state_ = State::Unknown;
    // A node that isn't there is asked as often as reads are repeated.
    if (reply.error().code != Code::Unavailable) ask_after_ = io::Reactor::now() + kAskAgain;
  }
  for (auto& then : std::exchange(waiting_, {})) then();
}

void SlabLink::lost() {
  slab_.reset();
  ask_after_ = {};
  if (state_ == State::Known) state_ = State::Unknown;  // one that is asked fails, and is asked again
}

void SlabLink::unpin(std::uint64_t pin) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  unpins_.push_back(pin);
  if (std::exchange(sends_, true)) return;
  connection_.post([self = shared_from_this()] { self->sendUnpins(); });
}

// In the loop, and into the socket before this returns: whoever ends the connection next has given everything back.
void SlabLink::sendUnpins() {
  std::vector<std::uint64_t> pins;
  {
    const std::lock_guard lock(mutex_);
    sends_ = false;
    pins = std::exchange(unpins_, {});
  }
  if (connection_.closing()) return;
  for (std::span<const std::uint64_t> left(pins); !left.empty();) {
    const auto now = left.first(std::min<std::size_t>(left.size(), wire::kMaxUnpins));
    left = left.subspan(now.size());
    wire::pb::UnpinRequest request;
    request.mutable_pins()->Assign(now.begin(), now.end());
    connection_.channel().call(wire::MessageType::UnpinRequest, request, io::Reactor::now() + kUnpinTimeout,
                               [self = shared_from_this(), request](const Result<reader::Answer>& answer) {
                                 if (answer)
                                   self->failures_ = 0;
                                 else
                                   self->sendAgain(request, answer.error());
                               });
  }
}

void SlabLink::sendAgain(const wire::pb::UnpinRequest& request, const Error& error) {
  const bool helps = error.retryable() || error.code == Code::DeadlineExceeded;
  if (!helps || ++failures_ > kMostUnpinFailures) return;
  const std::lock_guard lock(mutex_);
  unpins_.insert(unpins_.end(), request.pins().begin(), request.pins().end());
  if (closed_ || std::exchange(sends_, true)) return;
  connection_.reactor().after(kUnpinAgain, [self = shared_from_this()] { self->sendUnpins(); });
}

void SlabLink::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace forebay::client
