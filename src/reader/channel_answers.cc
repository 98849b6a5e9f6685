// What comes back to a channel, and is checked before anybody hears of it.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "reader/channel_impl.h"
#include "wire/messages.h"

namespace forebay::reader {

void Channel::Impl::frame(const wire::FrameHeader& header, Bytes body) {
  const auto self = shared_from_this();
  noteMap(header.map_version);
  Pending* const pending = find(header.request_id);
  if (pending == nullptr) return;  // cancelled, or past its deadline
  if (header.type == wire::MessageType::Failure) {
    const auto failure = wire::parse<wire::pb::Failure>(body);
    return finish(header.request_id, fail(failure ? wire::fromMessage(*failure) : failure.error()));
  }
  if (pending->observer == nullptr) return answerCall(header, *pending, body);
  answerRead(header, body, true);
}

void Channel::Impl::answerCall(const wire::FrameHeader& header, Pending& pending, Bytes body) {
  if (header.type != wire::replyTypeOf(pending.header.type))
    return finish(header.request_id, fail(Code::Corrupt, fmt::format("{} answered {} with {}", address_.text(),
                                                                     wire::messageName(pending.header.type),
                                                                     wire::messageName(header.type))));
  AnswerCallback done = std::exchange(pending.done, {});
  const auto bulk = std::exchange(pending.bulk, {});  // it lives until the callback has taken what came
  release(pending);
  io::Descriptor descriptor = connection_->takeDescriptor();
  done(Answer{.header = header,
              .body = body,
              .from = remote_->node_id,
              .descriptor = descriptor.valid() ? &descriptor : nullptr});
}

// What it says must be about this read; where its bytes may go is checked apart.
Result<wire::ReadDataView> Channel::Impl::viewOf(const wire::FrameHeader& header, const Pending& pending,
                                                 Bytes body) const {
  if (header.type != wire::MessageType::ReadData)
    return fail(Code::Corrupt, fmt::format("a {} as answer to a Read", wire::messageName(header.type)));
  const wire::ReadDataView view = TRY(wire::ReadDataView::parse(body, header.bulk_length));
  if (view.head().item >= pending.items.size())
    return fail(Code::Corrupt, fmt::format("item {} of a Read of {}", view.head().item, pending.items.size()));
  return view;
}

void Channel::Impl::bulkComing(const wire::FrameHeader& header, Bytes body, io::BulkTarget& target) {
  const auto self = shared_from_this();
  Pending* const pending = find(header.request_id);
  if (pending == nullptr) return;
  if (pending->observer == nullptr) return bulkOfCall(header, *pending, body, target);
  const auto view = viewOf(header, *pending, body);
  if (!view) return connection_->badFrame(view.error());
  const wire::ReadData& data = view->head();
  if (!wanted(pending->items[data.item], data)) return;
  receiving_ = header.request_id;
  target.verify(*view);
  pending->observer->room(data.item, data.offset, data.length, target);
  // If the observer cancelled meanwhile, its memory isn't ours any more.
  if (connection_ && find(header.request_id) == nullptr) connection_->discardBulk();
}

void Channel::Impl::bulkOfCall(const wire::FrameHeader& header, Pending& pending, Bytes body, io::BulkTarget& target) {
  if (!pending.bulk || header.type != wire::replyTypeOf(pending.header.type)) return;  // told when it has arrived
  receiving_ = header.request_id;
  const Status taken = pending.bulk->room(header, body, target);
  if (!taken) return connection_->badFrame(taken.error());
  target.verify(*pending.bulk);
}

void Channel::Impl::bulkArrived(const wire::FrameHeader& header, Bytes body, bool intact) {
  const auto self = shared_from_this();
  receiving_ = 0;
  noteMap(header.map_version);
  Pending* const pending = find(header.request_id);
  if (pending == nullptr) return;
  if (pending->observer != nullptr) return answerRead(header, body, intact);
  if (pending->bulk) {
    stats_.bytes_in += header.bulk_length;
    if (!intact) ++stats_.corrupt;
    return answerCall(header, *pending, body);
  }
  finish(header.request_id, fail(Code::Corrupt, fmt::format("{} answered {} with bulk", address_.text(),
                                                            wire::messageName(pending->header.type))));
}

// Observers may cancel, ask anew or let go of the channel in any call: what is known is looked up again after each.
void Channel::Impl::answerRead(const wire::FrameHeader& header, Bytes body, bool intact) {
  const RequestId id = header.request_id;
  Pending* pending = find(id);
  const auto view = viewOf(header, *pending, body);
  if (!view) return connection_->badFrame(view.error());
  measure(*pending, view->head());
  if (view->head().length > 0)
    takeBytes(*pending, *view, intact);
  else if (view->head().outcome == wire::ReadOutcome::Filling && !view->head().last())
    pending->observer->filling(view->head().item);
  pending = find(id);
  if (pending != nullptr && view->head().last()) finishItem(*pending, header, *view);
  pending = find(id);
  if (pending == nullptr || !view->head().lastOfRequest()) return;
  if (pending->items_left == 0) return finish(id, {});
  finish(id, fail(Code::Corrupt, fmt::format("{} ended a read with {} of {} items unanswered", address_.text(),
                                             pending->items_left, pending->items.size())));
}

// Whether these bytes can be what was asked for, and not yet sent.
bool Channel::Impl::wanted(const Item& item, const wire::ReadData& data) {
  if (item.finished || item.corrupt || item.no_bytes || data.offset < item.range.offset) return false;
  const std::uint32_t at = data.offset - item.range.offset;
  return at <= item.range.length && data.length <= item.range.length - at &&
         data.length <= item.range.length - item.arrived;
}

void Channel::Impl::takeBytes(Pending& pending, const wire::ReadDataView& view, bool intact) {
  const wire::ReadData& data = view.head();
  Item& item = pending.items[data.item];
  if (item.finished) return;
  if (!intact || !wanted(item, data) || (view.hasPlaces() && !pending.takes_places)) {
    item.corrupt = true;
    ++stats_.corrupt;
    return;
  }
  item.arrived += data.length;
  item.from_origin |= (data.flags & wire::kFromOrigin) != 0;
  pending.bytes_left -= data.length;
  stats_.outstanding_bytes -= data.length;
  if (view.hasPlaces()) return pending.observer->placed(data.item, view);
  stats_.bytes_in += data.length;
  pending.observer->arrived(data.item, view);
}

void Channel::Impl::finishItem(Pending& pending, const wire::FrameHeader& header, const wire::ReadDataView& view) {
  Item& item = pending.items[view.head().item];
  if (item.finished) return;
  item.finished = true;
  --pending.items_left;
  ItemResult result{.outcome = view.head().outcome,
                    .error = {.code = Code::Ok, .message = {}},
                    .peers = {},
                    .map_version = header.map_version,
                    .from_origin = item.from_origin};
  const auto corrupt = [&](std::string text) {
    result.outcome = wire::ReadOutcome::Error;
    result.error = {.code = Code::Corrupt, .message = std::move(text)};
  };
  std::array<core::NodeId, wire::kMaxReadPeers> peers;
  const bool good = view.head().outcome == wire::ReadOutcome::Ok || view.head().outcome == wire::ReadOutcome::Filling;
  if (item.corrupt) {
    corrupt(fmt::format("bytes from {} don't match their checksums, or weren't asked for", address_.text()));
  } else if (good && !item.no_bytes && item.arrived != item.range.length) {
    corrupt(fmt::format("{} sent {} of {} bytes", address_.text(), item.arrived, item.range.length));
  } else if (good) {
    result.outcome = wire::ReadOutcome::Ok;
  } else {
    if (view.head().outcome > wire::ReadOutcome::Error) result.outcome = wire::ReadOutcome::Error;
    result.error = view.error();
    for (std::size_t i = 0; i < view.peers(); ++i) peers[i] = view.peer(i);
    result.peers = {peers.data(), view.peers()};
  }
  pending.observer->finished(view.head().item, result);
}

void Channel::Impl::measure(Pending& pending, const wire::ReadData& data) {
  if (pending.answered) return;
  pending.answered = true;
  const Duration server = std::chrono::microseconds(std::uint64_t{data.queue_us} + data.service_us);
  const Duration rtt = std::max<Duration>(io::Reactor::now() - pending.sent_at - server, Duration{0});
  stats_.rtt = stats_.rtt == Duration{0} ? rtt : stats_.rtt + (rtt - stats_.rtt) / 8;
}

}  // namespace forebay::reader
