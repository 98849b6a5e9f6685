#include "client/read_operation.h"

#include <algorithm>

namespace forebay::client {

ReadOperation::ReadOperation(NodeConnection& connection, Ranges wanted, Options options, Done done)
    : NodeOperation(connection, options.deadline, options.call),
      wanted_(std::move(wanted)),
      warm_only_(options.warm_only),
      done_(std::move(done)),
      slabs_(options.warm_only ? nullptr : std::move(options.slabs)),
      pin_into_(std::move(options.pin_into)) {
  parts_.reserve(wanted_.size());
  for (std::size_t i = 0; i < wanted_.size(); ++i) cut(wanted_[i], i, parts_);
}

// The next request, as large as one may be.
void ReadOperation::attempt() {
  RequestBuilder& request = connection().request();
  asked_.clear();
  slab_ = slabs_ && in_place_ ? slabs_->slab() : nullptr;
  if (slab_ && pin_into_) pin_ = slabs_->newPin();
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (!missing(part)) continue;
    const auto flags = static_cast<std::uint16_t>(warm_only_ ? wire::kRelay | wire::kNoBytes : wire::kRelay);
    if (!request.add(part.wanted, *wanted_[part.wanted].plan, part.range, flags, pin_)) break;
    asked_.push_back(i);
  }
  if (asked_.empty()) return complete();
  for (Wanted& wanted : wanted_) wanted.last.reset();
  progress_ = false;
  keep_ = shared_from_this();
  request_ = channel().read({.objects = request.objects(), .items = request.items(), .slab = slab_ ? slab_->name() : 0},
                            *this, deadline_);
}

void ReadOperation::room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) {
  const Part& part = parts_[asked_[item]];
  if (!warm_only_) part.room(wanted_[part.wanted], offset, length, target);
}

void ReadOperation::arrived(std::uint16_t item, const wire::ReadDataView& view) {
  if (!warm_only_ && parts_[asked_[item]].arrived(view.head().offset, view.head().length)) progress_ = true;
}

void ReadOperation::placed(std::uint16_t item, const wire::ReadDataView& view) {
  Part& part = parts_[asked_[item]];
  progress_ = true;
  if ((view.head().flags & wire::kPinned) != 0 && pin_ != 0) return takePinned(part, view);
  if (!copyPlaces(part, view)) in_place_ = false;
}

// False: not all of it is there any more.
bool ReadOperation::copyPlaces(Part& part, const wire::ReadDataView& view) {
  if (!slab_ || view.slab() != slab_->id()) return false;
  std::uint32_t at = view.head().offset;
  for (std::size_t i = 0; i < view.places(); ++i) {
    const wire::Place place = view.place(i);
    if (!slab_->copy(place, part.room(wanted_[part.wanted], at, place.length))) return false;
    part.arrived(at, place.length);
    at += place.length;
  }
  return true;
}

void ReadOperation::takePinned(Part& part, const wire::ReadDataView& view) {
  const wire::Place place = view.place(0);
  const std::uint64_t all = wanted_[part.wanted].length;
  if (view.slab() == slab_->id() && view.places() == 1 && place.length == all && part.range.length == all) {
    if (const auto bytes = slab_->pinned(place)) {
      *pin_into_ = {.slab = slab_, .bytes = *bytes, .pin = std::exchange(pin_, 0)};
      part.arrived(view.head().offset, place.length);
      return;
    }
  }
  if (!copyPlaces(part, view)) in_place_ = false;  // a part came over the socket before
  givePinBack();
}

void ReadOperation::givePinBack() {
  if (pin_ != 0) slabs_->unpin(std::exchange(pin_, 0));
}

void ReadOperation::finished(std::uint16_t item, const reader::ItemResult& result) {
  Part& part = parts_[asked_[item]];
  if (result.outcome == wire::ReadOutcome::Ok) {
    pin_ = 0;  // pinned and taken, or not pinned
    if (!warm_only_) return;
    part.range.length = 0;
    progress_ = true;
    return;
  }
  Wanted& wanted = wanted_[part.wanted];
  // The error that ends the range counts: one that passes hides none that stays.
  if (wanted.last && !passes(*wanted.last)) return;
  if (result.outcome == wire::ReadOutcome::Error && !wanted.last) ++wanted.answered_failures;
  wanted.last = errorOf(result);
}

// After a request: which ranges have ended. Returns an error that may pass, if there is one.
std::optional<Error> ReadOperation::settle() {
  std::optional<Error> passing;
  for (Wanted& wanted : wanted_) {
    if (!wanted.last) continue;
    if (passes(*wanted.last) && wanted.answered_failures < kAnsweredFailures)
      passing = wanted.last;
    else
      wanted.error = wanted.last;
    wanted.last.reset();
  }
  return passing;
}

void ReadOperation::done(Status status) {
  const auto keep = std::move(keep_);
  request_ = 0;
  givePinBack();
  const std::optional<Error> passing = settle();
  if (std::ranges::none_of(parts_, [this](const Part& part) { return missing(part); })) return complete();
  if (!status) return failed(status.error());
  if (passing) return again(*passing);
  if (!progress_)
    return failed({Code::Corrupt, "the node says that it sent all, and sent nothing of what is missing", 0});
  attempt();  // more parts than one request holds
}

void ReadOperation::finish(const Error& error) {
  for (const Part& part : parts_)
    if (missing(part)) wanted_[part.wanted].error = error;
  tell(wanted_);
}

void ReadOperation::complete() {
  const auto self = shared_from_this();
  close();
  tell(wanted_);
}

}  // namespace forebay::client
