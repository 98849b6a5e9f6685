#include "client/direct_read.h"

#include <algorithm>
#include <fmt/format.h>

namespace forebay::client {
namespace {

constexpr Duration kSilenceCheck = 500ms;

// What an item's end means to the walk of its part.
core::WalkEvent eventOf(const reader::ItemResult& result) {
  switch (result.outcome) {
    case wire::ReadOutcome::Ok:
      return core::Answered{};
    case wire::ReadOutcome::Moved:
      return core::Moved{result.map_version};
    case wire::ReadOutcome::Ask:
      return core::AskThere{{result.peers.begin(), result.peers.end()}};
    case wire::ReadOutcome::Miss:
      return core::MissThere{};
    case wire::ReadOutcome::Busy:
      return core::BusyThere{std::chrono::milliseconds(result.error.retry_after_ms)};
    default:
      break;
  }
  const Error error = errorOf(result);
  if (error.code == Code::Corrupt) return core::BadBytes{};
  if (error.code == Code::Cancelled) return core::Lost{};  // that node is going away
  return core::Refused{error};
}

}  // namespace

// One Read that is on its way to a node. It keeps itself and the read until the channel forgets it.
class DirectRead::Request : public reader::ReadObserver, public std::enable_shared_from_this<Request> {
 public:
  Request(std::shared_ptr<DirectRead> read, core::NodeId node, reader::Channel& channel, std::vector<std::size_t> parts)
      : read_(std::move(read)), node_(node), channel_(channel), parts_(std::move(parts)), open_(parts_.size(), 1) {}

  void start(const RequestBuilder& what, std::uint64_t map_version) {
    keep_ = shared_from_this();
    core::Hedging& hedging = read_->cell_.hedging();
    hedging.asked();
    if (mayHedge()) hedge_at_ = started_ + hedging.after();
    id_ = channel_.read({.objects = what.objects(), .items = what.items(), .map_version = map_version}, *this,
                        read_->deadline_);
  }
  // Nothing of it is touched or told any more.
  void cancel() {
    const auto keep = std::exchange(keep_, nullptr);
    if (keep) channel_.cancel(id_);
  }
  // Gives it up as that node's silence.
  void silent() {
    const auto keep = shared_from_this();
    cancel();
    const Error error{Code::Unavailable, fmt::format("node {} is silent", channel_.address().text()), 0};
    over(error);
  }
  // Nothing has come for a while: asks others for what they should have copies of. False: it goes on.
  bool hedge() {
    hedge_at_ = kNever;
    if (!read_->cell_.hedging().take()) return false;
    ++read_->cell_.hedges;
    const auto keep = shared_from_this();
    cancel();
    const Error slow{Code::Unavailable, fmt::format("node {} is slow to answer", channel_.address().text()), 0};
    for (std::size_t item = 0; item < parts_.size(); ++item)
      if (std::exchange(open_[item], std::uint8_t{0}) != 0)
        read_->said(parts_[item], core::Slow{read_->othersWithCopies(parts_[item])}, &slow);
    read_->requestOver(keep);
    return true;
  }
  TimePoint hedgeAt() const { return hedge_at_; }
  core::NodeId node() const { return node_; }
  TimePoint heard() const { return heard_; }

  void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    // What a node had to fill first says nothing about how fast it answers.
    if (heard_ == started_) read_->cell_.hedging().answered(io::Reactor::now() - started_);
    hear();
    const Part& part = read_->parts_[parts_[item]];
    if (!read_->warm_only_) part.room(read_->wanted_[part.wanted], offset, length, target);
  }
  void arrived(std::uint16_t item, const wire::ReadDataView& view) override {
    hear();
    if (!read_->warm_only_) read_->parts_[parts_[item]].arrived(view.head().offset, view.head().length);
  }
  void filling(std::uint16_t) override { hear(); }

  void finished(std::uint16_t item, const reader::ItemResult& result) override {
    hear();
    if (std::exchange(open_[item], std::uint8_t{0}) == 0) return;
    Part& part = read_->parts_[parts_[item]];
    const core::WalkEvent event = eventOf(result);
    if (!std::holds_alternative<core::Answered>(event)) {
      const Error error = errorOf(result);
      return read_->said(parts_[item], event, &error);
    }
    read_->cell_.ahead().heard(result.from_origin);
    if (read_->warm_only_) part.range.length = 0;
    if (part.range.length == 0) return read_->said(parts_[item], event);
    const Error error{Code::Corrupt, fmt::format("node {} says that it sent all", channel_.address().text()), 0};
    read_->said(parts_[item], core::BadBytes{}, &error);
  }
  void done(Status status) override {
    const auto keep = std::exchange(keep_, nullptr);
    over(status ? Error{Code::Corrupt, "the node ended the request early", 0} : status.error());
  }

 private:
  // Whether others should have all of it too.
  bool mayHedge() const {
    return std::ranges::all_of(parts_, [this](std::size_t part) {
      const core::AskNode& ask = read_->how(part);
      const bool as_owner = !ask.relay && !ask.fallback && !ask.no_fill && !ask.insist;
      return read_->copiesOf(part) > 1 && (as_owner || read_->choseCopy(part));
    });
  }
  void hear() {
    heard_ = io::Reactor::now();
    hedge_at_ = kNever;
    read_->cell_.heardFrom(node_);
  }
  void over(const Error& error) {
    const auto read = read_;
    for (std::size_t item = 0; item < parts_.size(); ++item)
      if (std::exchange(open_[item], std::uint8_t{0}) != 0) read->lost(parts_[item], error);
    read->requestOver(shared_from_this());
  }

  const std::shared_ptr<DirectRead> read_;
  const core::NodeId node_;
  reader::Channel& channel_;
  const std::vector<std::size_t> parts_;  // by item
  std::vector<std::uint8_t> open_;        // items that haven't ended
  reader::RequestId id_ = 0;
  const TimePoint started_ = io::Reactor::now();
  TimePoint heard_ = started_;
  TimePoint hedge_at_ = kNever;
  std::shared_ptr<Request> keep_;  // while the channel knows us
};

DirectRead::DirectRead(DirectCell& cell, std::vector<Wanted> wanted, Options options, Done done)
    : OwnerOperation(cell, options.deadline, options.call),
      wanted_(std::move(wanted)),
      warm_only_(options.warm_only),
      done_(std::move(done)) {
  for (std::size_t i = 0; i < wanted_.size(); ++i) cut(wanted_[i], i, parts_);
}
DirectRead::~DirectRead() = default;

core::Slot DirectRead::slotOf(std::size_t part) const {
  const core::Plan& plan = *wanted_[parts_[part].wanted].plan;
  return core::slotOfChunk(plan.key, plan.first_slot, parts_[part].range.chunk);
}

// What is read shows what will be: warmings are no reads.
void DirectRead::starting() {
  if (warm_only_) return;
  for (Wanted& wanted : wanted_) wanted.scan = cell_.ahead().saw(wanted.plan, wanted.offset, wanted.length);
  cell_.ahead().bringIn();  // a round of the loop after what is asked for here
}

std::uint16_t DirectRead::flagsOf(std::size_t part) const {
  const core::AskNode& ask = how(part);
  const Wanted& wanted = wanted_[parts_[part].wanted];
  return static_cast<std::uint16_t>((ask.relay ? wire::kRelay : 0) | (ask.no_fill ? wire::kNoFill : 0) |
                                    (ask.fallback ? wire::kFallback : 0) | (ask.insist ? wire::kInsist : 0) |
                                    (warm_only_ ? wire::kNoBytes : 0) | (wanted.scan ? wire::kScan : 0));
}

std::vector<core::NodeId> DirectRead::othersWithCopies(std::size_t part) const {
  std::vector<core::NodeId> others;
  const core::Owners owners = cell_.map()->owners(slotOf(part));
  for (std::size_t i = 0; i < std::min<std::size_t>(owners.size(), copiesOf(part)); ++i)
    if (owners.all()[i] != how(part).node) others.push_back(owners.all()[i]);
  return others;
}

std::size_t DirectRead::requestsTo(core::NodeId node) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(requests_, [node](const auto& request) { return request->node() == node; }));
}

void DirectRead::send(core::NodeId node, std::deque<std::size_t>& waiting) {
  const auto self = std::static_pointer_cast<DirectRead>(shared_from_this());
  for (std::size_t open = requestsTo(node); open < kRequestsAtOnce && !waiting.empty(); ++open) {
    reader::Channel* const channel = cell_.to(node);
    RequestBuilder request;
    std::vector<std::size_t> parts;
    for (std::uint64_t bytes = 0; !waiting.empty() && bytes < kRequestBytes;) {
      const std::size_t index = waiting.front();
      if (channel == nullptr) {
        waiting.pop_front();
        const Error unknown{Code::Unavailable, "the cell's map doesn't know the node that was named", 0};
        said(index, core::Lost{}, &unknown);
        continue;
      }
      const Part& part = parts_[index];
      if (!request.add(part.wanted, *wanted_[part.wanted].plan, part.range, flagsOf(index))) break;
      bytes += part.range.length;
      parts.push_back(index);
      waiting.pop_front();
    }
    if (parts.empty()) return;
    const auto made = std::make_shared<Request>(self, node, *channel, std::move(parts));
    requests_.insert(made);
    made->start(request, cell_.map()->version());
  }
  watch();
}

// Sees to it that checkSilence() runs when the next request may be slow.
void DirectRead::watch() {
  if (requests_.empty()) return;
  TimePoint due = io::Reactor::now() + kSilenceCheck;
  for (const auto& request : requests_) due = std::min(due, request->hedgeAt());
  if (silence_timer_ != 0 && watch_at_ <= due) return;
  if (silence_timer_ != 0) cell_.reactor().cancel(silence_timer_);
  watch_at_ = due;
  silence_timer_ = cell_.reactor().at(due, [weak = weak_from_this()] {
    if (const auto read = std::static_pointer_cast<DirectRead>(weak.lock())) read->checkSilence();
  });
}

void DirectRead::checkSilence() {
  silence_timer_ = 0;
  const TimePoint now = io::Reactor::now();
  const bool late = now > watch_at_ + kSilence / 8;  // this loop didn't look: first it reads what has come
  const auto requests = requests_;
  for (const auto& request : requests) {
    if (request->hedgeAt() <= now && request->hedge()) continue;
    if (late) continue;
    const TimePoint heard = request->heard();
    const bool sends_elsewhere = cell_.lastHeard(request->node()) + kSilence > now;
    if (heard + (sends_elsewhere ? kTurn : kSilence) <= now) request->silent();
  }
  watch();
}

void DirectRead::requestOver(const std::shared_ptr<Request>& request) {
  requests_.erase(request);
  if (requests_.empty() && silence_timer_ != 0) cell_.reactor().cancel(std::exchange(silence_timer_, 0));
  flush();
}

// A range's first error counts.
void DirectRead::ended(std::size_t part, const Error* error) {
  Wanted& wanted = wanted_[parts_[part].wanted];
  if (error != nullptr && !wanted.error) wanted.error = *error;
}

void DirectRead::finish(const Error& error) {
  for (const Part& part : parts_)
    if (part.range.length != 0 && !wanted_[part.wanted].error) wanted_[part.wanted].error = error;
  done_(wanted_);
}

void DirectRead::forget() {
  OwnerOperation::forget();
  if (silence_timer_ != 0) cell_.reactor().cancel(std::exchange(silence_timer_, 0));
  const auto requests = std::exchange(requests_, {});
  for (const auto& request : requests) request->cancel();
}

}  // namespace forebay::client
