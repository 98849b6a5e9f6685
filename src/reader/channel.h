// Requests to one node: node to node, and client to node.
//
//   Channel channel(reactor, address, options);
//   channel.call(wire::MessageType::ResolveRequest, request, deadline, [](Result<Answer> answer) { ... });
//   channel.read({.objects = objects, .items = items}, observer, deadline);
//
// It connects when first used, and again after a loss, with a backoff (jitter included) during which requests fail at
// once with Unavailable, so that the caller tries another node. Requests made while it connects wait for it, within
// their deadlines. When the connection is lost, every open request fails with Unavailable: whether to repeat it is the
// caller's decision (reading may be repeated; bytes that had arrived stay good).
//
// At most `max_in_flight` requests are open: beyond that, Busy. A request past its deadline is cancelled at the node
// and fails with DeadlineExceeded (checked to about 5 ms). Every request's callback or done() runs exactly once, in the
// loop, never inside call() or read(); after cancel() it doesn't run at all. Destroying the channel drops what is open:
// nothing runs any more and no memory is touched. close() fails it with Cancelled instead.
//
// What a node sends is checked: bytes outside the asked range, twice, or too few, fail the item as Corrupt; a frame
// that makes no sense closes the connection.
//
// Threading: everything in the reactor's loop. Nothing is allocated per read on a warm connection.
#pragma once

#include <cstdint>
#include <functional>
#include <google/protobuf/message_lite.h>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "io/connection.h"
#include "io/reactor.h"
#include "io/socket.h"
#include "io/worker_pool.h"
#include "wire/frame.h"
#include "wire/read.h"

namespace forebay::reader {

using RequestId = std::uint64_t;  // 0 is never given out

struct Answer {
  const wire::FrameHeader& header;
  Bytes body;                            // valid during the callback
  core::NodeId from = core::kNoNode;     // who answered, by its own word
  io::Descriptor* descriptor = nullptr;  // that came with it, if one did: to be moved from during the callback
};
using AnswerCallback = std::move_only_function<void(Result<Answer>)>;

// Takes the bulk that comes with a call's answer, and checks it. A call without one takes no bulk.
class BulkReceiver : public io::BulkCheck {
 public:
  // Bulk comes next: where to? An error: that frame makes no sense. What is given room must stay until the call's
  // callback has run, lost() or cancel().
  virtual Status room(const wire::FrameHeader& header, Bytes body, io::BulkTarget& target) = 0;
  // What came so far is no answer: whatever was given room is let go.
  virtual void lost() = 0;
};

struct ReadRequest {
  std::span<const wire::ReadObject> objects;  // used during the call only
  std::span<const wire::ReadItem> items;
  std::uint64_t map_version = 0;
  std::uint8_t mount_class = 0;
  std::uint32_t tenant = 0;
  std::uint64_t capability = 0;
  std::uint32_t slab = 0;  // the reader has it, and takes places (wire/read.h)
};

struct ItemResult {
  wire::ReadOutcome outcome = wire::ReadOutcome::Ok;
  Error error;                          // unless Ok
  std::span<const core::NodeId> peers;  // Ask, Busy: who may have it; valid during the call
  std::uint64_t map_version = 0;        // of the answer: Moved goes by this map
  bool from_origin = false;             // some of its bytes were fetched for this request
};

// Hears about one read. All calls come from the reactor's loop; done() is the last.
class ReadObserver {
 public:
  virtual ~ReadObserver() = default;
  // Bytes of an item come next: where to? `offset` is in the chunk, and inside what was asked. What isn't given room
  // is dropped. The memory must stay until arrived() for it, done(), or cancel().
  virtual void room(std::uint16_t item, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) = 0;
  // They are there and match their checksums (view.checksum(i), by piece).
  virtual void arrived(std::uint16_t item, const wire::ReadDataView& view) = 0;
  // In place of room() and arrived(): where they are, in the slab that the request named.
  virtual void placed(std::uint16_t /*item*/, const wire::ReadDataView& /*view*/) {}
  // No bytes, but the node says that they are on their way.
  virtual void filling(std::uint16_t /*item*/) {}
  // Once per item. Ok: all bytes that were asked for have arrived (none if kNoBytes). An item that came wrong is Error
  // with Corrupt, and its bytes are worth nothing.
  virtual void finished(std::uint16_t item, const ItemResult& result) = 0;
  // Ok: every item has finished. Otherwise items that haven't never will.
  virtual void done(Status status) = 0;
};

struct ChannelOptions {
  io::ConnectionOptions connection;
  std::size_t max_in_flight = 1'024;
  Duration connect_timeout = 3s;
  Duration min_backoff = 50ms, max_backoff = 5s;  // doubles after each failure; half of it is random
  io::WorkerPool* resolver = nullptr;             // for addresses that are names
  // A node that has no place for this connection is Busy, for who has nobody else to ask; otherwise Unavailable.
  bool tells_busy = false;
  std::uint64_t seed = 0;  // of the jitter; 0: from the system
  // A frame carried a map version; called for each that is newer than any before on this channel. May be empty.
  std::function<void(std::uint64_t)> on_map_version;
  std::function<void()> on_lost;  // a connection that worked is over: its requests fail next. May be empty
};

struct ChannelStats {
  bool connected = false;
  std::size_t outstanding = 0;          // requests
  std::uint64_t outstanding_bytes = 0;  // asked by reads, not yet arrived: what "less loaded" compares
  std::uint64_t bytes_in = 0;           // of bulk, that matched
  std::uint64_t requests = 0, failures = 0, timeouts = 0, reconnects = 0, corrupt = 0;
  Duration rtt{0};  // smoothed, from request to first answer, without the time that the node says it took; 0: unknown
};

class Channel {
 public:
  Channel(io::Reactor& reactor, io::Address address, ChannelOptions options);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Any request but Read. A Failure from the node comes as that Error. Bulk that came for `bulk` is there when `done`
  // runs, and how much of it is good only that knows.
  RequestId call(wire::MessageType type, const google::protobuf::MessageLite& message, TimePoint deadline,
                 AnswerCallback done, std::uint64_t map_version = 0, std::shared_ptr<BulkReceiver> bulk = {});
  RequestId read(const ReadRequest& request, ReadObserver& observer, TimePoint deadline);
  // Forgets the request and tells the node. No callback; the observer's memory isn't touched any more.
  void cancel(RequestId id);
  void close();

  ChannelStats stats() const;
  const io::Address& address() const;
  // Of the node at the other end; null before the first connection.
  const io::RemoteInfo* remote() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace forebay::reader
