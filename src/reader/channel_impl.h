// Inside a channel: its connection, and the requests that are open. channel.cc has requests and the connection,
// channel_answers.cc what comes back.
#pragma once

#include <deque>
#include <optional>

#include "reader/channel.h"

namespace forebay::reader {

// A request lives in a slot; its id is (generation, slot), so that a late answer never meets a later request.
// Slots are a deque: an observer that makes another request moves none of them.
class Channel::Impl : public io::ConnectionHandler, public std::enable_shared_from_this<Impl> {
 public:
  Impl(io::Reactor& reactor, io::Address address, ChannelOptions options)
      : reactor_(reactor),
        address_(std::move(address)),
        options_(std::move(options)),
        random_(options_.seed != 0 ? options_.seed : systemRandom()),
        backoff_(options_.min_backoff) {
    options_.connection.handshake_timeout = options_.connect_timeout;
  }

  RequestId call(wire::MessageType type, const google::protobuf::MessageLite& message, TimePoint deadline,
                 AnswerCallback done, std::uint64_t map_version, std::shared_ptr<BulkReceiver> bulk);
  RequestId read(const ReadRequest& request, ReadObserver& observer, TimePoint deadline);
  void cancel(RequestId id);
  void close();
  void drop();  // forgets everything

  ChannelStats stats() const;
  const io::Address& address() const { return address_; }
  const io::RemoteInfo* remote() const { return remote_ ? &*remote_ : nullptr; }

  void opened(const io::RemoteInfo& remote) override;
  void frame(const wire::FrameHeader& header, Bytes body) override;
  void bulkComing(const wire::FrameHeader& header, Bytes body, io::BulkTarget& target) override;
  void bulkArrived(const wire::FrameHeader& header, Bytes body, bool intact) override;
  void writable() override {}
  void closed(const Error& why) override { connectionOver(why); }

 private:
  enum class State { Idle, Connecting, Open, Closed };
  struct Item {
    core::ChunkRange range;
    std::uint32_t arrived = 0;
    bool no_bytes = false, finished = false, corrupt = false, from_origin = false;
  };
  struct Pending {
    std::uint32_t generation = 1;
    bool used = false, sent = false, answered = false;
    bool failing = false;  // its end is posted: answers are too late
    TimePoint deadline = kNever, sent_at{};
    AnswerCallback done;                 // of a call
    std::shared_ptr<BulkReceiver> bulk;  // of a call; may be null
    ReadObserver* observer = nullptr;    // of a read
    std::vector<Item> items;
    std::size_t items_left = 0;
    std::uint64_t bytes_left = 0;
    bool takes_places = false;  // of a read
    wire::FrameHeader header;
    std::vector<std::byte> body;
  };

  // Requests.
  Pending* slotOf(RequestId id);  // null if it has ended
  Pending* find(RequestId id);    // null also if its end is posted
  Pending& claim(wire::MessageType type, TimePoint deadline);
  void release(Pending& pending);
  RequestId submit(Pending& pending, const Status& encoded);
  void transmit(Pending& pending);
  void failSoon(Pending& pending, Error error);
  void finish(RequestId id, Status status);
  void failAll(const Error& error);
  void sendCancel(RequestId id);
  void armDeadline(TimePoint deadline);
  void expire();

  // The connection.
  void connect();
  void connectTo(const io::Address& address);
  void connectionOver(const Error& why);
  void noteMap(std::uint64_t version);

  // Answers.
  void answerCall(const wire::FrameHeader& header, Pending& pending, Bytes body);
  void bulkOfCall(const wire::FrameHeader& header, Pending& pending, Bytes body, io::BulkTarget& target);
  void answerRead(const wire::FrameHeader& header, Bytes body, bool intact);
  void takeBytes(Pending& pending, const wire::ReadDataView& view, bool intact);
  void finishItem(Pending& pending, const wire::FrameHeader& header, const wire::ReadDataView& view);
  Result<wire::ReadDataView> viewOf(const wire::FrameHeader& header, const Pending& pending, Bytes body) const;
  static bool wanted(const Item& item, const wire::ReadData& data);
  void measure(Pending& pending, const wire::ReadData& data);

  io::Reactor& reactor_;
  const io::Address address_;
  ChannelOptions options_;
  Random random_;
  State state_ = State::Idle;
  std::shared_ptr<io::Connection> connection_;
  std::optional<io::RemoteInfo> remote_;
  Duration backoff_;
  TimePoint not_before_{};  // of the next attempt to connect
  TimePoint opened_at_{};
  Error last_error_;
  io::TimerId deadline_timer_ = 0;
  TimePoint deadline_timer_at_ = kNever;

  std::deque<Pending> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t open_ = 0;
  RequestId receiving_ = 0;  // whose bulk is on its way into its observer's memory
  std::uint64_t map_version_ = 0;
  ChannelStats stats_;
};

}  // namespace forebay::reader
