// A connection that carries frames, over TCP or a Unix socket: the first implementation of the transport.
//
// What it does: agrees on a version at the start (Hello), hands each received frame to its handler with header and body
// checked, receives bulk straight into the memory that the handler names, verifies it piece by piece while it is in the
// cache, and sends frames whose bulk stays where it is (the arena) until it is in the socket. Nothing is allocated per
// frame once its buffers have grown to what is usual.
//
//   struct Echo : ConnectionHandler {
//     void frame(const wire::FrameHeader& header, Bytes body) override { connection->send(header, body); }
//     ...
//   };
//   auto connection = Connection::connect(reactor, std::move(fd), options, handler);
//
// Sending is bounded: above `max_queued_bytes` or `max_queued_frames`, send() answers Busy, and writable() is called
// once when half of that is free again. A peer that takes nothing for `stall_timeout` is dropped, because what waits
// for it pins memory.
//
// Descriptors: over a Unix socket, the side that accepted may send one with a frame (wire::kCarriesDescriptor). Whoever
// accepted takes none: the kernel drops what a client sends.
//
// Receiving: a frame that can't be one (magic, checksum, length, version) closes this connection and is counted; bulk
// that doesn't match its checksums fails that frame alone. pauseReading() stops it, so that the peer's send blocks.
//
// Threading: everything happens in the reactor's loop, where every method has to be called.
// Life: shared_ptr. The handler must outlive the connection or close() it; no handler is called after close(), and no
// memory named for bulk is touched after close(), closed() or discardBulk(). closed() comes once, for every end but
// one's own close(), and never inside send().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "io/reactor.h"
#include "io/socket.h"
#include "wire/frame.h"
#include "wire/read.h"

struct iovec;

namespace forebay::io {

// Shared by the connections of a process; one set per side ("server", "client").
struct ConnectionMetrics {
  ConnectionMetrics(Metrics& metrics, std::string_view side);
  Counter& opened;
  Counter& closed;
  Counter& bytes_in;
  Counter& bytes_out;
  Counter& frames_in;
  Counter& frames_out;
  Counter& bad_frames;     // each closed its connection
  Counter& bad_hellos;     // no Hello, no common version, or too late
  Counter& corrupt_bulk;   // frames whose bulk didn't match
  Counter& stalled;        // dropped because the peer took nothing
  Counter& refused_peers;  // a listener's: wrong user, or too many connections
  Gauge& open;
};

// What one side says about itself at the start. The accepting side answers with its map version, if it has one.
struct Introduction {
  std::string name;
  bool peer = false;    // a node of the cell
  bool direct = false;  // a client that asks owners itself
  std::uint32_t node_id = 0;
  std::function<std::uint64_t()> map_version;  // may be empty
  std::uint32_t min_version = wire::kMinVersion, max_version = wire::kMaxVersion;
};
// What the other side said.
struct RemoteInfo {
  std::string name;
  bool peer = false;
  bool direct = false;
  std::uint32_t node_id = 0;
  std::uint64_t map_version = 0;
  std::uint8_t version = 0;  // agreed
  PeerIdentity identity;
  std::uint64_t session = 0;  // of an accepted connection: a number that no other of this process has

  // Whether it chose whom it asks by the map, and can be told to ask another. Others are answered, whatever it takes.
  bool asksOwners() const { return peer || direct; }
};

struct ConnectionOptions {
  Introduction self;
  std::size_t max_queued_bytes = 16 * kMiB;  // of frames that wait to be sent, bulk included
  std::size_t max_queued_frames = 1'024;
  Duration handshake_timeout = 5s;
  Duration idle_timeout = 0s;            // nothing received and nothing to send for so long: close. 0: never
  Duration stall_timeout = 30s;          // something to send, and the peer took no byte of it for so long
  ConnectionMetrics* metrics = nullptr;  // may be null
  std::optional<Error> refusal;          // accepting: what the other side is told in place of a welcome
};

// Checks bulk that isn't a ReadData's while it arrives.
class BulkCheck {
 public:
  virtual ~BulkCheck() = default;
  virtual void feed(Bytes bytes) = 0;  // the next ones
  virtual bool intact() const = 0;
};

// Where a frame's bulk goes. The connection reuses it: fill it in, keep no reference.
class BulkTarget {
 public:
  // Bytes go into the rooms in the order they were added; what doesn't fit is received and dropped.
  void add(MutableBytes room) {
    if (!room.empty()) rooms_.push_back(room);
  }
  // So many bytes are dropped before the next room. What a check is fed of them is other bytes.
  void drop(std::size_t bytes);
  // Verify it as this ReadData says. Without it bulk isn't verified.
  void verify(const wire::ReadDataView& view) {
    verifier_.start(view);
    verified_ = true;
  }
  // `check` must stay until bulkArrived(), discardBulk() or the connection's end.
  void verify(BulkCheck& check) { check_ = &check; }

 private:
  friend class Connection;
  void reset() {
    rooms_.clear();
    room_ = filled_ = 0;
    verified_ = false;
    check_ = nullptr;
  }
  void feed(Bytes bytes) {
    if (verified_) verifier_.feed(bytes);
    if (check_ != nullptr) check_->feed(bytes);
  }
  bool intact() const { return (!verified_ || verifier_.intact()) && (check_ == nullptr || check_->intact()); }
  std::vector<MutableBytes> rooms_;
  std::size_t room_ = 0, filled_ = 0;  // the room that is being filled, and how much of it is
  wire::PieceVerifier verifier_;
  bool verified_ = false;
  BulkCheck* check_ = nullptr;
};

class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  // The Hello exchange went well: frames may be sent from now on.
  virtual void opened(const RemoteInfo& remote) = 0;
  // A frame without bulk. `body` is valid during the call.
  virtual void frame(const wire::FrameHeader& header, Bytes body) = 0;
  // A frame with bulk starts: say where it goes (nothing said: it is dropped). `body` stays valid until bulkArrived.
  virtual void bulkComing(const wire::FrameHeader& header, Bytes body, BulkTarget& target) = 0;
  // All of it is there. `intact`: it matched its checksums, or none were given.
  virtual void bulkArrived(const wire::FrameHeader& header, Bytes body, bool intact) = 0;
  // After send() answered Busy: half of the queue is free again.
  virtual void writable() = 0;
  virtual void closed(const Error& why) = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // The side that called connect(2), on a socket that may still be connecting; it says Hello.
  static Result<std::shared_ptr<Connection>> connect(Reactor& reactor, Descriptor fd, ConnectionOptions options,
                                                     ConnectionHandler& handler);
  // The side that accepted; it waits for Hello. `ticket` is kept as long as the connection (a listener's count).
  static Result<std::shared_ptr<Connection>> accept(Reactor& reactor, Descriptor fd, ConnectionOptions options,
                                                    ConnectionHandler& handler,
                                                    std::shared_ptr<const void> ticket = {});
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Queues a frame, and writes what the socket takes. Version, lengths and checksums of the header are filled in here.
  // The body is copied; bulk (at most kMaxBulkPieces pieces and kMaxBulk bytes) is not: `keep` holds whatever it
  // points to, and is let go once the bytes are in the socket or the connection is over (possibly inside this call).
  // Busy: nothing was queued; wait for writable(). Unavailable: not open, or no longer.
  Status send(wire::FrameHeader header, Bytes body, std::span<const Bytes> bulk = {},
              std::shared_ptr<const void> keep = {});
  // The same for an answer that can't be held back: may go to twice the bounds; beyond that the connection is closed,
  // because its peer asks and doesn't read.
  Status sendAnyway(wire::FrameHeader header, Bytes body);
  // The same, with a descriptor, which is closed here once it is in the socket or the connection is over. Unsupported:
  // not a Unix socket.
  Status sendDescriptor(wire::FrameHeader header, Bytes body, Descriptor descriptor);
  // During frame(): the descriptor that came with it; not valid if none did.
  Descriptor takeDescriptor() { return std::move(descriptor_); }

  static constexpr std::size_t kMaxBulkPieces = 1'088;  // 4 MiB in granules, or a thousand small objects

  bool open() const { return state_ == State::Open && !failing_; }
  bool full() const;    // send() would answer Busy now
  void wantWritable();  // as if send() had answered Busy
  std::size_t queuedBytes() const { return queued_bytes_; }
  const RemoteInfo& remote() const { return remote_; }
  Result<Descriptor> peerProcess() const { return processOf(fd_.get()); }

  void pauseReading();  // also from inside a handler's call: frames that are already here wait as well
  void resumeReading();
  // The rest of the bulk that is being received is dropped; its memory isn't touched any more.
  void discardBulk();

  // A frame was whole, but its body can't be what it claims: counted, and the connection ends; closed() comes inside.
  void badFrame(const Error& why);

  void close();  // at once; what is queued is dropped
  // After what is queued was sent (at most `stall_timeout`); nothing is received any more. No handler is called again.
  void closeWhenSent();

 private:
  enum class State { Connecting, Greeting, Open, Draining, Closed };
  enum class Receiving { Header, Body, Bulk };
  // A queued frame. Its buffers are reused by later frames of the same place in the ring.
  struct Outgoing {
    std::vector<std::byte> head;  // header and body
    std::vector<Bytes> bulk;
    std::size_t bytes = 0;  // all of it
    std::shared_ptr<const void> keep;
    Descriptor descriptor;
  };

  Connection(Reactor& reactor, Descriptor fd, ConnectionOptions options, ConnectionHandler& handler);
  Status start(State state);
  void onEvents(std::uint32_t events);
  void onTimer();
  void armTimer();
  void updateInterest();
  std::string name() const;  // of the other side, for messages

  // The start (connection_hello.cc).
  void finishConnect();
  void greeting(Bytes body);
  void onHello(Bytes body);
  void onHelloReply(Bytes body);
  void reject(const Error& why);
  void becomeOpen();

  // Receiving (connection_receive.cc).
  void receive();
  bool receiveOnce();  // false: the socket has no more for now, or the connection is over
  void awaitPortion(bool fast);
  void parse();  // whatever is complete in the staging buffer
  bool parseHeader();
  bool parseBody();
  bool parseBulk();
  void bodyComplete();
  ssize_t receivePieces(iovec* to, std::size_t count);
  bool claimDescriptor();
  std::size_t bulkRooms(iovec* to, std::size_t max, std::size_t bytes);
  void bulkReceived(std::size_t bytes);
  void drainInput();
  bool receiving() const { return (state_ == State::Greeting || state_ == State::Open) && !failing_; }

  // Sending (connection.cc).
  Status enqueue(wire::FrameHeader& header, Bytes body, std::span<const Bytes> bulk, std::shared_ptr<const void> keep);
  Status enqueueAnyway(wire::FrameHeader& header, Bytes body);
  Outgoing& pushFrame();
  Outgoing& lastFrame() { return queue_[(queue_head_ + queue_count_ - 1) & (queue_.size() - 1)]; }
  Status flush();
  std::size_t gather(iovec* to, std::size_t max) const;
  ssize_t sendPieces(iovec* pieces, std::size_t count);
  void sent(std::size_t bytes);
  void flushSoon();  // at once, or at the end of what is being received
  void tellWritable();
  void failSoon(Error why);  // from inside send(): closed() must not come there
  void drain();
  void end(const Error* why);  // null: nobody is told

  Reactor& reactor_;
  Descriptor fd_;
  ConnectionOptions options_;
  ConnectionHandler* handler_;
  std::shared_ptr<const void> ticket_;
  std::shared_ptr<Connection> self_;  // while it drains, when nobody else may hold it
  State state_ = State::Closed;       // until start()
  bool connecting_side_ = false;
  bool in_receive_ = false;  // sends are flushed together when it ends
  bool refused_ = false;     // send() said Busy: writable() is owed
  bool paused_ = false;
  bool failing_ = false;  // failSoon() was called
  bool shut_ = false;     // draining, and everything is in the socket
  std::uint32_t interest_ = 0;
  RemoteInfo remote_;

  TimerId timer_ = 0;
  TimePoint started_, last_received_, last_sent_;

  Receiving receiving_ = Receiving::Header;
  std::unique_ptr<std::byte[]> staging_;
  std::size_t staged_begin_ = 0, staged_end_ = 0;
  wire::FrameHeader header_;
  std::vector<std::byte> body_;
  std::size_t body_have_ = 0;
  BulkTarget target_;
  std::size_t bulk_have_ = 0;
  int awaited_ = 1;                     // bytes, before the kernel says that there are any
  std::deque<Descriptor> descriptors_;  // that came, and whose frames haven't yet
  Descriptor descriptor_;               // of the frame that is being handled

  std::vector<Outgoing> queue_;  // a ring of 2^n frames
  std::size_t queue_head_ = 0, queue_count_ = 0, queued_bytes_ = 0;
  std::size_t head_sent_ = 0;  // bytes of the first frame that are in the socket
};

}  // namespace forebay::io
