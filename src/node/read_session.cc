#include "node/read_session.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/checksum.h"

namespace forebay::node {
namespace {

constexpr std::uint32_t kFrameBytes = kMiB;  // of bulk: long enough to be cheap, short enough for others to get between
constexpr std::size_t kFramePieces = 64;     // of memory: 4 MiB in granules
constexpr int kMaxRefetches = 8;
constexpr std::size_t kKeptSessions = 16;  // that are over
constexpr std::size_t kKeptItems = 256;    // of one of them: together about 2 MiB
// Of an item: below it, the bytes' two copies cost no more than the place and the reader's system call. Measured in
// batches of a thousand, CPU of both sides for each range: 4 KiB 4.3 us in place and 5.3 over the socket, 64 KiB 11
// and 27.
constexpr std::uint32_t kLeastInPlace = 4 * kKiB;

std::uint32_t microseconds(Duration d) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(toUs(d), 0, 0xffffffff));
}

wire::ReadOutcome outcomeOf(core::Refusal why) {
  switch (why) {
    case core::Refusal::Miss:
      return wire::ReadOutcome::Miss;
    case core::Refusal::Moved:
      return wire::ReadOutcome::Moved;
    case core::Refusal::Ask:
      return wire::ReadOutcome::Ask;
    case core::Refusal::Busy:
      return wire::ReadOutcome::Busy;
    case core::Refusal::Gone:
      return wire::ReadOutcome::Gone;
    case core::Refusal::Failed:
      break;
  }
  return wire::ReadOutcome::Error;
}

// The checksums of [offset, offset + length) by piece: a whole granule's is the one that is kept with it, a part's is
// made here from exactly its bytes.
std::size_t checksumsOf(const store::View& view, std::uint32_t offset, std::uint32_t length, std::uint32_t chunk_length,
                        std::span<std::uint32_t> to) {
  const auto pieces = view.pieces();
  std::size_t piece = 0, in_piece = 0, made = 0;
  std::uint32_t at = offset;
  while (at < offset + length) {
    const std::uint32_t granule_start = at / core::kGranule * core::kGranule;
    const std::uint32_t granule_end = std::min(granule_start + core::kGranule, chunk_length);
    const std::uint32_t end = std::min(granule_end, offset + length);
    const bool whole = at == granule_start && end == granule_end;
    std::uint32_t crc = whole ? view.crc(static_cast<std::uint32_t>(made)) : 0;
    for (std::uint32_t left = end - at; left > 0;) {
      const Bytes bytes = pieces[piece].bytes;
      const auto now = std::min<std::size_t>(left, bytes.size() - in_piece);
      if (!whole) crc = crc32c(bytes.subspan(in_piece, now), crc);
      in_piece += now;
      left -= static_cast<std::uint32_t>(now);
      if (in_piece == bytes.size()) {
        ++piece;
        in_piece = 0;
      }
    }
    to[made++] = crc;
    at = end;
  }
  return made;
}

}  // namespace

class ReadSession::Item : public Waiter {
 public:
  Item(ReadSession& session, std::uint16_t index, SharedPlan plan, Mount& mount, const wire::ReadItem& item,
       WantOptions want, bool tells)
      : session_(session),
        index_(index),
        plan_(std::move(plan)),
        mount_(&mount),
        chunk_(item.range.chunk),
        first_(item.range.offset),
        at_(item.range.offset),
        end_(item.range.offset + item.range.length),
        ready_(at_),
        no_bytes_((item.flags & wire::kNoBytes) != 0),
        pin_(session.takes_places_ ? item.pin : 0),
        tells_(tells),
        want_(want) {}
  // An item that can't be served at all.
  Item(ReadSession& session, std::uint16_t index, wire::ReadOutcome outcome, Error error)
      : session_(session), index_(index), refusal_(outcome), error_(std::move(error)) {}
  ~Item() override {
    if (waiter_ != 0) session_.deps_.chunks.left(waiter_);
  }

  void begin() {
    if (refusal_) return;
    mount_->metrics->requests.add();
    const bool hit = no_bytes_ ? allPresent() : lookAt(at_, end_ - at_).has_value();
    (hit ? mount_->metrics->hits : mount_->metrics->misses).add();
    if (!hit) return fetch();
    if (want_.may_ask && !no_bytes_) {
      const auto others = session_.deps_.chunks.inMyStead(plan_, {chunk_, at_, end_ - at_}, want_);
      if (!others.empty()) return nameOthers(others);
    }
    ready_ = end_;
  }

  bool ended() const { return ended_; }
  bool sendable() const {
    return !ended_ && (refusal_ || say_filling_ || (no_bytes_ || pin_ != 0 ? ready_ == end_ : ready_ > at_));
  }

  // Sends one frame. Busy: the socket is full.
  Status send(io::Reply& reply) {
    if (refusal_) return sendRefusal(reply);
    if (no_bytes_ && ready_ == end_) return sendWarmed(reply);
    if (pin_ != 0 && ready_ == end_) return sendPinned(reply);
    if (!no_bytes_ && ready_ > at_) return sendBytes(reply);
    return sendFilling(reply);
  }

  void traced(const FetchTrace& trace) override { trace_ = trace; }
  void ready(std::uint32_t upto) override {
    upto = std::min(upto, end_);
    if (upto == end_) all_ready_ = io::Reactor::now();
    if (upto <= ready_) say_filling_ = tells_;
    ready_ = std::max(ready_, upto);
    if (ready_ == end_) waiter_ = 0;
    session_.pump();
  }
  void refused(core::Refusal why, const Error& error) override {
    waiter_ = 0;
    refusal_ = outcomeOf(why);
    error_ = error;
    session_.pump();
  }
  void askOthers(std::span<const core::NodeId> nodes) override {
    waiter_ = 0;
    nameOthers(nodes);
    session_.pump();
  }

 private:
  void nameOthers(std::span<const core::NodeId> nodes) {
    mount_->metrics->asks.add();
    peers_.assign(nodes.begin(), nodes.end());
    refusal_ = wire::ReadOutcome::Ask;
    error_ = {Code::Busy, "others have it too: ask one of them", 0};
  }
  bool allPresent() const {
    const core::RunSet present = session_.deps_.arena.present(plan_->key, chunk_);
    const core::RunRange runs = core::runsOf(at_, end_ - at_);
    for (std::uint32_t r = runs.first; r < runs.end; ++r)
      if (!present.has(r)) return false;
    return true;
  }
  std::optional<store::View> lookAt(std::uint32_t offset, std::uint32_t length) const {
    return session_.deps_.arena.view(io::Reactor::now(), plan_->key, chunk_, offset, length);
  }
  void fetch() {
    filled_ = true;
    waiter_ = session_.deps_.chunks.want(plan_, {chunk_, at_, end_ - at_}, want_, *this);
  }

  wire::ReadData head(const io::Reply& reply, wire::ReadOutcome outcome, bool last) {
    const TimePoint now = io::Reactor::now();
    wire::ReadData data;
    data.item = index_;
    data.outcome = outcome;
    data.offset = at_;
    data.service_us = microseconds(now - reply.arrived());
    if (last) data.flags |= wire::kLastOfItem;
    if (last && session_.lastOpen()) data.flags |= wire::kLastOfRequest;
    if (filled_) data.flags |= wire::kFromOrigin;
    return data;
  }

  Status sendBytes(io::Reply& reply) {
    const std::uint32_t length = std::min({ready_ - at_, kFrameBytes - at_ % core::kGranule, kFrameBytes});
    auto view = lookAt(at_, length);
    if (!view) return refetch();
    if (session_.takes_places_ && end_ - first_ >= kLeastInPlace) {
      wire::Place places[wire::kMaxPlaces];
      if (const std::size_t count = placesOf(*view, places); count != 0)
        return sendPlaces(reply, std::span(places, count), length, 0);
    }
    const auto pieces = view->pieces();
    Bytes bulk[kFramePieces];
    std::size_t count = 0;
    std::uint32_t sending = 0;
    for (; count < pieces.size() && count < std::size(bulk); ++count) {
      bulk[count] = pieces[count].bytes;
      sending += static_cast<std::uint32_t>(bulk[count].size());
    }
    std::uint32_t crcs[wire::kMaxPieces];
    const auto made = checksumsOf(*view, at_, sending, plan_->chunkLength(chunk_), crcs);
    const bool last = at_ + sending == end_;
    wire::ReadData data = head(reply, last || !filled_ ? wire::ReadOutcome::Ok : wire::ReadOutcome::Filling, last);
    data.length = sending;
    TRY(reply.data(data, {.checksums = std::span(crcs, made), .peers = {}, .message = {}}, std::span(bulk, count),
                   std::move(*view).keepAlive()));
    at_ += sending;
    mount_->metrics->bytes_served.add(sending);
    if (last) end(reply);
    return {};
  }

  // Of bytes that start at at_; 0: not all of them are in the slabs.
  std::size_t placesOf(const store::View& view, std::span<wire::Place> to) const {
    std::size_t count = 0;
    std::uint32_t at = at_;
    for (const store::Piece& piece : view.pieces()) {
      // Extents that lie side by side make one piece, and may go one by one; a run is never in two.
      for (std::size_t done = 0; done < piece.bytes.size(); ++count) {
        const auto take = std::min<std::size_t>(piece.bytes.size() - done, core::kRun - at % core::kRun);
        const auto place = session_.deps_.arena.placeOf(
            {.bytes = piece.bytes.subspan(done, take), .fd = piece.fd, .file_offset = piece.file_offset + done});
        if (!place || count == to.size()) return 0;
        to[count] = {place->offset, static_cast<std::uint32_t>(take), place->generation};
        done += take;
        at += static_cast<std::uint32_t>(take);
      }
    }
    return count;
  }

  Status sendPlaces(io::Reply& reply, std::span<const wire::Place> places, std::uint32_t length, std::uint8_t flags) {
    const bool last = at_ + length == end_;
    wire::ReadData data = head(reply, last || !filled_ ? wire::ReadOutcome::Ok : wire::ReadOutcome::Filling, last);
    data.length = length;
    data.flags |= wire::kPlaces | flags;
    TRY(reply.data(
        data, {.checksums = {}, .peers = {}, .message = {}, .places = places, .slab = session_.deps_.arena.slabId()}));
    at_ += length;
    mount_->metrics->bytes_served.add(length);
    if (last) end(reply);
    return {};
  }

  // All of it, to stay; as if no pin were wanted where it isn't in one place, or beyond a bound.
  Status sendPinned(io::Reply& reply) {
    const std::uint32_t length = end_ - at_;
    auto view = lookAt(at_, length);
    if (!view) return refetch();
    const std::uint64_t pin = std::exchange(pin_, 0);
    if (view->pieces().size() != 1 || length > wire::kMaxBulk) return sendBytes(reply);
    const auto place = session_.deps_.arena.placeOf(view->pieces()[0]);
    Pins& pins = *session_.deps_.pins;
    if (!place || !pins.pin(session_.who_, pin, std::move(*view), reply)) return sendBytes(reply);
    const wire::Place all{.offset = place->offset, .length = length, .generation = place->generation};
    Status sent = sendPlaces(reply, {&all, 1}, length, wire::kPinned);
    if (sent) return sent;
    pins.unpin(session_.who_, {&pin, 1});
    pin_ = pin;  // the socket is full: again, when it isn't
    return sent;
  }

  // What was ready has left the arena before the socket took it: memory is short.
  Status refetch() {
    if (waiter_ != 0) session_.deps_.chunks.left(std::exchange(waiter_, 0));
    ready_ = at_;
    if (++refetches_ <= kMaxRefetches) {
      fetch();
    } else {
      refusal_ = wire::ReadOutcome::Busy;
      error_ = {Code::Busy, "the arena is too small for what is being read at once: raise node.memory", 100};
    }
    return {};
  }

  Status sendWarmed(io::Reply& reply) {
    at_ = end_;
    // It may have been here as a transit copy, or have come with a fetch for somebody else.
    if (want_.keep)
      session_.deps_.arena.keep(io::Reactor::now(), plan_->key, chunk_,
                                want_.asker != core::kNoNode && mount_->read_copies == 1);
    const wire::ReadData data = head(reply, wire::ReadOutcome::Ok, true);
    TRY(reply.data(data, {}));
    end(reply);
    return {};
  }

  Status sendFilling(io::Reply& reply) {
    say_filling_ = false;
    return reply.data(head(reply, wire::ReadOutcome::Filling, false), {});
  }

  Status sendRefusal(io::Reply& reply) {
    wire::ReadData data = head(reply, *refusal_, true);
    data.code = error_.code;
    data.retry_after_ms = error_.retry_after_ms;
    const std::string_view message = error_.message;
    TRY(reply.data(data, {.checksums = {}, .peers = peers_, .message = message.substr(0, wire::kMaxReadMessage)}));
    end(reply);
    return {};
  }

  void end(const io::Reply& reply) {
    ended_ = true;
    if (mount_ == nullptr) return;
    const TimePoint now = io::Reactor::now();
    mount_->metrics->read_time.record(now - reply.arrived());
    // Nobody waits for bytes that are only brought in.
    if (no_bytes_ || session_.deps_.slow == nullptr || !session_.deps_.slow->slow(now - reply.arrived())) return;
    session_.deps_.slow->report({.mount = *mount_,
                                 .plan = *plan_,
                                 .range = {chunk_, first_, end_ - first_},
                                 .asker = want_.asker,
                                 .arrived = reply.arrived(),
                                 .ended = now,
                                 .ready = all_ready_,
                                 .fetched = filled_,
                                 .trace = trace_,
                                 .error = refusal_ ? &error_ : nullptr});
  }

  ReadSession& session_;
  const std::uint16_t index_;
  SharedPlan plan_;
  Mount* mount_ = nullptr;
  std::uint32_t chunk_ = 0;
  std::uint32_t first_ = 0;
  std::uint32_t at_ = 0;  // sent so far, an offset in the chunk
  std::uint32_t end_ = 0;
  std::uint32_t ready_ = 0;  // in the arena, as far as we know
  bool no_bytes_ = false;
  std::uint64_t pin_ = 0;  // wanted, and not yet tried
  bool tells_ = false;     // its reader asks another node when it hears nothing: it must hear that we are alive
  bool filled_ = false;
  bool ended_ = false;
  bool say_filling_ = false;
  int refetches_ = 0;
  WantOptions want_;
  core::WaiterId waiter_ = 0;
  std::optional<wire::ReadOutcome> refusal_;
  Error error_;
  std::vector<core::NodeId> peers_;
  FetchTrace trace_;
  TimePoint all_ready_{};  // of what was fetched
};

ReadSessions::ReadSessions() {
  free_.reserve(kKeptSessions);
}
ReadSessions::~ReadSessions() = default;

void ReadSessions::serve(const ReadDeps& deps, const io::Request& request, const wire::ReadView& read,
                         io::Reply reply) {
  std::shared_ptr<ReadSession> session;
  if (free_.empty()) {
    session.reset(new ReadSession(deps, *this));
  } else {
    session = std::move(free_.back());
    free_.pop_back();
  }
  session->self_ = session;
  session->start(request, read, std::move(reply));
}

void ReadSessions::over(std::shared_ptr<ReadSession> session) {
  if (free_.size() < kKeptSessions && session->items_.capacity() <= kKeptItems) free_.push_back(std::move(session));
}

ReadSession::ReadSession(const ReadDeps& deps, ReadSessions& home) : deps_(deps), home_(home) {}
ReadSession::~ReadSession() = default;

void ReadSession::start(const io::Request& request, const wire::ReadView& read, io::Reply reply) {
  reply_ = std::move(reply);
  reply_.whenGone([this] { release(); });
  for (std::size_t i = 0; i < read.objects(); ++i) objects_.push_back(deps_.plans.check(read.object(i), deps_.mounts));
  open_ = read.items();
  next_ = 0;
  waiting_for_socket_ = false;
  takes_places_ = deps_.pins != nullptr && read.slab() != 0 && deps_.pins->mayMap(request.from) &&
                  read.slab() == static_cast<std::uint32_t>(deps_.arena.slabId());
  items_.reserve(read.items());
  for (std::size_t i = 0; i < read.items(); ++i) add(request, static_cast<std::uint16_t>(i), read.item(i));
  objects_.clear();
  for (Item& item : items_) item.begin();
  if (!request.from.asksOwners() && deps_.prefetcher != nullptr) deps_.prefetcher->bringIn();
  pump();
}

void ReadSession::add(const io::Request& request, std::uint16_t index, const wire::ReadItem& item) {
  const CheckedPlans::Checked& object = objects_[item.object];
  if (object.plan == nullptr) {
    items_.emplace_back(*this, index, wire::ReadOutcome::Error,
                        Error{Code::PermissionDenied, "no such mount, or not a plan of it", 0});
    return;
  }
  if (takes_places_ && item.pin != 0) who_ = Pins::Who::of(request.from);
  const bool from_peer = request.from.peer, asks_owners = request.from.asksOwners();
  const bool relay = (item.flags & wire::kRelay) != 0;
  const bool scans = !asks_owners && deps_.prefetcher != nullptr && (item.flags & wire::kNoBytes) == 0 &&
                     deps_.prefetcher->saw(object.plan, item.range);
  const bool no_fill = (item.flags & wire::kNoFill) != 0, keep = (item.flags & wire::kKeep) != 0;
  // A client keeps neither little bytes nor who else has them: each of its reads would be asked twice.
  const bool little = request.from.direct && item.range.length <= core::kGranule;
  const WantOptions want{.must_answer = relay || !asks_owners || keep,
                         .relayed = relay && from_peer,
                         .fallback = (item.flags & wire::kFallback) != 0,
                         .no_fill = no_fill,
                         .may_ask = asks_owners && !relay && !no_fill && !keep && !little,
                         .insist = (item.flags & wire::kInsist) != 0,
                         .keep = keep,
                         .wide = scans || (item.flags & wire::kScan) != 0,
                         .asker = from_peer ? request.from.node_id : core::kNoNode,
                         .map_version = asks_owners ? request.header.map_version : 0,
                         .deadline = request.deadline};
  items_.emplace_back(*this, index, object.plan, *object.mount, item, want, asks_owners);
}

void ReadSession::pump() {
  if (waiting_for_socket_ || !self_) return;
  const auto keep = self_;
  for (std::size_t idle = 0; idle < items_.size() && open_ > 0;) {
    Item& item = items_[next_++ % items_.size()];
    if (!item.sendable()) {
      ++idle;
      continue;
    }
    idle = 0;
    const Status sent = item.send(reply_);
    if (item.ended()) --open_;
    if (sent) continue;
    if (sent.error().code != Code::Busy) return release();  // the client has left
    waiting_for_socket_ = true;
    reply_.whenWritable([this] {
      waiting_for_socket_ = false;
      pump();
    });
    return;
  }
  if (open_ == 0) release();
}

void ReadSession::release() {
  items_.clear();
  reply_ = io::Reply();
  // It may be another request's from here on.
  if (auto self = std::exchange(self_, nullptr)) home_.over(std::move(self));
}

}  // namespace forebay::node
