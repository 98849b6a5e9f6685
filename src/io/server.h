// The server's side of the protocol: decoded requests go to a RequestHandler, each with a Reply to answer with.
//
//   struct Node : RequestHandler {
//     void request(const Request& r, Bytes body, Reply reply) override { reply.send(wire::MessageType::MapReply, pb); }
//     void read(const Request& r, const wire::ReadView& read, Reply reply) override { ... reply.data(...) ... }
//   };
//   auto server = Server(reactor, options, node);
//   TRY(server.listen(address));
//
// A Reply may be kept as long as needed, and answered later. It is the only handle of its request, moves and doesn't
// copy, and stays valid when the client leaves: then alive() is false, sending answers Cancelled, and what was given to
// whenGone() has run (once; also for a Cancel from the client). A Reply that is destroyed unanswered answers
// Failure(Internal), so that no client waits for a forgotten request.
//
// Bounds: `max_requests` per connection are open at once; one more is answered Busy. A connection whose answers pile up
// unread isn't read from until they are taken (its requests wait in its socket), and is dropped if they exceed twice
// the bound. Deadlines are the handler's to keep: Reply::deadline(); nothing is sent for a request past its own
// deadline by the client's word (it has given up), but bytes under way are cheap and harmless.
//
// A request that this version doesn't know, or a Read that makes no sense, is answered with a Failure and never seen
// here. Threading: everything in the reactor's loop. A process with several loops has a Server in each, and hands
// accepted sockets over (`adopt`).
#pragma once

#include <cstdint>
#include <functional>
#include <google/protobuf/message_lite.h>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/connection.h"
#include "io/listener.h"
#include "wire/frame.h"
#include "wire/read.h"

namespace forebay::io {

class ServerSession;

// Of a request, beside its body. References are valid during the handler's call.
struct Request {
  const wire::FrameHeader& header;
  const RemoteInfo& from;
  TimePoint arrived;
  TimePoint deadline;  // kNever if the client gave none
};

class Reply {
 public:
  Reply() = default;
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&& other) noexcept;
  ~Reply();

  bool alive() const;  // somebody still waits for the answer
  TimePoint arrived() const { return arrived_; }
  TimePoint deadline() const { return deadline_; }

  // The whole answer, for every request but Read. Ends the request. Cancelled: the client has left, which is no error.
  Status send(wire::MessageType type, const google::protobuf::MessageLite& message);
  // The same with bulk, which is not copied: `keep` holds it until it is in the socket. Busy: nothing was sent, because
  // the connection's queue is full, and the request is still open. So it is after InvalidArgument: no frame holds that.
  Status send(wire::MessageType type, const google::protobuf::MessageLite& message, std::span<const Bytes> bulk,
              std::shared_ptr<const void> keep);
  // The same with a descriptor, for a client of this machine. Unsupported: it came over TCP; the request is still open.
  Status sendDescriptor(wire::MessageType type, const google::protobuf::MessageLite& message, Descriptor descriptor);
  // Ends any request, also a Read whose frames were partly sent.
  Status fail(const Error& error);

  // One frame of the answer to a Read; `data.length` is the bulk's. kLastOfRequest ends the request. Bulk is not
  // copied: `keep` holds it until it is in the socket. queue_us and service_us are sent as given.
  // Busy: not sent, the connection's queue is full: try again when whenWritable's task runs.
  Status data(const wire::ReadData& data, const wire::ReadDataLists& lists, std::span<const Bytes> bulk = {},
              std::shared_ptr<const void> keep = {});
  // See processOf(); Cancelled if the client has left.
  Result<Descriptor> peerProcess() const;
  // Runs once, in the loop, never inside the call; replaces an earlier one. Not at all if the client leaves first.
  void whenWritable(Task task);
  // Runs once if the client cancels or leaves before the request has ended; replaces an earlier one. Inside the task,
  // the Reply may be destroyed. Not run for a request that has already gone: check alive() first.
  void whenGone(Task task);

 private:
  friend class ServerSession;
  Reply(std::weak_ptr<ServerSession> session, std::uint32_t slot, std::uint32_t generation, TimePoint arrived,
        TimePoint deadline);
  std::shared_ptr<ServerSession> session() const;  // null once nobody waits
  void forget();
  std::weak_ptr<ServerSession> session_;
  std::uint32_t slot_ = 0, generation_ = 0;
  TimePoint arrived_{}, deadline_ = kNever;
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Every known request but Read; `body` is a protobuf that isn't parsed yet (wire/messages.h's parse does it), valid
  // during the call.
  virtual void request(const Request& request, Bytes body, Reply reply) = 0;
  // `read` is checked, and valid during the call.
  virtual void read(const Request& request, const wire::ReadView& read, Reply reply) = 0;
  // A frame from a sender that knows a newer map than `map_version` in ServerOptions says.
  virtual void newerMap(const RemoteInfo&, std::uint64_t /*version*/) {}
  // A connection is over, and its open requests have heard it. Not told when the server itself goes.
  virtual void left(const RemoteInfo&) {}
};

struct ServerOptions {
  ConnectionOptions connection;  // its Introduction's map_version goes into every answer's header
  ListenerOptions listener;
  std::size_t max_requests = 1'024;  // per connection
  std::uint32_t busy_retry_ms = 50;  // what a request beyond that is told
};

class Server {
 public:
  Server(Reactor& reactor, ServerOptions options, RequestHandler& handler);
  ~Server();  // closes every connection; open Replies stay valid, and dead
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Also several times, on several addresses. The address with the port that was chosen.
  Result<Address> listen(const Address& address);
  void adopt(Accepted accepted);
  void stopListening();
  std::size_t connections() const;
  std::size_t openRequests() const { return open_requests_; }  // of all connections

 private:
  friend class ServerSession;
  void gone(const ServerSession* session);

  Reactor& reactor_;
  ServerOptions options_;
  RequestHandler& handler_;
  std::size_t open_requests_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<const ServerSession*, std::shared_ptr<ServerSession>> sessions_;
};

}  // namespace forebay::io
